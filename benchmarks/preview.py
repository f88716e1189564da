"""Does the preview keep up with a 720p recording of 25 pictures a second on two cores, with the daemon's own gating?

Run in the root of a checkout:  python -m benchmarks.preview [--video FILE] [--seconds 20]

Without a video it makes one of the demo's synthetic faces. A reader of the page takes every picture, as a browser does.
Exit code 1 where more than one picture in a hundred was dropped.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from edge_agender.capture.sources.demo import DemoSource
from edge_agender.common.output import run_script
from edge_agender.config.settings import DemoConfig, SourceConfig
from edge_agender.recordings.film import Film

RATE_HZ, SIZE_PX = 25.0, (1280, 720)
CORES = 2
MOST_DROPPED = 0.01


def make_video(path: Path, seconds: float) -> None:
    """Write synthetic people walking by, four at a time."""
    demo = DemoConfig(people=4, pace=False, duration_s=seconds)
    config = SourceConfig(kind="demo", width_px=SIZE_PX[0], height_px=SIZE_PX[1], rate_hz=RATE_HZ, demo=demo)
    with DemoSource(config, threading.Event()) as source, Film(path, RATE_HZ) as film:
        while (frame := source.read()) is not None:
            with frame:
                film.write(frame.full, frame.sequence / RATE_HZ)


def measure(video: Path) -> dict[str, Any]:
    """Play the video to its end before a reader and return what was shown."""
    command = [sys.executable, "-m", "edge_agender", "preview", str(video), "--port", "0", "--config", "/dev/null"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as preview:
        try:
            assert preview.stdout is not None
            address = next(word for word in preview.stdout.readline().split() if word.startswith("http"))
            began_s = time.monotonic()
            shown = _count_pictures(address, preview)
            process = psutil.Process(preview.pid).cpu_times()
            with urllib.request.urlopen(f"{address}state", timeout=10) as answer:
                state = json.load(answer)
        finally:
            preview.terminate()
    seconds, cpu_s = state["t_s"], process.user + process.system
    return {
        "video_s": seconds,
        "wall_s": round(time.monotonic() - began_s, 1),
        "pictures_shown": shown,
        "shown_hz": round(shown / seconds, 1),
        "dropped": state["dropped"],
        "cpu_s": round(cpu_s, 1),
        "cpu_ms_a_picture": round(1000 * cpu_s / max(shown, 1), 1),
        "viewers": state["table"]["viewers"],
        "cores": len(os.sched_getaffinity(0)),
    }


def _count_pictures(address: str, preview: subprocess.Popen[str]) -> int:
    """Read pictures until the preview says on its output that the recording has ended."""
    ended = threading.Event()

    def wait_for_the_end() -> None:
        assert preview.stdout is not None
        preview.stdout.readline()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    shown = 0
    with urllib.request.urlopen(f"{address}pictures", timeout=5) as pictures:
        while not ended.is_set():
            try:
                line = pictures.readline()
            except TimeoutError:
                break
            if line.startswith(b"Content-Length"):
                pictures.readline()
                pictures.read(int(line.split(b":")[1]))
                shown += 1
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--video", type=Path, help="measure with this one; default: synthetic people, 720p25")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the synthetic video (%(default)s)")
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as folder:
        video = options.video or Path(folder, "people.mp4")
        if options.video is None:
            make_video(video, options.seconds)
        result = measure(video)
    print(json.dumps(result))
    return int(result["dropped"] > MOST_DROPPED * (result["pictures_shown"] + result["dropped"]))


if __name__ == "__main__":
    run_script(main)
