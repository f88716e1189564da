"""A daemon's state as the page's tests need it."""

import time
from dataclasses import replace
from typing import Any

from edge_agender.web.snapshot import AimFace, DemographicsSummary, Snapshot, WindowSummary

WINDOWS = (
    WindowSummary(1_700_000_000.0, 60.0, 7, 9, 41.5),
    WindowSummary(1_700_000_060.0, 60.0, None, None, None),
    WindowSummary(1_700_000_120.0, 120.0, 8, 10, 20.0),
)


def period(withheld: int = 0, **cells: int) -> DemographicsSummary:
    """A published period of these cells, by gender and age band."""
    rows = tuple((None, *key.split(" "), viewers, 2.0) for key, viewers in cells.items())
    told = sum(cells.values())
    return DemographicsSummary(1_699_999_200.0, 3600, told + withheld, 0, withheld, rows)


PERIODS = (
    period(**{"female 18-24": 5, "male 18-24": 0, "female 25-34": 0, "male 25-34": 5}),
    period(2, **{"female 18-24": 5, "male 18-24": 0, "female 25-34": 0, "male 25-34": 5}),
)
GOOD_FACE = AimFace(0.4, 0.3, 0.15, 0.2, 96.0, 0.9, 0.5, 140.0, True)
POOR_FACE = AimFace(0.1, 0.85, 0.03, 0.04, 20.0, 0.1, 0.1, None, False)


def snapshot(**changes: Any) -> Snapshot:
    """A healthy daemon that has counted for an hour; `changes` replace fields."""
    healthy = Snapshot(
        device="entrance-1",
        privacy_level="frame",
        versions={"edge-agender": "0.1.0", "detector": "agender-ssd 1"},
        utc_s=1_700_003_600.0,
        started_utc_s=1_700_000_000.0,
        last_frame_s=time.monotonic() + 3600,  # so that it is fresh for as long as any test takes
        people=2,
        rate_hz=14.96,
        latency_s=0.0421,
        frames_captured=54_000,
        frames_dropped=540,
        camera_restarts=3,
        messages_dropped=17,
        temperature_c=51.24,
        throttled=(),
        resident_bytes=98_000_000,
        cpu_share=0.117,
        broker="online",
        windows=WINDOWS,
        demographics=PERIODS,
        picture_width_px=1280,
        picture_height_px=960,
        faces=(GOOD_FACE,),
    )
    return replace(healthy, **changes)
