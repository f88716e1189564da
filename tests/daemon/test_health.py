from __future__ import annotations

from pathlib import Path

import pytest

from edge_agender.daemon.health import HealthMeter, percentile_ms
from edge_agender.delivery.mqtt.publisher import LinkState
from edge_agender.delivery.outbox.outbox import OutboxState
from edge_agender.device.clock import clock_synchronised
from edge_agender.device.health import Alarm
from edge_agender.vision.pipeline import Work


def test_a_sample_tells_what_happened_since_the_last() -> None:
    meter = HealthMeter(100.0)
    for latency_s in (0.010, 0.020, 0.030):
        meter.frame_done(latency_s)
    outbox = OutboxState(live=1, durable=2, durable_bytes=10, dropped={"age": 3, "live": 1}, alarm="disk full")
    link = LinkState(True, 0.0, 4, None, 0, 0, 0)
    first = meter.sample(
        110.0,
        1e9,
        work=Work(150, 60, 40, 10),
        dropped_frames=5,
        outbox=outbox,
        link=link,
        alarms=(Alarm("hot", 5.0),),
        camera_restarts=2,
    )
    assert (first.frames, first.fps, first.dropped_frames, first.uptime_s) == (150, 15.0, 5, 10.0)
    assert (first.detections, first.detections_saved, first.estimates, first.estimates_saved) == (60, 90, 10, 30)
    assert first.latency_p50_ms == pytest.approx(20.0)
    assert (first.broker_connects, first.outbox_waiting, first.outbox_dropped) == (4, 3, 4)
    assert (first.outbox_dropped_by, first.camera_restarts) == ({"age": 3, "live": 1}, 2)
    assert first.alarms == (Alarm("hot", 5.0),)
    second = meter.sample(120.0, 1e9, work=Work(160, 60, 40, 10), dropped_frames=5, outbox=None, link=None, alarms=())
    assert (second.frames, second.dropped_frames, second.detections_saved) == (10, 0, 10)
    assert second.latency_p50_ms is None


def test_a_clock_that_nobody_sets_is_unknown_not_wrong(tmp_path: Path) -> None:
    marker = tmp_path / "timesync/synchronized"
    assert clock_synchronised(marker) is None
    marker.parent.mkdir()
    assert clock_synchronised(marker) is False
    marker.touch()
    assert clock_synchronised(marker) is True


def test_percentiles() -> None:
    assert percentile_ms([], 50) is None
    assert percentile_ms([0.004], 95) == 4.0
    assert percentile_ms([i / 1000 for i in range(101)], 95) == pytest.approx(95.0)
