"""YuNet-n's published weights in our network: what training starts from, and a peer on the same pictures.

The file is `yunet_n.onnx` of libfacedetection.train (Apache-2.0), also in OpenCV's zoo as face_detection_yunet.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.detector.network import LOGIT_UNIT, STRIDES

# The published layers in their order, behind the stem, in our names; each is a pointwise and a depthwise convolution.
_PAIRS = (
    *("body2", "body4_a", "body4_b", "body4_c", "body4_d"),
    *(f"body{stride}_{part}" for stride in STRIDES for part in "ab"),
    *(f"neck{stride}" for stride in reversed(STRIDES)),
    *(f"head{stride}" for stride in STRIDES),
)
_HEADS = ("cls", "bbox", "obj", "kps")  # three strides each, in this order


def convolutions(path: Path) -> list[tuple[Tensor, Tensor]]:
    """Return weight and bias of each convolution of an ONNX file, in the order in which they run."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    known = {each.name: torch.from_numpy(np.array(numpy_helper.to_array(each))) for each in graph.initializer}
    return [(known[node.input[1]], known[node.input[2]]) for node in graph.node if node.op_type == "Conv"]


def _dense(pointwise: tuple[Tensor, Tensor], depthwise: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the one 3x3 convolution that does what both do (but where the picture's edge cuts the bias)."""
    (inner, shift), (outer, bias) = pointwise, depthwise
    return inner * outer, bias + shift * outer.sum((1, 2, 3))


def published(path: Path) -> dict[str, Tensor]:
    """Return YuNet-n's weights as the state of our network. Raises ValueError where the file is another one.

    Our stem lies a pixel further right and down than YuNet's, since it pads behind the picture only: boxes and points
    are moved by as much.
    """
    every = convolutions(path)
    own, heads = every[1 : 1 + 2 * len(_PAIRS)], every[1 + 2 * len(_PAIRS) :]
    if len(heads) != 2 * len(_HEADS) * len(STRIDES):
        raise ValueError(f"{path} is not YuNet-n: it has {len(every)} convolutions")
    layers = {"stem": every[0]}
    for place, name in enumerate(_PAIRS):
        layers[f"{name}_pw"], layers[f"{name}_dw"] = own[2 * place], own[2 * place + 1]
    for stride in STRIDES:
        layers |= {f"mark{stride}_{part}": layers[f"head{stride}_{part}"] for part in ("pw", "dw")}
    dense = [_dense(heads[i], heads[i + 1]) for i in range(0, len(heads), 2)]
    for i, stride in enumerate(STRIDES):
        face, box, quality, points = (dense[kind * len(STRIDES) + i] for kind in range(len(_HEADS)))
        logit = [(a + b) / 2 / LOGIT_UNIT for a, b in zip(face, quality, strict=True)]
        shift = torch.tensor([1.0, 1.0, 0.0, 0.0]) / stride
        layers[f"cells{stride}"] = torch.cat([logit[0], box[0]]), torch.cat([logit[1], box[1] + shift])
        layers[f"points{stride}"] = points[0], points[1] + 1 / stride
    return {
        f"layers.{name}.conv.{part}": value
        for name, pair in layers.items()
        for part, value in zip(("weight", "bias"), pair, strict=True)
    }
