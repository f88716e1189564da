"""A process that puts windows and prints the number of each as soon as `put` has returned; it is made to be killed.

python sender.py '{"mqtt": {...}, "outbox": {...}, "boot": "b1", "interval_s": 0.01, "count": 100}'
"""

import itertools
import json
import logging
import signal
import sys
import threading

from edge_agender.config.settings import MqttConfig, OutboxConfig
from edge_agender.delivery.mqtt.publisher import Publisher
from edge_agender.delivery.outbox import outbox as outbox_module
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.messages.message import Message


def status(state: str) -> Message:
    return Message("status", "p/d/status", json.dumps({"state": state}).encode(), 1, True)


def window(boot: str, sequence: int) -> Message:
    payload = {"schema": "window", "boot_id": boot, "sequence": sequence, "filler": "x" * 400}
    return Message("window", "p/d/window", json.dumps(payload).encode(), 1, False, durable=True)


def tell(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def main() -> None:
    options = json.loads(sys.argv[1])
    logging.basicConfig(level="INFO", stream=sys.stderr)
    # What `put` returned for is on disk, "unless the disk is slow": nothing could be said of a message that is not.
    outbox_module.PUT_WAIT_S = 60.0
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    outbox = Outbox(OutboxConfig(**options["outbox"]), retry_s=0.5)
    publisher = Publisher(MqttConfig(**options["mqtt"]), "d", outbox, status)
    count = options.get("count")
    with outbox, publisher:
        for sequence in itertools.count() if count is None else range(count):
            if stop.is_set():
                break
            outbox.put(window(options["boot"], sequence))
            tell("put", sequence)
            stop.wait(options.get("interval_s", 0.01))
        while not stop.is_set():
            state = outbox.state()
            tell("state", json.dumps([state.durable, sum(state.dropped.values()), state.alarm]))
            stop.wait(0.05)


if __name__ == "__main__":
    main()
