"""What is true of each model is data: manifests -> frozen, verified ModelSpecs.

A manifest is trusted no further than its limits: it can name files beside it and nothing else, and a file's bytes reach
an interpreter only after their size and SHA-256 were found to be what the manifest says.
"""

from __future__ import annotations

import hashlib
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import yaml
from pydantic import ValidationError

from edge_agender.common import safe_yaml
from edge_agender.common.files import opened
from edge_agender.device.paths import shipped_folder, user_folder
from edge_agender.errors import ModelError
from edge_agender.inference import minisign
from edge_agender.inference.spec import MAX_MODEL_BYTES, FileSpec, Manifest, ModelSpec

MAX_MANIFEST_BYTES = 256 * 1024
MANIFEST, PUBLISHED = "manifest.yaml", "published.yaml"
SIGNED = ".minisig"


def load_manifest(path: Path, public_key: str | None = None) -> dict[str, ModelSpec]:
    """Return the models of one manifest, each with its name and folder; {} where there is no such file.

    With a `public_key` (minisign's), ModelError unless the signature beside it vouches for the bytes that are parsed.
    """
    raw = _read(path, MAX_MANIFEST_BYTES, "manifest")
    if raw is None:
        return {}
    if public_key:
        signature = _read(path.with_name(path.name + SIGNED), minisign.MAX_SIGNATURE_BYTES, "signature")
        if signature is None:
            raise ModelError(f"{path}{SIGNED}: missing: run 'minisign -Sm {path}', or unset models.public_key")
        minisign.verify(raw, signature, public_key, str(path))
    manifest = parse_manifest(raw, str(path))
    return {
        name: spec.model_copy(update={"name": name, "folder": path.parent}) for name, spec in manifest.models.items()
    }


def _read(path: Path, limit_bytes: int, what: str) -> bytes | None:
    """Return a file's bytes, None where there is no such file; raise ModelError where it is too large or unreadable."""
    try:
        with opened(path) as file:
            raw = file.read(limit_bytes + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}: the {what} of the models cannot be read") from None
    if len(raw) > limit_bytes:
        raise ModelError(f"{path}: larger than {limit_bytes // 1024} kB: this is not a {what}")
    return raw


def parse_manifest(raw: bytes, origin: str) -> Manifest:
    """Return the manifest in a YAML text; raise ModelError, one line, where it is none."""
    try:
        data = safe_yaml.load(raw.decode("utf-8"))
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise ModelError(f"{origin}: not a YAML manifest: {' '.join(str(error).split())[:200]}") from None
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in mistake["loc"]) or "(top)"
        raise ModelError(f"{origin}: {where}: {mistake['msg']}") from None


class Catalogue:
    """The installed models: those added by the user and those bundled. Each manifest is read once, when first asked.

    With a `public_key`, only manifests that it vouches for count.
    """

    def __init__(self, public_key: str | None = None, user: Path | None = None, shipped: Path | None = None) -> None:
        self._public_key = public_key
        self._user, self._shipped = user or user_folder(), shipped or shipped_folder()

    def find(self, name: str) -> ModelSpec:
        """Return the description of an installed model; raise ModelError where there is none of that name."""
        installed, refused = self._manifests
        if name in installed:
            return installed[name]
        if refused:
            # The bundled manifest's first: most models are its.
            raise refused[-1]
        if name in load_manifest(self._shipped / PUBLISHED):
            raise ModelError(f"{name} is known but not installed: run 'edge-agender models add {name}'")
        close = get_close_matches(name, installed, n=1)
        hint = f"did you mean {close[0]}?" if close else f"installed here are {', '.join(sorted(installed)) or 'none'}"
        raise ModelError(f"there is no model {name!r}; {hint}")

    @cached_property
    def _manifests(self) -> tuple[dict[str, ModelSpec], list[ModelError]]:
        installed: dict[str, ModelSpec] = {}
        refused: list[ModelError] = []
        # A bundled model comes last: no added one can take its name.
        for folder in (self._user, self._shipped):
            try:
                installed |= load_manifest(folder / MANIFEST, self._public_key)
            except ModelError as error:
                if not self._public_key:
                    raise
                refused.append(error)
        return installed, refused


def find_model(
    name: str, user: Path | None = None, shipped: Path | None = None, public_key: str | None = None
) -> ModelSpec:
    """Return one model of a Catalogue that nothing else is asked of."""
    return Catalogue(public_key, user, shipped).find(name)


def read_verified(folder: Path, file: FileSpec) -> bytes:
    """Return a model file's bytes, read once and checked: what is returned is what was hashed."""
    path = folder / file.name
    try:
        with opened(path) as handle:
            data = handle.read((file.size_bytes or MAX_MODEL_BYTES) + 1)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}: the model file is missing; install it again") from None
    verify(data, file, str(path))
    return data


def verify(data: bytes, file: FileSpec, origin: str) -> None:
    """Raise ModelError unless the bytes have the size and SHA-256 that the manifest says."""
    if file.sha256 is None:
        raise ModelError(f"{origin}: its manifest has no SHA-256: add the model with 'edge-agender models add'")
    if file.size_bytes is not None and len(data) != file.size_bytes:
        kind = "truncated" if len(data) < file.size_bytes else "larger than described"
        raise ModelError(f"{origin}: {kind} ({file.size_bytes} bytes expected); install the model again")
    digest = hashlib.sha256(data).hexdigest()
    if digest != file.sha256:
        raise ModelError(
            f"{origin}: SHA-256 is {digest[:12]}..., the manifest says {file.sha256[:12]}...: not this file"
        )
