"""`models list|info|add`: which models there are, and installing published ones without ever half replacing one.

An added model's files carry their hash in their names, so a new version never touches the files of the old one; the
manifest, replaced last and in one step, decides which is in use.
"""

from __future__ import annotations

import fcntl
import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from edge_agender.commands.models.keras import convert
from edge_agender.common.files import opened, replace_file
from edge_agender.config.settings import DETECTOR_MODELS, DetectorConfig
from edge_agender.device.paths import shipped_folder, user_folder
from edge_agender.errors import ModelError, UsageError
from edge_agender.inference.catalogue import MANIFEST, PUBLISHED, load_manifest, verify
from edge_agender.inference.spec import MAX_MODEL_BYTES, FileSpec, ModelSpec, NetworkSpec, SourceFile
from edge_agender.vision.detectors.res10 import Res10Detector
from edge_agender.vision.detectors.ssd import SsdDetector
from edge_agender.vision.detectors.yunet import YunetDetector
from edge_agender.vision.estimator import ModelEstimator

TIMEOUT_S = 30.0
MAX_CARD_BYTES = 1 << 20
Fetch = Callable[[FileSpec], bytes]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One line of `models list`. `state`: shipped, added, or available with `models add`."""

    name: str
    role: str
    state: str
    title: str
    licence: str
    verified: bool
    size_bytes: int | None


def list_models(user: Path | None = None, shipped: Path | None = None) -> list[ModelRow]:
    """Return every model known, the shipped ones first."""
    return [_row(name, spec, state) for name, (spec, state) in _known(user, shipped).items()]


def model_info(name: str, user: Path | None = None, shipped: Path | None = None) -> dict[str, Any]:
    """Return all that is known of a model as plain data: its row, its description, and its card's text."""
    known = _known(user, shipped)
    # Messages name a detector by its kind.
    name = name if name in known else DETECTOR_MODELS.get(name, name)
    if name not in known:
        raise UsageError(f"there is no model {name!r}: see 'edge-agender models list'")
    spec, state = known[name]
    card = spec.folder / spec.card if spec.card else None
    text = card.read_text(encoding="utf-8") if card and card.is_file() else None
    return asdict(_row(name, spec, state)) | {"description": _plain(spec), "card": text}


def add_model(
    name: str,
    folder: Path | None = None,
    user: Path | None = None,
    shipped: Path | None = None,
) -> ModelSpec:
    """Install a published model from its addresses or from the files in `folder`, or one of the folder's own manifest.

    Every file is checked by hash, converted where it must be, and the whole opened once before anything of an older
    version is replaced. A file whose hash nobody published is taken from `folder` only, and its hash recorded. Returns
    what was installed.
    """
    shipped, user = shipped or shipped_folder(), user or user_folder()
    own = load_manifest(folder / MANIFEST) if folder else {}
    published = own | load_manifest(shipped / PUBLISHED)
    if name in own and name in load_manifest(shipped / MANIFEST):
        raise UsageError(f"{name!r} is the name of a model that ships: give yours another one in its manifest")
    if name not in published:
        raise UsageError(f"{name!r} cannot be added; known: {', '.join(sorted(published)) or 'none'}")
    fetch = _from_folder(folder) if folder else download
    try:
        user.mkdir(parents=True, exist_ok=True)
        with _locked(user):
            return _install(published[name], user, fetch)
    except OSError as error:
        raise ModelError(f"{user}: {error.strerror or error}: models cannot be stored here") from None


def download(file: FileSpec) -> bytes:
    """Fetch a file from its pinned address; raise ModelError where that fails or it is larger than described."""
    if file.url is None or file.sha256 is None:
        raise ModelError(
            f"{file.name}: not published at a pinned address: get it yourself and give its folder with --from"
        )
    limit = file.size_bytes or MAX_MODEL_BYTES
    try:
        with urllib.request.urlopen(file.url, timeout=TIMEOUT_S) as answer:  # the manifest allows https only
            if not str(answer.url).startswith("https://"):
                raise ModelError(f"{file.url}: leads away from https")
            return bytes(answer.read(limit + 1))
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ModelError(f"{file.url}: {reason}: try again, or give a folder with --from") from None


def _install(spec: ModelSpec, user: Path, fetch: Fetch) -> ModelSpec:
    made: list[Path] = []
    manifest = user / MANIFEST
    before = load_manifest(manifest)
    try:
        networks = tuple(_stage(part, spec, user, fetch, made) for part in spec.networks)
        card = _stage_card(spec, user, made)
        installed = spec.model_copy(update={"networks": networks, "sources": (), "folder": user, "card": card})
        _try(installed)
        replace_file(manifest, _manifest_text(before | {spec.name: installed}))
    except BaseException:
        _remove([path for path in made if path.name not in _files(before)], user)
        raise
    after = before | {spec.name: installed}
    _remove([user / file for file in _files(before) - _files(after)], user)
    return installed


