import cv2
import numpy as np
import pytest

from edge_agender.errors import ModelError
from edge_agender.inference import catalogue as models
from edge_agender.inference.encode import picture_values
from edge_agender.inference.network import DnnRunner, TfliteRunner, check_input, encoder, lookup_table, open_runner
from edge_agender.inference.spec import InputSpec
from edge_agender.inference.tflite import Network, Tensor, quantize
from tests.support import tiny_models

PICTURE = np.random.default_rng(2).integers(0, 256, (8, 8, 3), dtype=np.uint8)
SCALES = [
    {"scale": "none"},
    {"scale": "unit"},
    {"scale": "symmetric"},
    {"scale": "mean", "mean": (100, 117, 123), "divide": (1, 2, 4)},
    {"scale": "minmax"},
    {"scale": "standardize"},
    {"scale": "brightest"},
]


@pytest.mark.parametrize("colour", ["bgr", "rgb"])
@pytest.mark.parametrize("scaling", SCALES, ids=lambda scaling: scaling["scale"])
def test_a_look_up_scales_as_arithmetic_does(scaling, colour):
    spec = InputSpec(size=(8, 8), colour=colour, **scaling)
    runner = TfliteRunner(Network(tiny_models.colour_means()), spec)
    expected = picture_values(PICTURE, spec).mean((0, 1))
    np.testing.assert_allclose(runner.feed(PICTURE)["means"][0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (9, 10)])
@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("colour", ["bgr", "rgb"])
@pytest.mark.parametrize("scaling", SCALES, ids=lambda scaling: scaling["scale"])
def test_what_a_network_was_fed_is_overwritten_and_the_picture_is_not(scaling, colour, layout, size, monkeypatch):
    spec = InputSpec(size=size, colour=colour, layout=layout, **scaling)
    fed = []
    look_up = cv2.LUT
    monkeypatch.setattr(cv2, "LUT", lambda *args: fed.append(look_up(*args)) or fed[-1])

    class Net:
        input = Tensor("picture", 0, spec.shape, np.dtype(np.float32), 0.0, 0)
        outputs = {}  # noqa: RUF012

        def run(self, value):
            assert value.any()
            fed.append(value)
            return {}

        def feed(self, fill):
            place = np.zeros(spec.shape, np.float32)
            fill(place)
            assert place.any()
            return {}

    picture = PICTURE.copy()
    (TfliteRunner if layout == "nhwc" else DnnRunner)(Net(), spec).feed(picture)
    assert (picture == PICTURE).all()
    assert len(fed) == 1
    assert not fed[0].any()


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 3), (30, 20, 3), (1, 1, 3)])
def test_pictures_of_any_size_and_depth_are_fed(shape):
    spec = InputSpec(size=(8, 8), colour="bgr")
    outputs = TfliteRunner(Network(tiny_models.colour_means()), spec).feed(np.full(shape, 7, np.uint8))
    assert outputs["means"].tolist() == [[7.0, 7.0, 7.0]]


def test_a_quantized_network_gets_whole_numbers_and_gives_floats_back():
    network = Network(tiny_models.bright_cells())
    spec = InputSpec(size=(320, 240), colour="grey", dtype="int8", scale="mean", mean=(128,), divide=(64,))
    table = lookup_table(network.input, spec)
    assert (table.dtype, table.shape) == (np.int8, (1, 256, 1))
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256)
    values = picture_values(ramp, spec.model_copy(update={"size": (256, 1)}))
    np.testing.assert_array_equal(table, quantize(values, network.input))
    scores = TfliteRunner(network, spec).feed(np.full((240, 320), 160, np.uint8))["scores"]
    assert scores.dtype == np.float32
    assert np.unique(scores).tolist() == [0.5]


def test_an_integer_input_without_a_scale_is_refused():
    made = tiny_models.Builder()
    made.tensor("image", (1, 8, 8, 3), "int8")
    made.tensor("copy", (1, 8, 8, 3), "int8")
    made.operator(tiny_models.schema.BuiltinOperator.ABS, [0], [1])
    spec = InputSpec(size=(8, 8), colour="bgr", dtype="int8")
    with pytest.raises(ModelError):
        check_input(Network(made.pack({"image": "image"}, {"copy": "copy"})).input, spec, "raw")


def test_what_is_opened_is_what_was_verified(tmp_path):
    file = tiny_models.file_entry(tmp_path, "m.tflite", tiny_models.colour_means())
    outputs = {
        "age": {"tensor": "means", "columns": [0, 1], "decode": "years"},
        "gender": {"tensor": "means", "columns": [1, 2], "decode": "one"},
    }
    tiny_models.write_manifest(tmp_path, {"m": tiny_models.estimator_entry(file, outputs)})
    spec = models.find_model("m", tmp_path, tmp_path)
    (tmp_path / "m.tflite").write_bytes(tiny_models.roots())
    with pytest.raises(ModelError, match="install the model again"):
        open_runner(spec, spec.networks[0], 1)


@pytest.mark.parametrize("scale", [1.0, 0.5], ids=["by a bit", "by look-up"])
def test_pixels_are_encoded_as_their_table_says(scale: float) -> None:
    tensor = Tensor("face", 0, (1, 8, 8, 3), np.dtype(np.int8), scale, -128)
    spec = InputSpec(size=(8, 8), colour="bgr", scale="none")
    wanted = lookup_table(tensor, spec)[0, PICTURE, np.arange(3)]
    encoded = np.zeros(tensor.shape, np.int8)
    encoder(tensor, spec)(PICTURE, encoded)
    np.testing.assert_array_equal(encoded[0], wanted)
