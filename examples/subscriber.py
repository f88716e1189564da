"""Prints who is before every sign, windows and demographics: python subscriber.py [HOST [PORT]]. Needs paho-mqtt."""

import json
import sys

import paho.mqtt.client as mqtt

seen = set()


def on_message(client, userdata, message):
    told = json.loads(message.payload)
    # Delivered at least once: an equal device, boot_id and sequence of one kind is a copy.
    copy = (told["schema"], told["device"], told["boot_id"], told["sequence"])
    if copy in seen:
        return
    seen.add(copy)
    if told["schema"] == "edge-agender.frame":
        cells = told["audience"]["cells"]
        people = [f"{cell['count']} {cell['gender']} {cell['age_band']}" for cell in cells]
        print(f"{told['device']}: {told['audience']['count']} here: {', '.join(people)}", flush=True)
    elif told["schema"] == "edge-agender.window":
        print(f"{told['device']}: {told['viewers']} viewers from {told['start']}, dwell {told['dwell']}", flush=True)
    elif told["schema"] == "edge-agender.demographics":
        cells = [f"{c['gender']} {c['age_band']}: {c['viewers']} ± {c['sd']}" for c in told["cells"] if c["viewers"]]
        print(f"{told['device']}: viewers from {told['start']}: {', '.join(cells)}", flush=True)


TOPICS = [("edge-agender/+/frame", 0), ("edge-agender/+/window", 1), ("edge-agender/+/demographics", 1)]
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect = lambda client, *_: client.subscribe(TOPICS)
client.on_message = on_message
client.connect(sys.argv[1] if len(sys.argv) > 1 else "localhost", int(sys.argv[2]) if len(sys.argv) > 2 else 1883)
client.loop_forever()
