import threading

import numpy as np

from edge_agender.capture.slot import Slot
from edge_agender.imaging.frame import Frame


def frame(sequence: int, released: list[int]) -> Frame:
    picture = np.zeros((2, 2), np.uint8)
    full = np.zeros((2, 2, 3), np.uint8)
    return Frame(sequence, 0.0, 0.0, picture, full, release=lambda: released.append(sequence))


def test_the_latest_frame_wins_and_the_one_before_is_released_and_counted() -> None:
    slot, released = Slot(), []
    for sequence in range(3):
        assert slot.put(frame(sequence, released), wait=False)
    taken = slot.take(0)
    assert taken is not None
    assert (taken.sequence, released, slot.counts.captured, slot.counts.dropped) == (2, [0, 1], 3, 2)


def test_a_source_that_waits_loses_nothing() -> None:
    slot, released = Slot(), []
    writer = threading.Thread(target=lambda: [slot.put(frame(i, released), wait=True) for i in range(20)])
    writer.start()
    taken = [slot.take(60) for _ in range(20)]
    writer.join(60)
    assert [f.sequence for f in taken if f] == list(range(20))
    assert slot.counts.dropped == 0


def test_close_wakes_the_waiting_and_keeps_the_last_frame() -> None:
    slot, released = Slot(), []
    slot.put(frame(0, released), wait=True)
    writer = threading.Thread(target=slot.put, args=(frame(1, released),), kwargs={"wait": True})
    writer.start()
    slot.close()
    writer.join(60)
    assert not writer.is_alive()
    assert released == [1]
    assert not slot.ended
    assert slot.take(0) is not None
    assert slot.ended
    assert slot.take(5) is None


def test_take_gives_up_after_its_timeout() -> None:
    assert Slot().take(0.01) is None
