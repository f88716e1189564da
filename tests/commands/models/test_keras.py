import importlib.util

import numpy as np
import pytest

from edge_agender.commands.models.install import add_model
from edge_agender.commands.models.keras import convert, ssrnet
from edge_agender.errors import ModelError
from edge_agender.inference.tflite import Network
from edge_agender.vision.estimator import ModelEstimator
from tests.support.paths import SHARED

MODELS = SHARED / "models"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="needs TensorFlow, the extra [convert]"),
]


def weights(name):
    path = MODELS / f"ssrnet_{name}.h5"
    if not path.is_file():
        pytest.skip("needs ../shared/models")
    return path


@pytest.mark.parametrize("name", ["age_megaface_asian", "age_morph2", "gender_imdb"])
def test_a_converted_ssrnet_equals_its_keras_original(name):
    import keras

    path = weights(name)
    pictures = np.random.default_rng(5).integers(0, 256, (16, 64, 64, 3)).astype(np.float32)
    original = ssrnet(keras, path, name).predict(pictures, verbose=0)["value"].ravel()
    network = Network(convert("ssrnet-keras", path.read_bytes(), name))
    converted = [float(network.run(picture[None])["value"][0, 0]) for picture in pictures]
    assert np.abs(original - converted).max() < 0.01
    assert np.ptp(original) > 0.001


def test_ssrnet_is_added_whole(tmp_path):
    weights("age_megaface_asian")
    spec = add_model("ssrnet", MODELS, tmp_path)
    estimate = ModelEstimator(spec).estimate([np.full((64, 64, 3), (90, 120, 160), np.uint8)])[0]
    assert 0 < estimate.years < 101


def test_a_whole_keras_network_keeps_the_names_of_its_output_layers(tmp_path):
    import keras

    picture = keras.Input((8, 8, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(picture)
    outputs = [keras.layers.Dense(1, name="age_output")(pooled), keras.layers.Dense(2, name="gender_output")(pooled)]
    keras.Model(picture, outputs).save(tmp_path / "whole.h5")
    network = Network(convert("keras", (tmp_path / "whole.h5").read_bytes(), "whole.h5"))
    assert set(network.outputs) == {"age_output", "gender_output"}


@pytest.mark.parametrize("how", ["ssrnet-keras", "keras"])
@pytest.mark.parametrize("junk", [b"", b"\x89HDF\r\n\x1a\n" + b"\0" * 500, b"<html>404</html>"])
def test_a_foreign_file_is_one_line(how, junk):
    with pytest.raises(ModelError, match=r"x\.h5: cannot be converted"):
        convert(how, junk, "x.h5")
