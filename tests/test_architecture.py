"""Which way the house leans (docs/architecture.md), read from the imports themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from docs_tools.imports import PACKAGE, edges, imported, inner, loop, modules, outer, room

# Each room imports only what stands in a row above its own.
ROWS = (
    {"", "errors"},
    {"common"},
    {"config", "imaging"},
    {"device"},
    {"capture", "inference"},
    {"vision"},
    {"audience"},
    {"messages"},
    {"delivery"},
    {"daemon", "fleet"},
    {"recordings"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}
# These stand beside the rows: what they may import is short enough to say.
ALONE = {
    "web": {"", "errors", "common", "config"},
    "fleet": {"", "errors", "common", "config", "messages", "delivery"},
}
TOP = {"", "errors", "cli", "__main__"}
PIXEL_FREE = {"audience", "messages", "delivery", "web", "fleet"}
PIXELS = {"imaging.frame", "imaging.preprocess", "imaging.pictures"}
PIXEL_LIBRARIES = {"cv2", "av", "picamera2", "PIL"}
CLOCKLESS = ("vision.tracking", "audience", "messages")
IMPURE = {"cv2", "threading", "time", "socket", "subprocess", "sqlite3", "os", "pathlib"}
INTERPRETERS = {"ai_edge_litert", "tflite_runtime", "tensorflow"}
OUTSIDE = {"training", "benchmarks", "proofs", "packaging", "docs_tools", "tests"}
# What several verbs share; setup ends with the doctor's examination.
SHARED_BY_VERBS = {"options", "terminal"}
MAY_CALL = {("setup", "doctor")}


def below(*rooms: str) -> list[str]:
    """The modules of these folders."""
    return [name for name in modules() if any(name == each or name.startswith(f"{each}.") for each in rooms)]


def test_the_top_holds_the_way_in_and_nothing_else() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", "__main__", "cli", "errors"}
    assert {room(name) for name in modules()} <= set(ROW_OF) | set(ALONE)


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_room_imports_only_what_stands_above_it(name: str) -> None:
    here = room(name)
    theirs = {room(target) for target in inner(modules()[name])} - {here}
    if here in ALONE:
        assert theirs <= ALONE[here]
    else:
        allowed = {each for each, row in ROW_OF.items() if row < ROW_OF[here]}
        assert theirs <= allowed | ({"web"} if ROW_OF[here] >= ROW_OF["daemon"] else set())


def test_no_loop_between_modules() -> None:
    graph: dict[str, set[str]] = {}
    for importer, target in edges():
        graph.setdefault(importer, set()).add(target)
    assert not loop(graph)


def test_no_loop_between_folders_beside_each_other() -> None:
    graph: dict[str, set[str]] = {}
    for importer, target in edges():
        one, other = importer.split("."), target.split(".")
        shared = next(
            (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
        )
        if len(one) > shared and len(other) > shared:
            graph.setdefault(".".join(one[: shared + 1]), set()).add(".".join(other[: shared + 1]))
    assert not loop(graph)


@pytest.mark.parametrize("name", below(*PIXEL_FREE))
def test_a_picture_cannot_reach_what_counts_and_sends(name: str) -> None:
    tree = modules()[name]
    assert not inner(tree) & PIXELS
    assert not outer(tree) & PIXEL_LIBRARIES


def reached(*starts: str) -> set[str]:
    """Every module that these import, directly or through others."""
    graph: dict[str, set[str]] = {}
    for importer, target in edges():
        graph.setdefault(importer, set()).add(target)
    found, ahead = set(starts), list(starts)
    while ahead:
        new = graph.get(ahead.pop(), set()) - found
        found |= new
        ahead += new
    return found


def test_the_service_has_no_way_to_a_picture_that_is_shown() -> None:
    shows = set(below("recordings", "commands.preview"))
    service = reached("commands.run", *below("daemon", "web", "delivery", "vision"))
    assert shows
    assert "vision.pipeline" in service
    assert not service & shows
    assert "recordings.draw" in reached("commands.preview")


@pytest.mark.parametrize("name", below(*CLOCKLESS))
def test_logic_has_no_clock_thread_camera_or_file(name: str) -> None:
    assert not outer(modules()[name]) & IMPURE


@pytest.mark.parametrize("name", sorted(set(modules()) - {"inference.tflite"}))
def test_one_module_imports_an_interpreter(name: str) -> None:
    # Converting Keras' files is TensorFlow's own work, on any machine, once.
    allowed = {"tensorflow"} if name == "commands.models.keras" else set()
    assert not outer(modules()[name]) & (INTERPRETERS - allowed)


@pytest.mark.parametrize("name", below("delivery.outbox"))
def test_the_outbox_does_not_know_who_drains_it(name: str) -> None:
    assert not {target for target in inner(modules()[name]) if target.startswith("delivery.mqtt")}


@pytest.mark.parametrize("name", below("commands"))
def test_verbs_do_not_import_one_another(name: str) -> None:
    verb = [*name.split("."), ""][1]
    theirs = {target.split(".")[1] for target in inner(modules()[name]) if target.startswith("commands.")}
    assert {each for each in theirs - {verb} - SHARED_BY_VERBS if (verb, each) not in MAY_CALL} == set()


@pytest.mark.parametrize("name", sorted(modules()))
def test_the_package_imports_nothing_from_beside_it(name: str) -> None:
    assert not outer(modules()[name]) & OUTSIDE


def test_the_pipeline_opens_nothing() -> None:
    opens = {"capture", "inference", "delivery", "vision.detectors", "vision.estimator", "vision.assembly"}
    assert not {target for target in inner(modules()["vision.pipeline"]) for each in opens if target.startswith(each)}


def test_imports_inside_functions_and_by_name_are_seen() -> None:
    tree = ast.parse(
        "def f():\n    import importlib\n    return importlib.import_module('edge_agender.imaging.frame')\n"
    )
    assert "imaging.frame" in inner(tree)
    assert "edge_agender.imaging.frame.Frame" in imported(ast.parse("from edge_agender.imaging.frame import Frame"))
    assert inner(ast.parse("from edge_agender.imaging import frame")) == {"imaging.frame"}


def test_a_loop_is_found() -> None:
    assert loop({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert not loop({"a": {"b", "c"}, "b": {"c"}})


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
