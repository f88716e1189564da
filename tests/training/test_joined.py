import numpy as np
import pytest

from edge_agender.inference.tflite import Network, dequantize
from tests.support import tiny_models
from training.common.joined import joined


def test_joined_outputs_say_the_same_in_the_order_asked_for() -> None:
    model = tiny_models.bright_cells(reach=(1, 2, 0.5, 3))
    apart, together = Network(model), Network(joined(model, ["boxes", "scores"]))
    picture = np.random.default_rng(0).integers(-128, 128, apart.input.shape, np.int8)
    outputs = apart.run(picture)
    wanted = [dequantize(outputs[name], apart.outputs[name]) for name in ("boxes", "scores")]
    assert list(together.outputs) == ["values"]
    np.testing.assert_array_equal(together.run(picture)["values"], [np.concatenate(wanted, axis=None)])


def test_floats_are_joined_as_they_are() -> None:
    network = Network(joined(tiny_models.colour_means(), ["means", "means"], "twice"))
    outputs = network.run(np.full(network.input.shape, 7, np.float32))
    assert outputs["twice"].tolist() == [[7.0] * 6]


def test_an_output_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no output ages: it has boxes, scores"):
        joined(tiny_models.bright_cells(), ["ages", "scores"])
