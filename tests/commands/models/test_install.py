import copy
import hashlib
import importlib.util
import io
import threading

import numpy as np
import pytest
import yaml

from edge_agender.commands.models import install as model_store
from edge_agender.commands.models.install import add_model, list_models, model_info
from edge_agender.errors import ModelError, UsageError
from edge_agender.inference import catalogue as models
from edge_agender.vision.estimator import ModelEstimator
from tests.support import tiny_models
from tests.support.paths import SHARED

MODELS = SHARED / "models"
OUTPUTS = {
    "age": {"tensor": "means", "columns": [0, 1], "decode": "years"},
    "gender": {"tensor": "means", "columns": [1, 2], "decode": "one", "high": 255},
}


@pytest.fixture
def place(tmp_path):
    """A folder of shipped manifests, one of files that somebody downloaded, and one for added models."""
    folders = {name: tmp_path / name for name in ("shipped", "downloads", "user")}
    folders["shipped"].mkdir()
    folders["downloads"].mkdir()
    return folders


def publish(place, data=None, outputs=OUTPUTS, **change):
    """Describe one published model, `tiny`, and put its file among the downloads."""
    file = tiny_models.file_entry(place["downloads"], "tiny.tflite", data or tiny_models.colour_means()) | change
    entry = tiny_models.estimator_entry({key: value for key, value in file.items() if value is not None}, outputs)
    tiny_models.write_manifest(place["shipped"], {"tiny": entry}, "published.yaml")
    tiny_models.write_manifest(place["shipped"], {})


def add(place, name="tiny", downloads=True):
    return add_model(name, place["downloads"] if downloads else None, place["user"], place["shipped"])


def installed(place):
    return sorted(path.name for path in place["user"].iterdir() if not path.name.startswith("."))


def test_an_added_model_can_be_opened_and_is_listed(place):
    publish(place)
    before = list_models(place["user"], place["shipped"])
    add(place)
    after = list_models(place["user"], place["shipped"])
    assert [(row.name, row.state) for row in before] == [("tiny", "available")]
    assert [(row.name, row.state) for row in after] == [("tiny", "added")]
    assert after[0].size_bytes == len(tiny_models.colour_means())
    estimator = ModelEstimator(models.find_model("tiny", place["user"], place["shipped"]))
    assert estimator.estimate([np.full((8, 8, 3), 60, np.uint8)])[0].years == 60.0


def test_a_model_of_ones_own_comes_with_its_manifest_and_card(place):
    publish(place)
    tiny_models.write_manifest(place["shipped"], {"ours": own_entry(place)})
    tiny_models.write_manifest(place["downloads"], {"mine": own_entry(place), "ours": copy.deepcopy(own_entry(place))})
    (place["downloads"] / "mine.md").write_text("# Model card: mine\n")
    add(place, "mine")
    assert model_info("mine", place["user"], place["shipped"])["card"] == "# Model card: mine\n"
    (place["downloads"] / "mine.md").write_text("# Model card: mine, again\n")
    add(place, "mine")
    assert model_info("mine", place["user"], place["shipped"])["card"] == "# Model card: mine, again\n"
    assert len([name for name in installed(place) if name.endswith(".md")]) == 1
    with pytest.raises(UsageError, match="a model that ships"):
        add(place, "ours")
    (place["downloads"] / "mine.md").unlink()
    with pytest.raises(ModelError, match="No such file"):
        add(place, "mine")


def own_entry(place):
    file = tiny_models.file_entry(place["downloads"], "tiny.tflite", tiny_models.colour_means())
    return copy.deepcopy(tiny_models.estimator_entry(file, OUTPUTS)) | {"card": "mine.md"}


def test_info_holds_the_description_and_the_card(place):
    publish(place)
    data = yaml.safe_load((place["shipped"] / "published.yaml").read_text())
    data["models"]["tiny"]["card"] = "tiny.md"
    (place["shipped"] / "published.yaml").write_text(yaml.safe_dump(data))
    (place["shipped"] / "tiny.md").write_text("# Tiny")
    info = model_info("tiny", place["user"], place["shipped"])
    assert (info["state"], info["card"]) == ("available", "# Tiny")
    assert info["description"]["input"] == {"size": [8, 8], "colour": "bgr"}
    with pytest.raises(UsageError, match="models list"):
        model_info("other", place["user"], place["shipped"])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: data[:-100], "truncated"),
        (lambda data: data + b"more", "larger"),
        (lambda data: b"\0" * len(data), "SHA-256"),
        (lambda data: b"<html>404 Not Found</html>", "truncated"),
        (lambda data: b"", "truncated"),
    ],
)
def test_a_wrong_download_is_refused_and_the_old_file_kept(place, spoil, says):
    publish(place)
    add(place)
    before = installed(place)
    file = place["downloads"] / "tiny.tflite"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(ModelError, match=says):
        add(place)
    assert installed(place) == before
    ModelEstimator(models.find_model("tiny", place["user"], place["shipped"]))


