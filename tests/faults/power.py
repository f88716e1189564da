"""A process whose writes are recorded: it puts windows, acknowledges some, and marks what an fsync has made safe.

python power.py FOLDER COUNT
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from edge_agender.config.settings import OutboxConfig
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.delivery.outbox.store import Store
from edge_agender.messages.message import Message

# So that the run lasts for many fsyncs.
PAUSE_S = 0.015


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    marks = os.open(folder / "marks", os.O_WRONLY | os.O_CREAT)
    sync = Store.sync

    def sync_and_mark(self: Store) -> None:
        last_id = self.last_id if hasattr(self, "last_id") else 0
        sync(self)
        os.write(marks, json.dumps({"safe": last_id}).encode())

    Store.sync = sync_and_mark  # type: ignore[method-assign]
    acknowledged: list[Any] = []
    with Outbox(OutboxConfig(path=folder)) as outbox:
        for sequence in range(1, count + 1):
            payload = json.dumps({"boot_id": "b", "sequence": sequence, "filler": "x" * 400}).encode()
            outbox.put(Message("window", "p/d/window", payload, 1, False, durable=True))
            if sequence % 3 == 0 and (taken := outbox.take()) is not None:
                os.write(marks, json.dumps({"done": json.loads(taken[1].payload)["sequence"]}).encode())
                outbox.acknowledge(taken[0])
                acknowledged.append(taken)
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
