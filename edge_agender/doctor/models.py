"""Are the networks those of the manifest, and do they run on fast kernels?"""

from __future__ import annotations

from importlib import metadata

from edge_agender import tflite
from edge_agender.detectors import open_detector
from edge_agender.detectors.ssd import DEFAULT_MODEL
from edge_agender.doctor.place import Place
from edge_agender.doctor.result import Result
from edge_agender.errors import ModelError
from edge_agender.model_spec import ModelSpec
from edge_agender.models import find_model, read_verified, shipped_folder
from edge_agender.networks import open_tflite
from edge_agender.settings import Config


def check_models(config: Config, place: Place) -> list[Result]:
    specs, results = [], []
    for name in _wanted(config):
        try:
            spec = find_model(name, place.models_folder())
            for part in spec.networks:
                for file in part.files:
                    read_verified(spec.folder, file)
            specs.append(spec)
        except ModelError as error:
            results.append(_damaged(name, error, place))
    if config.detector.kind == "haar":
        open_detector(config.detector)
    if not results:
        names = " and ".join([*(["OpenCV's haar cascade"] if config.detector.kind == "haar" else []), *_names(specs)])
        results = [Result("models", "ok", f"{names}: every file has the SHA-256 of its manifest")]
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
    defaults = {"ssd": DEFAULT_MODEL, "res10": "res10"}
    first = [] if detector.kind == "haar" else [detector.model or defaults[detector.kind]]
    return [*first, config.estimator.model]


def _damaged(name: str, error: ModelError, place: Place) -> Result:
    shipped = str(shipped_folder()) in str(error)
    # As the service, whose models lie in its state folder.
    command = f"sudo STATE_DIRECTORY={place.models_folder().parent} edge-agender" if place.has_unit else "edge-agender"
    again = "Install edge-agender again" if shipped else f"Run `{command} models add {name}`"
    return Result("models", "failure", str(error), f"{again}, or choose another of `edge-agender models list`.")


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
