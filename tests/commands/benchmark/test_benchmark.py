from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from edge_agender.commands.benchmark import measure as benchmark
from edge_agender.commands.benchmark import models as benchmark_models
from edge_agender.commands.benchmark.report import (
    BenchmarkReport,
    as_json,
    as_table,
    compare,
    latency,
    read,
    schema_text,
)
from edge_agender.common.timing import StageTimes
from edge_agender.config.load import load
from edge_agender.errors import UsageError
from edge_agender.imaging.frame import Frame
from edge_agender.inference.catalogue import find_model
from edge_agender.inference.dnn import DnnNetwork
from tests.support import tiny_models
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def report() -> BenchmarkReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "ROUND_FRAMES", 6)
        patch.setattr(benchmark, "MOST_ROUNDS", 2)
        patch.setattr(benchmark_models, "MODEL_RUNS", 10)
        patch.setattr(benchmark, "LIVE_SECONDS", 0.5)
        return benchmark.measure(load(None, ["source.kind=demo"]), [0, 2], progress=False)


def test_the_json_is_what_its_schema_says(report: BenchmarkReport) -> None:
    schema = json.loads((ROOT / "docs/benchmark.schema.json").read_text())
    Draft202012Validator(schema).validate(json.loads(as_json(report)))


def test_the_documented_schema_is_the_codes_own() -> None:
    assert (ROOT / "docs/benchmark.schema.json").read_text() == schema_text()


def test_stages_are_measured_and_cost_depends_on_the_audience(report: BenchmarkReport) -> None:
    empty, pair = report.scenarios
    assert (empty.faces, pair.faces) == (0, 2)
    assert {"capture", "scale", "gate", "detect", "track", "encode", "publish"} <= set(empty.stages)
    assert {"crop", "judge", "estimate"} <= set(pair.stages)
    assert "estimate" not in empty.stages
    assert 1.0 <= pair.found <= 2.5
    assert all(stage.median_ms <= stage.p95_ms <= stage.p99_ms for stage in pair.stages.values())
    assert sum(stage.median_ms for stage in pair.stages.values()) <= 1.5 * pair.frame.median_ms


def test_models_are_held_against_a_large_convolution(report: BenchmarkReport) -> None:
    assert [model.name for model in report.models] == ["face-ssd", "agender-ssrnet", "agender-edge"]
    assert report.peak_gmac_per_s > 0.1
    for model in report.models:
        assert model.multiply_adds is not None
        assert model.gmac_per_s == pytest.approx(model.multiply_adds / model.median_ms / 1e6, rel=0.01)


def test_the_choice_of_setup_is_made_by_the_times_of_this_run(report: BenchmarkReport) -> None:
    detector, _, larger = report.models
    assert report.estimator is not None
    assert report.estimator.larger_ms == pytest.approx(detector.median_ms + 4 * larger.median_ms, abs=0.01)
    assert report.estimator.budget_ms == pytest.approx(1000 / 15 / 2, abs=0.01)
    assert f"setup would choose {report.estimator.reason}" in as_table(report)


def test_our_own_share_is_what_networks_capture_and_scaling_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = benchmark.Bench(load(None, ["source.kind=demo", "source.demo.people=0"]), StageTimes())
    frame = bench.read()
    pipeline = SimpleNamespace(networks_s=0.0)

    def look(_: Frame) -> None:
        pipeline.networks_s += 2
        bench.times.add("crop", 1)
        bench.times.add("judge", 1)

    monkeypatch.setattr(bench, "pipeline", pipeline)
    monkeypatch.setattr(bench, "read", lambda: frame)
    monkeypatch.setattr(bench, "look", look)
    # Reading takes 3 seconds, of which scaling, measured once more, takes 1; looking takes 6.
    clock = iter([0, 3, 10, 11, 20, 26])
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: next(clock))
    assert bench.step() == 3 + 6
    assert bench.own_shares == [pytest.approx(1 - (2 + 1 + 2 + 1) / 9)]


def test_table_and_comparison_name_every_scenario(report: BenchmarkReport) -> None:
    table = as_table(report)
    assert "0 faces" in table
    assert "2 faces" in table
    assert "large convolution" in table
    assert "    1.00" in compare(report, report)


def test_reports_are_read_back(report: BenchmarkReport, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(as_json(report))
    assert read(path) == report
    path.write_text("{}")
    with pytest.raises(UsageError, match="not a benchmark"):
        read(path)


def test_percentiles_of_known_durations() -> None:
    found = latency([i / 1000 for i in range(1, 101)], 0.1)
    assert (found.median_ms, found.p95_ms, found.p99_ms, found.share) == (51.0, 96.0, 100.0, 0.51)


def test_a_recording_shown_again_does_not_turn_time_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Recording:
        live = False
        restarts = 0

        def __init__(self) -> None:
            self._left = 3

        def read(self) -> Frame | None:
            self._left -= 1
            picture = np.zeros((240, 320, 3), np.uint8)
            return Frame(0, 100 - self._left, 0.0, picture[:, :, 0], picture) if self._left >= 0 else None

        def close(self) -> None:
            pass

    monkeypatch.setattr(benchmark, "open_source", lambda _config, _stop: Recording())
    bench = benchmark.Bench(load(None, []).model_copy(update={"gating": benchmark.NO_GATING}), StageTimes())
    for _ in range(8):
        bench.step()
    assert bench.pipeline.work.searches == 8


def test_a_network_of_opencv_is_measured_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tiny_models.file_entry(tmp_path, "means.onnx", tiny_models.onnx_means())
    gender = {"tensor": "means", "columns": [0, 1], "decode": "one"}
    age = {"tensor": "means", "columns": [1, 2], "decode": "years"}
    entry = tiny_models.estimator_entry(weights, {"age": age, "gender": gender})
    entry["input"]["layout"] = "nchw"
    entry["networks"][0]["runtime"] = "onnx"
    tiny_models.write_manifest(tmp_path, {"means": entry})
    runs: list[tuple[int, ...]] = []
    run = DnnNetwork.run
    monkeypatch.setattr(DnnNetwork, "run", lambda self, value: (runs.append(value.shape), run(self, value))[1])
    monkeypatch.setattr(benchmark_models, "MODEL_RUNS", 10)
    monkeypatch.setattr(benchmark_models, "find_model", lambda name, **_: find_model(name, tmp_path, tmp_path))
    config = load(None, ["estimator.model=means", "detector.kind=haar"])
    (speed,) = benchmark_models.model_speeds(config, peak=1.0)
    assert speed.runtime == "onnx"
    assert speed.all_cores_ms is None
    assert runs == [(1, 3, 8, 8)] * 11