def test_a_model_whose_tensors_differ_from_its_description_is_refused_and_the_old_one_kept(place):
    publish(place)
    add(place)
    before = installed(place)
    publish(place, tiny_models.colour_means(size=16))
    with pytest.raises(ModelError, match="its input is"):
        add(place)
    publish(place, outputs=OUTPUTS | {"age": {"tensor": "pred_a", "decode": "years"}})
    with pytest.raises(ModelError, match="no output pred_a"):
        add(place)
    assert installed(place) == before
    ModelEstimator(models.find_model("tiny", place["user"], place["shipped"]))


def test_a_new_version_replaces_the_old_one_and_leaves_nothing_behind(place):
    publish(place)
    add(place)
    old = installed(place)
    publish(place, tiny_models.roots())
    add(place)
    assert len(installed(place)) == len(old) == 2
    assert installed(place) != old
    assert not list(place["user"].glob(".*.part"))


def test_a_stop_in_the_middle_leaves_the_old_version_whole(place, monkeypatch):
    publish(place)
    add(place)
    before = {path.name: path.read_bytes() for path in place["user"].iterdir()}
    publish(place, tiny_models.roots())

    def power_fails(spec):
        raise KeyboardInterrupt

    monkeypatch.setattr(model_store, "_try", power_fails)
    with pytest.raises(KeyboardInterrupt):
        add(place)
    assert {path.name: path.read_bytes() for path in place["user"].iterdir()} == before


def test_a_file_without_a_published_hash_comes_from_a_folder_only_and_its_hash_is_recorded(place):
    publish(place, sha256=None, size_bytes=None)
    with pytest.raises(ModelError, match="--from"):
        add(place, downloads=False)
    spec = add(place)
    assert spec.networks[0].weights.sha256 == hashlib.sha256(tiny_models.colour_means()).hexdigest()
    ModelEstimator(models.find_model("tiny", place["user"], place["shipped"]))


def test_a_missing_file_and_an_unknown_name(place):
    publish(place)
    (place["downloads"] / "tiny.tflite").unlink()
    with pytest.raises(ModelError, match="No such file"):
        add(place)
    with pytest.raises(UsageError, match="known: tiny"):
        add(place, "tinny")


def test_a_folder_that_cannot_be_written_is_one_line(place):
    publish(place)
    place["user"].write_text("a file where the folder should be")
    with pytest.raises(ModelError, match="cannot be stored here"):
        add(place)


def test_two_additions_at_once_both_stay(place):
    publish(place)
    data = yaml.safe_load((place["shipped"] / "published.yaml").read_text())
    data["models"] = {f"tiny-{number}": copy.deepcopy(data["models"]["tiny"]) for number in range(4)}
    (place["shipped"] / "published.yaml").write_text(yaml.safe_dump(data))
    threads = [threading.Thread(target=add, args=(place, name)) for name in data["models"]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(models.load_manifest(place["user"] / "manifest.yaml")) == set(data["models"])


class Answer(io.BytesIO):
    url = "https://example.org/tiny.tflite"


def test_a_download_is_limited_to_what_is_described(place, monkeypatch):
    publish(place, url="https://example.org/tiny.tflite")
    asked = []

    def urlopen(url, timeout):
        asked.append((url, timeout))
        return Answer(tiny_models.colour_means())

    monkeypatch.setattr(model_store.urllib.request, "urlopen", urlopen)
    add(place, downloads=False)
    assert asked == [("https://example.org/tiny.tflite", model_store.TIMEOUT_S)]
    monkeypatch.setattr(model_store.urllib.request, "urlopen", lambda url, timeout: Answer(b"\0" * 10_000_000))
    with pytest.raises(ModelError, match="larger"):
        add(place, downloads=False)


def test_no_network_is_one_line(place, monkeypatch):
    publish(place, url="https://example.invalid/tiny.tflite")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="--from") as caught:
        add(place, downloads=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://example.org/x", "file:///etc/passwd", "ftp://example.org/x"])
def test_an_address_that_is_not_https_is_refused(place, url):
    publish(place, url=url)
    with pytest.raises(ModelError, match="url"):
        add(place)


def test_res10_is_added_from_a_folder(tmp_path):
    if not MODELS.is_dir():
        pytest.skip("needs ../shared/models")
    spec = add_model("res10", MODELS, tmp_path)
    assert len(installed({"user": tmp_path})) == 3
    assert models.find_model("res10", tmp_path) == spec


def test_converting_without_tensorflow_says_what_to_install(tmp_path):
    if importlib.util.find_spec("tensorflow"):
        pytest.skip("TensorFlow is installed here")
    if not MODELS.is_dir():
        pytest.skip("needs ../shared/models")
    with pytest.raises(ModelError, match=r"edge-agender\[convert\]"):
        add_model("ssrnet", MODELS, tmp_path)
    assert installed({"user": tmp_path}) == []
