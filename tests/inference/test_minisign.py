"""Signed manifests: what the real minisign makes is accepted, and no changed byte of anything is."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agender.cli import main
from edge_agender.commands.doctor.models import check_models
from edge_agender.config.load import load
from edge_agender.device.installation import Place
from edge_agender.errors import ConfigError, EdgeAgenderError, ModelError
from edge_agender.inference import catalogue as models
from edge_agender.inference import minisign
from edge_agender.vision.assembly import build_pipeline
from tests.support import tiny_models

ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519", reason="needs cryptography")

MANIFEST = b"schema: edge-agender-models/1\nmodels: {}\n"
UNTRUSTED = b"untrusted comment: "


@dataclass(frozen=True)
class Signer:
    """What minisign does, in a few lines."""

    secret: bytes
    key_id: bytes = b"\x01\x02\x03\x04\x05\x06\x07\x08"

    @property
    def private(self) -> ed25519.Ed25519PrivateKey:
        return ed25519.Ed25519PrivateKey.from_private_bytes(self.secret)

    @property
    def public_key(self) -> str:
        return base64.b64encode(b"Ed" + self.key_id + self.private.public_key().public_bytes_raw()).decode()

    def sign(self, data: bytes, *, prehashed: bool = True, comment: bytes = b"release 7, caf\xc3\xa9") -> bytes:
        kind, message = (b"ED", hashlib.blake2b(data).digest()) if prehashed else (b"Ed", data)
        raw = self.private.sign(message)
        lines = [
            UNTRUSTED + b"from a test",
            base64.b64encode(kind + self.key_id + raw),
            b"trusted comment: " + comment,
            base64.b64encode(self.private.sign(raw + comment)),
        ]
        return b"\n".join(lines) + b"\n"


SIGNER = Signer(bytes(range(32)))


def flipped(data: bytes, at: int, bits: int) -> bytes:
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


@pytest.mark.parametrize("prehashed", [True, False])
def test_a_signature_of_either_kind_holds(prehashed: bool) -> None:
    signature = SIGNER.sign(MANIFEST, prehashed=prehashed)
    assert minisign.verify(MANIFEST, signature, SIGNER.public_key, "manifest.yaml") == "release 7, café"


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_no_flipped_bit_of_manifest_signature_comment_or_key_is_accepted(data: st.DataObject) -> None:
    prehashed = data.draw(st.booleans())
    parts = [MANIFEST, SIGNER.sign(MANIFEST, prehashed=prehashed), SIGNER.public_key.encode()]
    which = data.draw(st.sampled_from([0, 1, 2]))
    at, bits = data.draw(st.integers(0, len(parts[which]) - 1)), data.draw(st.integers(1, 255))
    changed = flipped(parts[which], at, bits)
    # The words of the untrusted comment are nobody's, in minisign too; its end and the prefix are looked at.
    words = range(len(UNTRUSTED), parts[1].index(b"\n"))
    if which == 1 and at in words:
        return
    parts[which] = changed
    with pytest.raises(EdgeAgenderError):
        minisign.verify(parts[0], parts[1], parts[2].decode("latin-1"), "manifest.yaml")


def test_no_single_byte_of_a_signature_may_differ_save_in_the_untrusted_words() -> None:
    """The property above, over every byte, with the flips that base64 and line ends are known to let pass."""
    signature = SIGNER.sign(MANIFEST)
    words = range(len(UNTRUSTED), signature.index(b"\n"))
    accepted = set()
    for at in range(len(signature)):
        for bits in (1, 2, 4, 7, 8, 32, 128):
            try:
                minisign.verify(MANIFEST, flipped(signature, at, bits), SIGNER.public_key, "manifest.yaml")
                accepted.add(at)
            except ModelError:
                continue
    assert accepted <= set(words)


@given(st.one_of(st.binary(max_size=400), st.text(max_size=200).map(str.encode)))
@settings(max_examples=200, deadline=None)
def test_no_bytes_crash_the_reader(junk: bytes) -> None:
    for file in (junk, SIGNER.sign(MANIFEST)[: len(junk)] + junk):
        with pytest.raises(ModelError):
            minisign.verify(MANIFEST, file, SIGNER.public_key, "manifest.yaml")


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        (b"", "not a minisign signature"),
        (SIGNER.sign(MANIFEST)[:-40], "wrong length|not base64"),
        (SIGNER.sign(MANIFEST) + b"more\n", "not a minisign signature"),
        (SIGNER.sign(MANIFEST).replace(b"\n", b"\r\n"), "not base64"),
        (Signer(b"x" * 32, b"another!").sign(MANIFEST), "another key"),
        (Signer(b"x" * 32).sign(MANIFEST), "not what was signed"),
        (SIGNER.sign(b"another file"), "not what was signed"),
        (SIGNER.sign(MANIFEST).replace(b"release 7", b"release 8"), "trusted comment was changed"),
        (b"\xff" * 90, "manifest.yaml.minisig"),
    ],
)
def test_a_signature_that_does_not_hold_says_why(signature: bytes, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        minisign.verify(MANIFEST, signature, SIGNER.public_key, "manifest.yaml")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["", "RW", "RWQ" + "A" * 52, SIGNER.public_key.lower(), "a sentence about keys"])
def test_what_is_no_key_is_a_mistake_of_the_configuration(key: str) -> None:
    with pytest.raises(ConfigError, match="RW"):
        minisign.parse_public_key(key)
    with pytest.raises(ConfigError, match=r"models\.public_key: must be the second line"):
        load(None, [f"models.public_key='{key}'"])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """An added model "mine" and a shipped one "theirs", both manifests signed."""
    made = tmp_path / "user", tmp_path / "shipped"
    for folder, name in zip(made, ("mine", "theirs"), strict=True):
        folder.mkdir()
        file = tiny_models.file_entry(folder, f"{name}.tflite", tiny_models.colour_means())
        age = {"tensor": "means", "columns": [0, 1], "decode": "years"}
        gender = {"tensor": "means", "columns": [1, 2], "decode": "one", "high": 255}
        tiny_models.write_manifest(folder, {name: tiny_models.estimator_entry(file, {"age": age, "gender": gender})})
        sign(folder)
    return made


def sign(folder: Path, signer: Signer = SIGNER) -> None:
    raw = (folder / "manifest.yaml").read_bytes()
    (folder / "manifest.yaml.minisig").write_bytes(signer.sign(raw))


def test_models_of_signed_manifests_are_found(folders: tuple[Path, Path]) -> None:
    for name in ("mine", "theirs"):
        assert models.find_model(name, *folders, public_key=SIGNER.public_key).name == name


def test_without_a_key_nothing_is_asked_for(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        (folder / "manifest.yaml.minisig").unlink()
    assert models.find_model("mine", *folders).name == "mine"


@pytest.mark.parametrize("harm", ["missing", "changed", "foreign", "huge"])
def test_a_manifest_without_a_good_signature_does_not_count(folders: tuple[Path, Path], harm: str) -> None:
    user, _ = folders
    path = user / "manifest.yaml.minisig"
    if harm == "missing":
        path.unlink()
    elif harm == "changed":
        (user / "manifest.yaml").write_text((user / "manifest.yaml").read_text() + "\n")
    elif harm == "foreign":
        sign(user, Signer(b"x" * 32, b"another!"))
    else:
        path.write_bytes(b"x" * 10_000)
    with pytest.raises(ModelError, match=r"manifest\.yaml"):
        models.find_model("mine", *folders, public_key=SIGNER.public_key)
    # Nothing of it counts, so nothing of it can stand in the way either.
    assert models.find_model("theirs", *folders, public_key=SIGNER.public_key).name == "theirs"


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigError, match=r"edge-agender\[signed-models\]"):
        minisign.verify(MANIFEST, SIGNER.sign(MANIFEST), SIGNER.public_key, "manifest.yaml")


def shipped_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "shipped-copy"
    shutil.copytree(models.shipped_folder(), copy)
    monkeypatch.setattr(models, "shipped_folder", lambda: copy)
    return copy


def test_check_and_the_service_need_a_good_signature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shipped_copy(tmp_path, monkeypatch)
    words = ["source.kind=demo", f"models.public_key={SIGNER.public_key}"]
    check = ["check", *(part for word in words for part in ("--set", word))]
    assert main(check) == ModelError.exit_code
    assert capsys.readouterr().err.count("manifest.yaml.minisig: missing: run 'minisign -Sm ") == 1
    with pytest.raises(ModelError, match="missing"):
        build_pipeline(load(None, words))  # what the service does before anything else
    (result, *_) = check_models(load(None, words), Place(tmp_path / "nowhere"))
    assert (result.state, "minisig: missing" in result.finding) == ("failure", True)
    assert str(result.remedy).startswith("Run 'minisign -Sm ")
    sign(folder)
    assert check_models(load(None, words), Place(tmp_path / "nowhere"))[0].state == "ok"
    assert main(check) == 0, capsys.readouterr().err
    build_pipeline(load(None, words))


REAL = shutil.which("minisign")


@pytest.mark.skipif(REAL is None, reason="minisign is not installed: apt install minisign")
@pytest.mark.parametrize("legacy", [False, True])
def test_what_the_real_minisign_signs_is_accepted(tmp_path: Path, legacy: bool) -> None:
    manifest = tmp_path / "manifest.yaml"
    manifest.write_bytes(MANIFEST)
    environment = os.environ | {"HOME": str(tmp_path)}

    def run(*words: str) -> None:
        command = [str(REAL), *words]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)

    run("-GW", "-p", "key.pub", "-s", "key.secret")
    run("-S", *(["-l"] if legacy else []), "-s", "key.secret", "-t", "release 7", "-m", "manifest.yaml")
    key = (tmp_path / "key.pub").read_text().splitlines()[1]
    signature = (tmp_path / "manifest.yaml.minisig").read_bytes()
    assert minisign.parse_signature(signature).prehashed is not legacy
    assert load(None, [f"models.public_key={key}"]).models.public_key == key
    assert minisign.verify(MANIFEST, signature, key, "manifest.yaml") == "release 7"
    with pytest.raises(ModelError, match="not what was signed"):
        minisign.verify(MANIFEST + b" ", signature, key, "manifest.yaml")
