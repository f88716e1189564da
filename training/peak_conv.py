"""Make models/peak-conv.tflite: one large int8 convolution that `--benchmark` holds the models' speed against.

python -m training.peak_conv models/peak-conv.tflite
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from training.common.export import to_tflite

SIDE, CHANNELS = 64, 64


def main() -> None:
    import keras

    rng = np.random.default_rng(0)
    x = keras.Input((SIDE, SIDE, CHANNELS), batch_size=1, name="x")
    model = keras.Model(x, keras.layers.Conv2D(CHANNELS, 3, padding="same", activation="relu")(x))
    inputs = (rng.normal(size=(1, SIDE, SIDE, CHANNELS)).astype(np.float32) for _ in range(8))
    Path(sys.argv[1]).write_bytes(to_tflite(model, inputs))


if __name__ == "__main__":
    main()
