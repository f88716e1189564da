"""Which way the house leans (docs/architecture.md), read from the imports themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "edge_agender"

VALUES = {"records", "opening", "geometry", "errors", "message", "measures", "contract", "live", "settings", "stages"}
VALUES |= {"masking", "terminal"}
LOGIC = {
    "assignment", "audience", "decode", "demography", "discovery", "evidence", "frame_policy", "incoming", "kalman",
    "messages", "mounting", "privacy", "record", "schemas", "tally", "tracking", "viewers",
    "windows",
}  # fmt: skip
PIXEL_FREE = {"outbox", "outbox_writer", "message_queue", "parking", "store"}
PIXEL_FREE |= {"mqtt", "session", "broker", "link", "web", "live"}
PIXELS = {"Frame", "Face", "Track", "Picture"}
IMPURE = {"cv2", "threading", "time", "socket", "subprocess", "sqlite3", "os", "pathlib"}
ONLY_IN_TFLITE = {"ai_edge_litert", "tflite_runtime", "tensorflow"}
ASSEMBLY = {"cli", "__main__", "commands", "service", "engine", "reporter", "benchmark", "live_feed", "selftest"}
ASSEMBLY |= {"doctor", "setup", "watch"}


def modules() -> dict[str, ast.Module]:
    return {
        str(path.relative_to(PACKAGE).with_suffix("")).replace("/", "."): ast.parse(path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def imports(tree: ast.Module) -> set[str]:
    """Every imported module, absolute, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imported_names(tree: ast.Module) -> set[str]:
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("edge_agender")
        for alias in node.names
    }


def inner(tree: ast.Module) -> set[str]:
    """The project's own modules that are imported, by their first name below the package."""
    own = {name.split(".")[1] for name in imports(tree) if name.startswith("edge_agender.")}
    return own & TOP_LEVEL


def outer(tree: ast.Module) -> set[str]:
    return {name.split(".")[0] for name in imports(tree)} - {"edge_agender", "__future__"}


MODULES = modules()
TOP_LEVEL = {name.split(".")[0] for name in MODULES}


def trees(names: set[str]) -> list[str]:
    return [name for name in MODULES if name.split(".")[0] in names]


@pytest.mark.parametrize("name", trees(VALUES))
def test_values_import_values_only(name: str) -> None:
    assert inner(MODULES[name]) <= VALUES | {name}


@pytest.mark.parametrize("name", trees(LOGIC))
def test_logic_imports_values_and_logic_only(name: str) -> None:
    assert inner(MODULES[name]) <= VALUES | LOGIC


@pytest.mark.parametrize("name", sorted(set(trees(LOGIC)) - {"schemas.__init__", "schemas.__main__"}))
def test_logic_has_no_clock_thread_camera_or_file(name: str) -> None:
    assert not outer(MODULES[name]) & IMPURE


@pytest.mark.parametrize("name", trees(PIXEL_FREE))
def test_pixels_cannot_reach_the_network_side(name: str) -> None:
    assert not imported_names(MODULES[name]) & PIXELS
    assert "cv2" not in outer(MODULES[name])


@pytest.mark.parametrize("name", sorted(set(MODULES) - set(trees(ASSEMBLY))))
def test_nobody_but_the_assembly_imports_the_assembly(name: str) -> None:
    assert not inner(MODULES[name]) & (ASSEMBLY - {"cli"})


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"tflite"}))
def test_one_module_imports_an_interpreter(name: str) -> None:
    assert not outer(MODULES[name]) & (ONLY_IN_TFLITE - ({"tensorflow"} if name == "keras_convert" else set()))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_package_never_imports_training(name: str) -> None:
    assert not outer(MODULES[name]) & {"training", "benchmarks", "tests"}


def test_the_pipeline_opens_nothing() -> None:
    assert not inner(MODULES["pipeline"]) & {"sources", "detectors", "estimator", "tflite", "models", "mqtt", "outbox"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
