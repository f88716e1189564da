"""The README's moving picture, of synthetic faces through the true pipeline: python -m docs_tools.animation

Left what `edge-agender preview` shows, right the viewers so far. Each face is the average of some 120 people.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from edge_agender.audience.demography import AgeBands
from edge_agender.common.output import run_script
from edge_agender.config.settings import Config, DemoConfig, SourceConfig
from edge_agender.imaging.frame import Picture
from edge_agender.recordings.draw import COLOURS, FONT, annotate
from edge_agender.recordings.marks import scaled
from edge_agender.recordings.play import Player
from edge_agender.recordings.table import RunningTable
from edge_agender.recordings.verdicts import here_of, marks_of

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs/images/preview.webp"
# Played at the camera's rate, shown at a third of it; the first seconds, before anybody has come, are left out.
RATE_HZ, EVERY = 15.0, 2
FROM_S, TO_S = 3.0, 15.0
SIZE, PANEL_PX = (480, 360), 220
INK, PAPER, SOFT = (239, 237, 231), (34, 35, 26), (176, 179, 165)
MOST_BYTES = 400_000


def panel(table: RunningTable) -> Picture:
    """Return viewers so far as bars by age, female and male beside each other."""
    picture = np.full((SIZE[1], PANEL_PX, 3), PAPER, np.uint8)
    cells = table.cells()
    cv2.putText(picture, f"{table.viewers} viewers", (12, 28), FONT, 0.62, INK, 1, cv2.LINE_AA)
    cv2.putText(picture, "female", (70, 52), FONT, 0.42, COLOURS["female"], 1, cv2.LINE_AA)
    cv2.putText(picture, "male", (130, 52), FONT, 0.42, COLOURS["male"], 1, cv2.LINE_AA)
    for number, band in enumerate(list(cells["female"])[:-1]):
        y = 78 + 35 * number
        cv2.putText(picture, band, (12, y + 6), FONT, 0.42, SOFT, 1, cv2.LINE_AA)
        for gender, up in (("female", -8), ("male", 4)):
            long = min(22 * cells[gender][band], PANEL_PX - 80)
            cv2.rectangle(picture, (70, y + up), (71 + long, y + up + 9), COLOURS[gender], cv2.FILLED)
    return picture


def frames() -> list[Picture]:
    """Play the demo and return what is shown."""
    demo = DemoConfig(people=4, pace=False, duration_s=TO_S)
    source = SourceConfig(kind="demo", width_px=960, height_px=720, rate_hz=RATE_HZ, demo=demo)
    config = Config(source=source)
    table, shown = RunningTable(AgeBands(config.audience.age_bands)), []
    with Player(config) as player:
        for step in player.steps():
            if step is None:
                continue
            table.add(step.visits, here_of(step, config))
            if step.t_s >= FROM_S and step.frame.sequence % EVERY == 0:
                small = cv2.resize(step.frame.full, SIZE, interpolation=cv2.INTER_AREA)
                annotate(small, scaled(marks_of(step, config), SIZE[0] / step.frame.full.shape[1]))
                shown.append(np.hstack([small, panel(table)]))
    return shown


def write(path: Path, pictures: list[Picture], quality: int) -> int:
    """Write an animated WebP that goes round for ever and return its bytes."""
    with av.open(str(path), "w", format="webp", options={"loop": "0"}) as container:
        stream = container.add_stream("libwebp_anim", rate=Fraction(RATE_HZ) / EVERY)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"quality": str(quality), "compression_level": "6"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return path.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    pictures = frames()
    quality = next(each for each in (30, 20, 10) if write(out, pictures, each) <= MOST_BYTES)
    print(f"{out}: {len(pictures)} pictures, quality {quality}, {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    run_script(main)
