"""What a benchmark found: its data, its table, and the comparison with an older one. No measuring here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_agender.common.files import read_file
from edge_agender.errors import UsageError

MAX_REPORT_BYTES = 1 << 20


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Latency(Part):
    """Milliseconds; `share` is the part of a frame's median that this stage takes."""

    n: int
    median_ms: float
    p95_ms: float
    p99_ms: float
    share: float | None = None


class Scenario(Part):
    """One audience size. Stages are measured with all gating off: every frame searched, every face estimated."""

    faces: int = Field(description="people standing in view")
    found: float = Field(description="faces found a frame, mean")
    rounds: int
    stable: bool = Field(description="the median of the last two rounds differed by less than 3 %")
    frame: Latency
    stages: dict[str, Latency]
    frames_per_s: float
    own_share: float = Field(description="part of a frame that is neither a network at work, nor capture, nor scaling")
    gated_frame: Latency = Field(description="the same with gating as configured")
    searched_share: float = Field(description="part of the frames that gating let through to the detector")


class ModelSpeed(Part):
    name: str
    runtime: str
    multiply_adds: int | None
    median_ms: float
    gmac_per_s: float | None
    part_of_peak: float | None = Field(description="of what a large convolution reached in this run")
    all_cores_ms: float | None = Field(
        None, description="median with a thread a core; null where there is one core, or cv2.dnn"
    )


class EstimatorChoice(Part):
    """Which of the shipped estimators `setup` chooses on this board, by the networks' times of this run."""

    model: str
    reason: str
    faces: int = Field(description="in view, all searched and all estimated in every frame")
    larger_ms: float | None = Field(description="a frame with the larger estimator, networks alone; null: not measured")
    budget_ms: float | None = Field(description="half a frame's time at source.rate_hz; null: not measured")


class Machine(Part):
    board: str | None
    os: str | None
    kernel: str
    architecture: str
    cpus: int
    python: str
    runtime: str
    numpy: str
    opencv: str
    edge_agender: str
    temperature_before_c: float | None
    temperature_after_c: float | None
    throttled: bool | None


class BenchmarkReport(Part):
    schema_: Literal["edge-agender.benchmark"] = Field(default="edge-agender.benchmark", alias="schema")
    version: Literal[1] = 1
    machine: Machine
    source: str
    picture: tuple[int, int] = Field(description="width and height of the full picture, pixels")
    threads: int
    peak_gmac_per_s: float = Field(description="int8, one large convolution, the same runtime and threads")
    resident_mb: float | None
    models: tuple[ModelSpeed, ...]
    estimator: EstimatorChoice | None = Field(None, description="null where another estimator is configured")
    scenarios: tuple[Scenario, ...]
    live_cpu_share: float | None = Field(description="of one core, paced at the source's rate, gating as configured")
    live_rate_hz: float
    live_faces: int


def as_json(report: BenchmarkReport) -> str:
    return report.model_dump_json(by_alias=True, indent=1)


def read(path: Path) -> BenchmarkReport:
    """Return the report in a file; raise UsageError where there is none."""
    try:
        return BenchmarkReport.model_validate_json(read_file(path, MAX_REPORT_BYTES))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}: give a file that --benchmark --json has written") from None
    except ValidationError:
        raise UsageError(f"{path}: not a benchmark: give a file that --benchmark --json has written") from None


def as_table(report: BenchmarkReport) -> str:
    machine = report.machine
    heat = " -> ".join(
        "unknown" if t is None else f"{t:.0f}" for t in (machine.temperature_before_c, machine.temperature_after_c)
    )
    throttled = "unknown" if machine.throttled is None else "yes" if machine.throttled else "no"
    lines = [
        f"{machine.board or 'unknown board'}, {machine.architecture}, {machine.cpus} cores, {machine.os}",
        f"Python {machine.python}, "
        f"edge-agender {machine.edge_agender}, {machine.runtime}, OpenCV {machine.opencv}, NumPy {machine.numpy}",
        f"{heat} degrees C, throttled: {throttled}",
        f"source {report.source} {report.picture[0]}x{report.picture[1]}, {report.threads} thread(s), "
        f"{report.resident_mb or float('nan'):.0f} MB resident",
        "",
        f"{'model':18}{'median ms':>10}{'M mult-adds':>13}{'GMAC/s':>9}{'of peak':>9}{'all cores':>12}",
    ]
    lines += [_model_row(model) for model in report.models]
    lines.append(f"{'large convolution':18}{'':23}{report.peak_gmac_per_s:9.1f}")
    if report.estimator:
        lines.append(f"setup would choose {report.estimator.reason}")
    for scenario in report.scenarios:
        lines += ["", *_scenario_rows(scenario)]
    if report.live_cpu_share is not None:
        lines += ["", f"live, {report.live_faces} people at {report.live_rate_hz:g} Hz, gating as configured: "
                  f"{100 * report.live_cpu_share:.1f} % of one core"]  # fmt: skip
    return "\n".join(lines)


