"""edge.py PORT EDGE: a pysparkplug edge node. It births at 10, publishes what it reads from standard input, a number per line,
ignores rebirth requests, and says goodbye when the input ends."""
import sys
import time

import pysparkplug as ps

now = ps.get_current_timestamp


def metric(name, datatype, value):
    return ps.Metric(timestamp=now(), name=name, datatype=datatype, value=value)


def total(value):
    return metric("Energy/Total_kWh", ps.DataType.DOUBLE, value)


node = ps.EdgeNode("TestPlant", sys.argv[2], [metric("Node Control/Rebirth", ps.DataType.BOOLEAN, False)])
node.register(ps.Device("Mill02", [total(10.0), metric("Temp", ps.DataType.INT16, -1)]))
node.connect("127.0.0.1", port=int(sys.argv[1]))
for line in sys.stdin:
    try:
        node.update_device("Mill02", [total(float(line))])
    except ps.MQTTError:
        pass  # While it is not connected nothing can be published; it connects again by itself.
node.deregister("Mill02")
node.disconnect()
time.sleep(0.5)
