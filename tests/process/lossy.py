"""lossy.py PORT LOST: an edge node that publishes two hours of a counter, a value every five minutes from 2025-03-01T00:00Z on,
and loses LOST messages after that of 00:55: they take their sequence numbers with them and never come."""
import sys

import paho.mqtt.client as mqtt
import pysparkplug as ps

START, STEP = 1_740_787_200_000, 300_000
client = mqtt.Client(client_id="lossy")
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_start()


def send(kind, payload, device=""):
    client.publish(f"spBv1.0/TestPlant/{kind}/Edge-A{device}", payload.encode(), qos=1).wait_for_publish(30)


def total(at, value):
    return (ps.Metric(timestamp=at, name="Energy/Total_kWh", datatype=ps.DataType.DOUBLE, value=value),)


control = ps.Metric(timestamp=START, name="Node Control/Rebirth", datatype=ps.DataType.BOOLEAN, value=False)
session = ps.Metric(timestamp=START, name="bdSeq", datatype=ps.DataType.INT64, value=0)
send("NBIRTH", ps.NBirth(timestamp=START, seq=0, metrics=(session, control)))
send("DBIRTH", ps.DBirth(timestamp=START, seq=1, metrics=total(START, 100.0)), "/Mill02")
lost = range(12, 12 + int(sys.argv[2]))
for step in (step for step in range(1, 25) if step not in lost):
    at = START + step * STEP
    send("DDATA", ps.DData(timestamp=at, seq=1 + step, metrics=total(at, 100.0 + step)), "/Mill02")
client.disconnect()
