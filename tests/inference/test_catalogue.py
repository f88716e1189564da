import hashlib
from pathlib import Path

import pytest
import yaml

from edge_agender.errors import ModelError
from edge_agender.inference import catalogue as models
from tests.support import tiny_models

OUTPUTS = {
    "age": {"tensor": "means", "columns": [0, 1], "decode": "years"},
    "gender": {"tensor": "means", "columns": [1, 2], "decode": "one", "high": 255},
}


@pytest.fixture
def folders(tmp_path):
    user, shipped = tmp_path / "user", tmp_path / "shipped"
    user.mkdir()
    shipped.mkdir()
    return user, shipped


def entry(folder, name="means.tflite"):
    return tiny_models.estimator_entry(tiny_models.file_entry(folder, name, tiny_models.colour_means()), OUTPUTS)


def test_a_model_is_found_with_its_name_and_folder(folders):
    user, shipped = folders
    tiny_models.write_manifest(shipped, {"agender": entry(shipped)})
    tiny_models.write_manifest(user, {"mine": entry(user)})
    assert (models.find_model("agender", user, shipped).folder, models.find_model("mine", user, shipped).folder) == (
        shipped,
        user,
    )
    assert models.find_model("mine", user, shipped).name == "mine"


def test_an_added_model_cannot_take_the_name_of_a_shipped_one(folders):
    for folder in folders:
        tiny_models.write_manifest(folder, {"agender": entry(folder)})
    assert models.find_model("agender", *folders).folder == folders[1]


def test_an_unknown_name_gets_the_nearest_one(folders):
    tiny_models.write_manifest(folders[1], {"agender-ssrnet": entry(folders[1])})
    with pytest.raises(ModelError, match="did you mean agender-ssrnet"):
        models.find_model("agender-ssrnt", *folders)


def test_a_published_model_says_how_to_install_it(folders):
    tiny_models.write_manifest(folders[1], {"res10": entry(folders[1])}, "published.yaml")
    with pytest.raises(ModelError, match="edge-agender models add res10"):
        models.find_model("res10", *folders)


def test_the_bytes_that_were_hashed_are_the_bytes_returned(folders):
    data = tiny_models.colour_means()
    tiny_models.write_manifest(folders[1], {"m": entry(folders[1])})
    spec = models.find_model("m", *folders)
    assert models.read_verified(spec.folder, spec.networks[0].weights) == data


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: data[:-9], "truncated"),
        (lambda data: data + b"x", "larger"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "SHA-256"),
    ],
)
def test_a_file_that_is_not_the_described_one_is_refused(folders, spoil, says):
    tiny_models.write_manifest(folders[1], {"m": entry(folders[1])})
    spec = models.find_model("m", *folders)
    file = spec.folder / "means.tflite"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(ModelError, match=says):
        models.read_verified(spec.folder, spec.networks[0].weights)


def test_a_missing_file_is_said_so(folders):
    tiny_models.write_manifest(folders[1], {"m": entry(folders[1])})
    (folders[1] / "means.tflite").unlink()
    spec = models.find_model("m", *folders)
    with pytest.raises(ModelError, match="means"):
        models.read_verified(spec.folder, spec.networks[0].weights)


def test_a_file_without_a_hash_never_reaches_an_interpreter(folders):
    described = entry(folders[1])
    del described["networks"][0]["weights"]["sha256"]
    tiny_models.write_manifest(folders[1], {"m": described})
    spec = models.find_model("m", *folders)
    with pytest.raises(ModelError, match="no SHA-256"):
        models.read_verified(spec.folder, spec.networks[0].weights)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/b", "..", ".hidden", "", "a\\b", "a\0b", "x" * 200])
def test_a_file_name_cannot_leave_the_folder(folders, name):
    described = entry(folders[1])
    described["networks"][0]["weights"]["name"] = name
    with pytest.raises(ModelError, match=r"weights\.name"):
        models.load_manifest(tiny_models.write_manifest(folders[1], {"m": described}))


