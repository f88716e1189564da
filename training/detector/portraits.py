"""Box labels for portraits that have none, from the res10 SSD: `python -m training.detector.portraits`.

WIDER's scenes hold few faces that fill the picture; portrait collections hold little else but carry no boxes. On WIDER
faces of at least 12 % of the picture's height res10's boxes differ from WIDER's own by a factor of 0.973 in width and
1.001 in height, and by less than 0.2 % in position (medians of 406 faces), so one factor maps them over.
"""

from __future__ import annotations

import argparse
import json
import zlib
from pathlib import Path

import cv2
import numpy as np

from edge_agender.imaging.frame import Array

WIDTH_FACTOR = 0.973
MEAN_BGR = (104, 177, 123)
BORDER = 0.3  # of the side, on each side: res10 wants context that tight crops lack


def detect(net: cv2.dnn.Net, image_bgr: Array) -> tuple[Array, Array]:
    """Return scores (n,) and corners (n, 4) in pixels, of one B, G, R picture."""
    height, width = image_bgr.shape[:2]
    net.setInput(cv2.dnn.blobFromImage(image_bgr, 1.0, (300, 300), MEAN_BGR))
    rows = net.forward()[0, 0]
    return rows[:, 2], rows[:, 3:7] * [width, height, width, height]


def label(net: cv2.dnn.Net, image_bgr: Array, min_score: float) -> list[float] | None:
    """Return [x, y, w, h] of the one clear face in the middle of a portrait, or None."""
    height, width = image_bgr.shape[:2]
    top, left = round(height * BORDER), round(width * BORDER)
    padded = cv2.copyMakeBorder(image_bgr, top, top, left, left, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    scores, boxes = detect(net, padded)
    boxes = boxes - [left, top, left, top]
    sure = scores >= min_score
    large = sure & ((boxes[:, 3] - boxes[:, 1]) > 0.2 * height)
    if large.sum() != 1 or (scores[~large] > 0.3).any():
        return None
    x1, y1, x2, y2 = boxes[large][0]
    middle, half = (x1 + x2) / 2, (x2 - x1) / 2 * WIDTH_FACTOR
    return [round(float(v), 1) for v in (middle - half, y1, 2 * half, y2 - y1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds aaf/ and utkface/")
    parser.add_argument("--model", required=True, help="res10 without its ending: .pbtxt and _uint8.pb are added")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--limit", type=int, default=4000, help="pictures of each collection")
    parser.add_argument("--min-score", type=float, default=0.8)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    net = cv2.dnn.readNetFromTensorflow(f"{args.model}_uint8.pb", f"{args.model}.pbtxt")
    labels = []
    for collection in ("aaf", "utkface"):
        paths = sorted((args.data / collection).glob("*.jpg"), key=lambda path: zlib.crc32(path.name.encode()))
        for path in paths[: args.limit]:
            image = cv2.imread(str(path))
            box = label(net, image, args.min_score)
            if box is not None:
                labels.append(
                    {
                        "path": f"{collection}/{path.name}",
                        "width": image.shape[1],
                        "height": image.shape[0],
                        "faces": [{"box": box, "ignore": False}],
                    }
                )
        heights = [row["faces"][0]["box"][3] / row["height"] for row in labels if row["path"].startswith(collection)]
        print(
            f"{collection}: {len(heights)} of {len(paths[: args.limit])} labelled, "
            f"median height {np.median(heights):.2f}"
        )
    args.out.write_text(json.dumps(labels))


if __name__ == "__main__":
    main()