def _model_row(model: ModelSpeed) -> str:
    macs = "" if model.multiply_adds is None else f"{model.multiply_adds / 1e6:.1f}"
    speed = "" if model.gmac_per_s is None else f"{model.gmac_per_s:.1f}"
    part = "" if model.part_of_peak is None else f"{100 * model.part_of_peak:.0f} %"
    all_cores = "" if model.all_cores_ms is None else f"{model.all_cores_ms:.3f} ms"
    return f"{model.name:18}{model.median_ms:10.3f}{macs:>13}{speed:>9}{part:>9}{all_cores:>12}"


def _scenario_rows(scenario: Scenario) -> list[str]:
    note = "" if scenario.stable else "  (not stable: something else is running)"
    rows = [f"{f'{scenario.faces} faces':18}{'median ms':>10}{'p95':>9}{'p99':>9}{'share':>8}{note}"]
    rows += [_latency_row(name, latency) for name, latency in scenario.stages.items()]
    rows.append(
        _latency_row("whole frame", scenario.frame)
        + f"   {scenario.frames_per_s:.0f} frames/s, our own code {100 * scenario.own_share:.0f} %"
    )
    rows.append(
        _latency_row("with gating", scenario.gated_frame) + f"   searched {100 * scenario.searched_share:.0f} %"
    )
    return rows


def _latency_row(name: str, latency: Latency) -> str:
    share = "" if latency.share is None else f"{100 * latency.share:.0f} %"
    return f"{'  ' + name:18}{latency.median_ms:10.3f}{latency.p95_ms:9.3f}{latency.p99_ms:9.3f}{share:>8}"


def compare(old: BenchmarkReport, new: BenchmarkReport) -> str:
    """Return a table of ratios, new to old; below 1 is faster."""
    rows = [f"{'median, new / old':30}{'old ms':>10}{'new ms':>10}{'ratio':>8}"]
    before = {scenario.faces: scenario for scenario in old.scenarios}
    rows += [
        _ratio_row(f"{model.name}", was.median_ms, model.median_ms)
        for model in new.models
        for was in old.models
        if was.name == model.name
    ]
    for scenario in new.scenarios:
        was_scenario = before.get(scenario.faces)
        if was_scenario is None:
            continue
        rows.append(
            _ratio_row(f"{scenario.faces} faces, whole frame", was_scenario.frame.median_ms, scenario.frame.median_ms)
        )
        rows += [
            _ratio_row(f"{scenario.faces} faces, {stage}", was_scenario.stages[stage].median_ms, latency.median_ms)
            for stage, latency in scenario.stages.items()
            if stage in was_scenario.stages
        ]
    return "\n".join(rows)


def _ratio_row(name: str, old_ms: float, new_ms: float) -> str:
    return f"{name:30}{old_ms:10.3f}{new_ms:10.3f}{new_ms / max(old_ms, 1e-9):8.2f}"


def latency(durations_s: Sequence[float], whole_s: float | None = None) -> Latency:
    """Return the percentiles of durations; `whole_s` is the frame's median, for the share."""
    ordered = sorted(durations_s)
    median, p95, p99 = (ordered[min(int(len(ordered) * q), len(ordered) - 1)] for q in (0.5, 0.95, 0.99))
    share = None if not whole_s else round(median / whole_s, 4)
    return Latency(
        n=len(ordered),
        median_ms=round(median * 1e3, 4),
        p95_ms=round(p95 * 1e3, 4),
        p99_ms=round(p99 * 1e3, 4),
        share=share,
    )


def schema_text() -> str:
    """Return the JSON Schema of `--benchmark --json`, as it stands in docs/benchmark.schema.json."""
    return json.dumps(BenchmarkReport.model_json_schema(by_alias=True), indent=1) + "\n"
