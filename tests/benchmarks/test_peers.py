from __future__ import annotations

import pytest

from benchmarks import peers
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
