import ast
import sys
import threading
from pathlib import Path

from edge_agender.web import snapshot as live
from edge_agender.web.snapshot import AimFace, LiveState
from tests.support.snapshots import snapshot


def test_a_reader_is_woken_by_an_update() -> None:
    state = LiveState()
    seen: list[object] = []
    reader = threading.Thread(target=lambda: seen.append(state.wait(0, 60)))
    reader.start()
    newest = snapshot()
    state.update(newest)
    reader.join(60)
    assert seen == [(1, newest)]
    assert state.wait(1, 0.01) == (1, newest)


def test_closing_lets_nobody_wait() -> None:
    state = LiveState()
    reader = threading.Thread(target=state.wait, args=(0, 600))
    reader.start()
    state.close()
    reader.join(60)
    assert not reader.is_alive()


def test_faces_are_wanted_only_while_somebody_aims() -> None:
    state = LiveState()
    assert not state.wants_faces
    with state.aiming():
        with state.aiming():
            assert state.wants_faces
        assert state.wants_faces
    assert not state.wants_faces


def test_nothing_that_could_hold_a_picture_or_an_estimate_is_known_here() -> None:
    tree = ast.parse(Path(live.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} - {"__future__"}
    assert {str(name).split(".")[0] for name in imported} <= sys.stdlib_module_names
    assert not {"age", "years", "gender", "p_female", "track_id"} & set(AimFace.__slots__)
