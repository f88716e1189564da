"""What a picture of a 720p stream costs: PyAV as the sources use it, against OpenCV's VideoCapture, in turn.

Usage: python -m benchmarks.streams
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2

from edge_agender.capture.sources import open_source
from edge_agender.common.output import run_script
from edge_agender.config.settings import DemoConfig, OpencvConfig, SourceConfig
from edge_agender.imaging.frame import Frame
from edge_agender.imaging.preprocess import small_luma, small_picture

SIZE, SMALL, PICTURES, ROUNDS = (1280, 720), (320, 240), 150, 5


def make(path: Path) -> None:
    """Write the demo's people as H.264, as a camera would."""
    import av

    demo = DemoConfig(pace=False)
    config = SourceConfig(kind="demo", width_px=SIZE[0], height_px=SIZE[1], demo=demo)
    with av.open(str(path), "w") as output, open_source(config, threading.Event()) as source:
        stream = output.add_stream("libx264", rate=15, options={"preset": "veryfast", "g": "30"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for _ in range(PICTURES):
            frame = source.read()
            assert frame is not None
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame.full, format="bgr24")))
        output.mux(stream.encode(None))


def by_pyav(path: Path, use: Callable[[Frame], object]) -> Iterator[None]:
    config = SourceConfig(kind="opencv", opencv=OpencvConfig(uri=str(path), pace=False))
    with open_source(config, threading.Event()) as source:
        while (frame := source.read()) is not None:
            use(frame)
            frame.release()
            yield


USES: dict[str, Callable[[Frame], object]] = {
    "not searched: luma alone": lambda frame: None,
    "a face is cut out: luma and colour": lambda frame: frame.full,
    "searched: luma, colour, scaled for the detector": lambda frame: small_picture(frame.full, SMALL),
}


def by_opencv(path: Path) -> Iterator[None]:
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    while capture.grab():
        picture = capture.retrieve()[1]
        small = small_luma(picture, SMALL)
        small.fill(0)
        picture.fill(0)
        yield


def ms_each(pictures: Iterator[None]) -> float:
    """Return the processor's milliseconds a picture, the first left out."""
    next(pictures)
    began_s = time.process_time()
    count = sum(1 for _ in pictures)
    return 1000 * (time.process_time() - began_s) / count


def main() -> None:
    cv2.setNumThreads(1)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "video.mp4")
        make(path)
        for _ in range(ROUNDS):
            for name, use in USES.items():
                found.setdefault(f"PyAV, {name}", []).append(ms_each(by_pyav(path, use)))
            found.setdefault("OpenCV: colour, luma from it", []).append(ms_each(by_opencv(path)))
    for name, each in found.items():
        print(f"{name}: {statistics.median(each):.2f} ms ({min(each):.2f} to {max(each):.2f})")


if __name__ == "__main__":
    run_script(main)
