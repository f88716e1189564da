from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import networks, peers
from edge_agender.config.settings import Config, GatingConfig
from edge_agender.vision.pipeline import Pipeline


def test_with_gating_off_every_frame_shown_again_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Pipeline] = []
    build = peers.build_pipeline

    def remembered(config: Config) -> Pipeline:
        built.append(build(config))
        return built[-1]

    monkeypatch.setattr(peers, "build_pipeline", remembered)
    looks = {peers.OURS: peers.ours(GatingConfig(motion=False, cadence=False, estimates=False))}
    peers.compare(looks, peers.frames(2, 4), 12)
    assert built[0].work.searches == built[0].work.frames == 15
    assert built[0].work.estimates == built[0].work.faces > 15


def test_networks_take_turns_and_are_held_against_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (frame,) = peers.frames(1, 1)
    found, said = networks.detectors(frame, 2), networks.estimators(2)
    assert found["face-ssd"].times_ours == said["agender-ssrnet"].times_ours == 1.0
    assert (said["agender-edge"].size_bytes or 0) > 1_000_000
    assert "agender-edge" in networks.table(said, "agender-ssrnet")
    assert "skipped: YuNet-n: give --models" in capsys.readouterr().err
