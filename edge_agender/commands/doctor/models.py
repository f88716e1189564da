"""Are the networks those of the manifest, and do they run on fast kernels?"""

from __future__ import annotations

from importlib import metadata

from edge_agender.commands.doctor.result import Result, from_error
from edge_agender.config.settings import DETECTOR_MODELS, Config
from edge_agender.device.installation import Place, visible
from edge_agender.device.paths import shipped_folder
from edge_agender.errors import ModelError
from edge_agender.inference import tflite
from edge_agender.inference.catalogue import PUBLISHED, find_model, load_manifest, read_verified
from edge_agender.inference.network import open_tflite
from edge_agender.inference.spec import ModelSpec
from edge_agender.vision.assembly import configured_detector


def check_models(config: Config, place: Place) -> list[Result]:
    specs: list[ModelSpec] = []
    results: list[Result] = []
    for name in _wanted(config):
        found = _verified(name, config, place)
        specs += [found] if isinstance(found, ModelSpec) else []
        results += [found] if isinstance(found, Result) else []
    if config.detector.kind == "haar":
        configured_detector(config.detector)
    if not results:
        names = " and ".join([*(["OpenCV's haar cascade"] if config.detector.kind == "haar" else []), *_names(specs)])
        signed = ", which is signed" if config.models.public_key else ""
        results = [Result("models", "ok", f"{names}: every file has the SHA-256 of its manifest{signed}")]
    return [*results, check_runtime(specs)]


def check_runtime(specs: list[ModelSpec]) -> Result:
    """Which interpreter runs them, and whether XNNPACK, which has this processor's fast kernels, takes part."""
    package = tflite.runtime_name()
    finding = f"{package} {_version(package)}"
    slow = [spec.name for spec in specs if not _is_fast(spec)]
    if not specs:
        return Result("runtime", "skipped", f"{finding}, with no network to run")
    if not slow:
        return Result("runtime", "ok", f"{finding}, with the fast kernels of XNNPACK for {' and '.join(_names(specs))}")
    remedy = "Install ai-edge-litert into edge-agender's environment, and let the service see /proc/cpuinfo."
    return Result("runtime", "warning", f"{finding} runs {' and '.join(slow)} without fast kernels", remedy)


def _wanted(config: Config) -> list[str]:
    detector = config.detector
    first = [] if detector.kind == "haar" else [detector.model or DETECTOR_MODELS[detector.kind]]
    return [*first, config.estimator.model]


def _verified(name: str, config: Config, place: Place) -> ModelSpec | Result:
    """Return the model, all of whose files are what its manifest says, or what is wrong with it."""
    user = place.models_folder()
    seen = visible(user)
    try:
        spec = find_model(name, user if seen else shipped_folder(), public_key=config.models.public_key)
    except ModelError as error:
        if not seen:
            return Result("models", "warning", f"{name} can be read by root only", "Run the doctor again with sudo.")
        if name in load_manifest(shipped_folder() / PUBLISHED):
            return Result("models", "failure", f"{name} is known, but not installed", _add(name, place))
        return from_error("models", error, "Choose one of `edge-agender models list`.")
    try:
        for file in (file for part in spec.networks for file in part.files):
            read_verified(spec.folder, file)
    except ModelError as error:
        again = "Install edge-agender again." if spec.folder == shipped_folder() else _add(name, place)
        return Result("models", "failure", str(error), again)
    return spec


def _add(name: str, place: Place) -> str:
    # As root beside the service it installs into the service's folder.
    return f"Run `{'sudo ' if place.has_unit else ''}edge-agender models add {name}`."


def _is_fast(spec: ModelSpec) -> bool:
    parts = [part for part in spec.networks if part.runtime == "tflite"]
    return all("DELEGATE" in open_tflite(spec, part, 1).operators() for part in parts)


def _names(specs: list[ModelSpec]) -> list[str]:
    return [spec.name for spec in specs]


def _version(package: str) -> str:
    try:
        return metadata.version(package.replace("_", "-"))
    except metadata.PackageNotFoundError:
        return "of an unknown version"
