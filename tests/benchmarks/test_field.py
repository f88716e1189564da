from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.field.detectors import cells, fitted
from benchmarks.field.tfjs import unfused, weights


def test_weights_are_read_one_after_the_other_and_what_was_quantized_becomes_float_again(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes([0, 1, 255]) + np.array([1.5], "<f4").tobytes())
    entries = [
        {"name": "q", "shape": [3], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}},
        {"name": "f", "shape": [1, 1], "dtype": "float32"},
    ]
    found = weights([{"paths": ["a.bin"], "weights": entries}], tmp_path)
    assert found["q"].tolist() == [-1.0, -0.5, 126.5]
    assert found["f"].tolist() == [[1.5]]
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}


def test_a_dense_layer_in_one_is_taken_apart_and_keeps_its_name_for_the_last_step() -> None:
    fused = {"name": "d", "op": "_FusedMatMul", "input": ["x", "w", "b"]}
    for steps, wanted in ((["B"], ["MatMul", "BiasAdd"]), (["B", "R"], ["MatMul", "BiasAdd", "Relu"])):
        nodes = list(unfused({**fused, "attr": {"fused_ops": {"list": {"s": steps}}}}))
        assert [node["op"] for node in nodes] == wanted
        assert nodes[-1]["name"] == "d"
        assert nodes[0]["input"] == ["x", "w"]
        assert nodes[1]["input"] == [nodes[0]["name"], "b"]
    assert list(unfused({"name": "r", "op": "Relu", "input": ["x"]})) == [{"name": "r", "op": "Relu", "input": ["x"]}]


def test_cells_stand_row_by_row_stride_by_stride() -> None:
    corner, stride = cells((64, 32), 1)
    assert len(corner) == 8 * 4 + 4 * 2 + 2 * 1
    assert corner[:9].tolist() == [[8.0 * x, 0.0] for x in range(8)] + [[0.0, 8.0]]
    assert stride[32:41, 0].tolist() == [16.0] * 8 + [32.0]
    assert len(cells((64, 32), 2)[0]) == 2 * len(corner)


def test_a_picture_is_fitted_into_the_top_left() -> None:
    canvas, factor = fitted(np.full((100, 400, 3), 9, np.uint8), (200, 100))
    assert (canvas.shape, factor) == ((100, 200, 3), 0.5)
    assert (canvas[:50] == 9).all()
    assert (canvas[50:] == 0).all()
