"""What several tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def videos() -> Path:
    """The sample videos beside the checkout; a clone of its own does not have them."""
    folder = SHARED / "videos"
    if not folder.is_dir():
        pytest.skip("needs the sample videos in ../shared/videos")
    return folder


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own state, and none is steered by the supervisor of the test run."""
    monkeypatch.setenv("EDGE_AGENDER_CONFIG", "/dev/null")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    for name in ("STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC"):
        monkeypatch.delenv(name, raising=False)
