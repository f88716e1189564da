"""Prints who is before every sign, and each window's summary: python subscriber.py [HOST [PORT]]. Needs paho-mqtt."""

import json
import sys

import paho.mqtt.client as mqtt


def on_message(client, userdata, message):
    told = json.loads(message.payload)
    if told["schema"] == "edge-agender.frame":
        people = [f"{face['gender']['label']} {face['age']['years']}" for face in told["faces"]]
        print(f"{told['device']}: {told['audience']['count']} here: {', '.join(people)}", flush=True)
    elif told["schema"] == "edge-agender.window":
        print(f"{told['device']}: {told['viewers']} viewers from {told['start']}, dwell {told['dwell']}", flush=True)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect = lambda client, *_: client.subscribe([("edge-agender/+/frame", 0), ("edge-agender/+/window", 1)])
client.on_message = on_message
client.connect(sys.argv[1] if len(sys.argv) > 1 else "localhost", int(sys.argv[2]) if len(sys.argv) > 2 else 1883)
client.loop_forever()
