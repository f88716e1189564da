from __future__ import annotations

import pytest

from edge_agender.config.load import load
from edge_agender.errors import ModelError
from edge_agender.inference.spec import ModelSpec
from edge_agender.vision import affordable
from edge_agender.vision.affordable import LARGER, STANDARD, by_budget, choose_estimator, landmarks_missing

MS = 1e-3


def test_the_larger_estimator_is_chosen_up_to_half_a_frames_time() -> None:
    within, beyond = by_budget(13 * MS, 5 * MS, 15), by_budget(14 * MS, 5 * MS, 15)
    assert (within.model, beyond.model) == (LARGER, STANDARD)
    assert (within.larger_ms, within.budget_ms) == (33, 33.333)
    assert "33.0 ms here, within 33 ms (half a frame at 15 Hz)" in within.reason
    assert "34.0 ms here, more than 33 ms" in beyond.reason
    assert "\n" not in within.reason


def test_more_frames_a_second_leave_less_time_for_each() -> None:
    assert by_budget(5 * MS, 5 * MS, 15).model == LARGER
    assert by_budget(5 * MS, 5 * MS, 30).model == STANDARD


def test_detector_and_larger_estimator_are_what_is_measured() -> None:
    seen: list[str] = []

    def measure(spec: ModelSpec) -> float:
        seen.append(spec.name)
        return 1 * MS

    assert choose_estimator(load(None, ["source.rate_hz=30"]), measure).larger_ms == 5
    assert seen == ["face-ssd", LARGER]


def test_each_network_is_measured_on_its_own_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, int] = {}

    def measured(spec: ModelSpec, threads: int, _runs: int) -> float:
        seen[spec.name] = threads
        return 1 * MS

    monkeypatch.setattr(affordable, "model_s", measured)
    choose_estimator(load(None, ["detector.threads=2", "estimator.threads=3"]))
    assert seen == {"face-ssd": 2, LARGER: 3}


def test_without_landmarks_the_larger_estimator_is_no_better_and_not_measured() -> None:
    choice = choose_estimator(load(None, ["detector.kind=haar"]), lambda _: pytest.fail("measured"))
    assert (choice.model, choice.larger_ms) == (STANDARD, None)
    assert "needs landmarks" in choice.reason


def test_a_network_that_cannot_run_leaves_the_standard_one_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> float:
        raise ModelError("no interpreter")

    monkeypatch.setattr(affordable, "model_s", broken)
    assert choose_estimator(load(None, [])).reason == f"{STANDARD}: not measured: no interpreter"


def test_this_machine_is_measured_for_real() -> None:
    choice = choose_estimator(load(None, []))
    assert choice.larger_ms is not None
    assert choice.larger_ms > 0


def test_an_estimator_that_aligns_is_worse_off_without_landmarks() -> None:
    assert landmarks_missing(load(None, [])) is None
    for model in (STANDARD, LARGER):
        said = landmarks_missing(load(None, ["detector.kind=haar", f"estimator.model={model}"]))
        assert said == f"{model} aligns faces by landmarks, which detector.kind haar does not give: set it to ssd"
    assert landmarks_missing(load(None, ["detector.kind=haar", "estimator.model=no-such"])) is None