def test_a_manifest_cannot_say_where_it_lies(folders):
    described = entry(folders[1]) | {"folder": "/etc", "name": "other"}
    loaded = models.load_manifest(tiny_models.write_manifest(folders[1], {"m": described}))
    assert loaded["m"].folder == folders[1]
    assert loaded["m"].name == "m"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"role": "spy"}, "role"),
        ({"unknown": 1}, "unknown"),
        ({"input": {"size": [8, 8], "colour": "bgr", "scale": "minmaxx"}}, "scale"),
        ({"input": {"size": [100000, 8], "colour": "bgr"}}, "size"),
        ({"networks": []}, "networks"),
        ({"multiply_adds": -1}, "multiply_adds"),
    ],
)
def test_a_wrong_description_is_one_line_with_its_path(folders, change, where):
    path = tiny_models.write_manifest(folders[1], {"m": entry(folders[1]) | change})
    with pytest.raises(ModelError, match=where) as caught:
        models.load_manifest(path)
    assert "\n" not in str(caught.value)


def test_an_estimator_says_one_age_and_one_gender(folders):
    described = entry(folders[1])
    described["networks"][0]["outputs"] = {"age": OUTPUTS["age"]}
    with pytest.raises(ModelError, match="one age and one gender"):
        models.load_manifest(tiny_models.write_manifest(folders[1], {"m": described}))


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe\x00",
        b"[1, 2",
        b"a: &x [1]\nb: *x",
        b"!!python/object/apply:os.system ['true']",
        b"just text",
        b"a: !!bool maybe",
        b"a: !!map [[b, c, d]]",
        b"a: !!int ''",
        b"a: !!timestamp soon",
        b"",
        b"{" * 5000,
        b"- " * 100_000,  # libyaml's stack overflowed
        b"[" * 100_000,
        b"schema: edge-agender-models/1\nmodels: {}\nmodels: {}",
        b"schema: edge-agender-models/9\nmodels: {}",
    ],
)
def test_hostile_or_foreign_text_is_one_line(tmp_path, text):
    path = tmp_path / "manifest.yaml"
    path.write_bytes(text)
    with pytest.raises(ModelError) as caught:
        models.load_manifest(path)
    assert "\n" not in str(caught.value)


def test_a_manifest_has_a_size_limit(tmp_path):
    path = tmp_path / "manifest.yaml"
    path.write_bytes(b"#" * (models.MAX_MANIFEST_BYTES + 1))
    with pytest.raises(ModelError, match="larger"):
        models.load_manifest(path)


def test_no_manifest_is_no_models(tmp_path):
    assert models.load_manifest(tmp_path / "manifest.yaml") == {}


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"STATE_DIRECTORY": "/var/lib/edge-agender:/var/lib/more"}, "/var/lib/edge-agender/models"),
        ({"XDG_DATA_HOME": "/data"}, "/data/edge-agender/models"),
        ({"HOME": "/home/pi"}, "/home/pi/.local/share/edge-agender/models"),
    ],
)
def test_where_added_models_lie(environment, folder):
    assert models.user_folder(environment) == Path(folder)


def shipped_specs():
    folder = models.shipped_folder()
    return list((models.load_manifest(folder / models.MANIFEST)).values())


def test_every_shipped_manifest_can_be_read():
    folder = models.shipped_folder()
    assert models.load_manifest(folder / models.MANIFEST)
    assert models.load_manifest(folder / models.PUBLISHED)


@pytest.mark.parametrize("spec", shipped_specs(), ids=lambda spec: spec.name)
def test_shipped_files_are_there_with_hash_and_card(spec):
    for file in (file for network in spec.networks for file in network.files):
        data = models.read_verified(spec.folder, file)
        assert hashlib.sha256(data).hexdigest() == file.sha256
    assert spec.card
    assert (spec.folder / spec.card).is_file()
    assert spec.verified


def test_no_two_manifests_describe_the_same_name():
    folder = models.shipped_folder()
    names = [set(yaml.safe_load((folder / name).read_text())["models"]) for name in ("manifest.yaml", "published.yaml")]
    assert not names[0] & names[1]


# One large convolution, no model: what the benchmark holds the models' speed against.
YARDSTICK = "peak-conv.tflite"


def test_nothing_ships_that_no_manifest_describes():
    folder = models.shipped_folder()
    described = {file.name for spec in shipped_specs() for network in spec.networks for file in network.files}
    cards = {spec.card for spec in shipped_specs()}
    cards |= {f"{Path(card).stem}.NOTICE" for card in cards if card}
    there = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert there - {models.MANIFEST, models.PUBLISHED, YARDSTICK} <= described | cards
