// edge.js PORT EDGE [compress]: a sparkplug-client edge node with aliases. It births at 10, publishes what it reads from standard
// input, a number per line, answers rebirth requests, and says goodbye when the input ends.
const { newClient } = require('sparkplug-client');
const [port, edgeNode, compress] = process.argv.slice(2);
const options = compress ? { compress: true, algorithm: 'GZIP' } : {};
const now = () => Date.now();
let value = 10;
const client = newClient({
  serverUrl: `tcp://127.0.0.1:${port}`, username: null, password: null,
  groupId: 'TestPlant', edgeNode, clientId: edgeNode, version: 'spBv1.0', publishDeath: true,
});
const birth = () => {
  const rebirth = { name: 'Node Control/Rebirth', type: 'Boolean', value: false, timestamp: now() };
  client.publishNodeBirth({ timestamp: now(), metrics: [rebirth] }, options);
  const total = { name: 'Energy/Total_kWh', alias: 1, type: 'Double', value, timestamp: now() };
  client.publishDeviceBirth('Mill02', { timestamp: now(), metrics: [total] }, options);
};
client.on('birth', birth);
client.on('ncmd', (payload) => {
  if (payload.metrics.some((metric) => metric.name === 'Node Control/Rebirth' && metric.value)) birth();
});
const lines = require('readline').createInterface({ input: process.stdin });
lines.on('line', (line) => {
  value = Number(line);
  const total = { alias: 1, type: 'Double', value, timestamp: now() };
  client.publishDeviceData('Mill02', { timestamp: now(), metrics: [total] }, options);
});
lines.on('close', () => {
  client.publishDeviceDeath('Mill02', { timestamp: now(), metrics: [] });
  client.stop();
  setTimeout(() => process.exit(0), 500);
});