def _try(spec: ModelSpec) -> None:
    """Open what is about to be installed; raise ModelError where its tensors are not those described."""
    if spec.detection is None:
        ModelEstimator(spec)
    else:
        kinds = {"res10": Res10Detector, "yunet": YunetDetector}
        kinds.get(spec.detection.decode, SsdDetector)(DetectorConfig(), spec)


def _stage_card(spec: ModelSpec, user: Path, made: list[Path]) -> str | None:
    """Copy the card beside the manifest that names it; return the copy's name, None where there is no card."""
    if spec.card is None:
        return None
    try:
        with opened(spec.folder / spec.card) as file:
            card = file.read(MAX_CARD_BYTES)
    except OSError as error:
        raise ModelError(f"{spec.folder / spec.card}: {error.strerror or error}: the model's card") from None
    return _put(card, spec.card, user, made).name


def _stage(part: NetworkSpec, spec: ModelSpec, user: Path, fetch: Fetch, made: list[Path]) -> NetworkSpec:
    changes: dict[str, FileSpec] = {}
    for role in ("weights", "description"):
        file: FileSpec | None = getattr(part, role)
        if file is None:
            continue
        data = _obtain(file, spec.sources, fetch)
        path = _put(data, file.name, user, made)
        changes[role] = FileSpec(name=path.name, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
    return part.model_copy(update=changes)


def _put(data: bytes, name: str, user: Path, made: list[Path]) -> Path:
    """Write a file under its name and hash; what was not there before is noted in `made`."""
    digest = hashlib.sha256(data).hexdigest()
    path = user / f"{Path(name).stem[:60]}-{digest[:12]}{Path(name).suffix}"
    if not path.exists():
        made.append(path)
    replace_file(path, data)
    return path


def _obtain(file: FileSpec, sources: tuple[SourceFile, ...], fetch: Fetch) -> bytes:
    """Return one of a network's files, fetched as it is or converted from what was published."""
    for source in sources:
        if source.makes == file.name:
            return convert(source.how, _checked(source, fetch), source.name)
    return _checked(file, fetch)


def _checked(file: FileSpec, fetch: Fetch) -> bytes:
    data = fetch(file)
    if file.sha256 is None:
        if not data or len(data) > MAX_MODEL_BYTES:
            raise ModelError(f"{file.name}: {'empty' if not data else 'too large for a model'}")
    else:
        verify(data, file, file.name)
    return data


def _from_folder(folder: Path) -> Fetch:
    def read(file: FileSpec) -> bytes:
        try:
            with opened(folder / file.name) as handle:
                return handle.read((file.size_bytes or MAX_MODEL_BYTES) + 1)
        except OSError as error:
            raise ModelError(f"{folder / file.name}: {error.strerror or error}") from None

    return read


def _remove(paths: list[Path], user: Path) -> None:
    for path in [*paths, *user.glob(".*.part")]:
        path.unlink(missing_ok=True)


def _files(specs: dict[str, ModelSpec]) -> set[str]:
    cards = {spec.card for spec in specs.values() if spec.card}
    return cards | {file.name for spec in specs.values() for part in spec.networks for file in part.files}


def _manifest_text(specs: dict[str, ModelSpec]) -> bytes:
    data = {"schema": "edge-agender-models/1", "models": {name: _plain(spec) for name, spec in specs.items()}}
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120).encode()


def _plain(spec: ModelSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", exclude_defaults=True, exclude={"name", "folder"})


def _known(user: Path | None, shipped: Path | None) -> dict[str, tuple[ModelSpec, str]]:
    shipped, user = shipped or shipped_folder(), user or user_folder()
    known = {name: (spec, "shipped") for name, spec in load_manifest(shipped / MANIFEST).items()}
    for folder, state in ((user / MANIFEST, "added"), (shipped / PUBLISHED, "available")):
        for name, spec in load_manifest(folder).items():
            known.setdefault(name, (spec, state))
    return known


def _row(name: str, spec: ModelSpec, state: str) -> ModelRow:
    sizes = [file.size_bytes for part in spec.networks for file in part.files]
    size = sum(size or 0 for size in sizes) if all(sizes) else None
    return ModelRow(name, spec.role, state, spec.title, spec.licence, spec.verified, size)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep a second `models add` waiting: both rewrite one manifest."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
