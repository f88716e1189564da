import cv2
import numpy as np
import pytest

from edge_agender.errors import ModelError
from edge_agender.inference.dnn import DnnNetwork
from edge_agender.vision import decode
from tests.support import tiny_models


def test_an_onnx_network_runs_from_memory():
    picture = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    outputs = DnnNetwork("onnx", tiny_models.onnx_means()).run(picture)
    np.testing.assert_allclose(outputs["means"].ravel(), picture.mean((0, 2, 3)), rtol=1e-5)


@pytest.mark.skipif(not hasattr(cv2.dnn, "readNetFromCaffe"), reason="this OpenCV reads no Caffe networks")
def test_a_caffe_network_of_the_old_kind_runs_from_memory():
    weights = np.eye(3, dtype=np.float32)[[2, 0]]
    picture = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    outputs = DnnNetwork("caffe", *tiny_models.caffe_classes(weights)).run(picture)
    np.testing.assert_allclose(outputs["prob"][0], decode.softmax(weights @ picture.mean((0, 2, 3))), rtol=1e-5)


@pytest.mark.parametrize("kind", ["onnx", "tensorflow"])
@pytest.mark.parametrize("junk", [b"", b"<html>404</html>" * 20])
def test_a_foreign_file_is_one_line_that_names_the_model(kind, junk, capfd):
    with pytest.raises(ModelError) as caught:
        DnnNetwork(kind, junk, name="res10")
    assert str(caught.value).startswith("res10: ")
    assert "\n" not in str(caught.value)


def test_an_importer_that_this_opencv_lacks_says_which_to_install(monkeypatch):
    monkeypatch.delattr(cv2.dnn, "readNetFromCaffe", raising=False)  # as in OpenCV 5
    with pytest.raises(ModelError, match="opencv-python-headless<5"):
        DnnNetwork("caffe", b"weights", b"description")


def test_a_picture_that_does_not_fit_is_refused():
    with pytest.raises(ModelError):
        DnnNetwork("onnx", tiny_models.onnx_means()).run(np.zeros((2, 2), np.float32))
