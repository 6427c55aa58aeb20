"""The healthy neighbour of hostile functions: asks one URL again and again over one connection until its input ends,
then prints how long each answer took and what was wrong with any; a line says that it begins. In a process of its own,
which, where it may, has a processor as soon as it wants one, like a client on another machine: nothing but the server
makes it wait.

    neighbour.py PORT PATH
"""
import contextlib
import http.client
import json
import os
import select
import sys
import time

PAUSE_S = 0.002

port, path = int(sys.argv[1]), sys.argv[2]
times, wrong = [], []
with contextlib.suppress(PermissionError):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
print("beginning", flush=True)
while not (times and select.select([sys.stdin], [], [], PAUSE_S)[0]):
    began = time.monotonic()
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        got = response.status, response.read()
    except Exception as e:  # whatever it is, the neighbour noticed
        got = repr(e)
        connection.close()
    times.append(time.monotonic() - began)
    if got != (200, b"well") and len(wrong) < 5:
        wrong.append(f"the neighbour was told {got}")
json.dump({"times": times, "wrong": wrong}, sys.stdout)
