"""Prints who is before every sign, windows and demographics. Needs paho-mqtt.

python subscriber.py [HOST] [--port N] [--user NAME --password-file FILE] [--tls] [--ca FILE]
"""

import argparse
import contextlib
import json
import os
import pathlib
import sys
import threading

import paho.mqtt.client as mqtt

SILENCE_S = 20
TOPICS = [("edge-agender/+/frame", 0), ("edge-agender/+/window", 1), ("edge-agender/+/demographics", 1)]
heard = threading.Event()
seen = set()


def on_message(client, userdata, message):
    heard.set()
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


def on_connect(client, userdata, flags, reason, properties):
    if reason.is_failure:
        sys.stderr.write(f"the broker refuses: {reason}: see --user and --password-file\n")
        client.disconnect()
    else:
        client.subscribe(TOPICS)


def on_subscribe(client, userdata, mid, reasons, properties):
    if all(reason.is_failure for reason in reasons):
        sys.stderr.write("the broker lets this user read nothing: allow edge-agender/# in its ACL\n")
        client.disconnect()


def say_silence():
    if not heard.wait(SILENCE_S):
        sys.stderr.write(
            f"nothing heard for {SILENCE_S} s: does a device run, and may this user read edge-agender/#?\n"
        )


options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
options.add_argument("host", nargs="?", default="localhost")
options.add_argument("--port", type=int, help="default: 1883, or 8883 with TLS")
options.add_argument("--user")
options.add_argument("--password-file", type=pathlib.Path, help="a file with the password alone")
options.add_argument("--tls", action="store_true", help="with the certificate authorities of this system")
options.add_argument("--ca", help="TLS with the certificate authority in this file")
given = options.parse_args()

client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
if given.user:
    client.username_pw_set(given.user, given.password_file.read_text().strip() if given.password_file else None)
if given.tls or given.ca:
    client.tls_set(ca_certs=given.ca)
try:
    client.connect(given.host, given.port or (8883 if given.tls or given.ca else 1883))
except OSError as error:
    sys.exit(f"{given.host}: {error.strerror or error}: is the broker on, and is this its address?")
threading.Thread(target=say_silence, daemon=True).start()
try:
    with contextlib.suppress(KeyboardInterrupt):
        client.loop_forever()
except BrokenPipeError:
    # Whoever read the lines has left, as `| head` does: the rest goes nowhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
