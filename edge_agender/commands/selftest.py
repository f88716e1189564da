"""Does this installation see what it should? The true pipeline on the demo's faces, whose truth is known."""

from __future__ import annotations

import json
import threading
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edge_agender.capture.sources.crowd import DemoPerson
from edge_agender.capture.sources.demo import DemoSource
from edge_agender.commands.options import add_config_flags, load_config
from edge_agender.config.settings import Config, DemoConfig, SourceConfig
from edge_agender.errors import SelftestError
from edge_agender.imaging.geometry import iou
from edge_agender.vision.assembly import build_pipeline
from edge_agender.vision.faces import Face
from edge_agender.vision.pipeline import Observation

SECONDS = 24.0
RATE_HZ = 10.0
PEOPLE = 3
SAME_FACE_IOU = 0.4
# Synthetic faces are easier than people: an installation that misses these limits is broken, not unlucky.
LEAST_FOUND, MOST_EXTRA = 0.90, 0.05
# Six people are judged, so that 0.8 lets one be wrong. An average of many people has no wrinkles: the old look younger
# than their mean age.
LEAST_GENDER, MOST_AGE_ERROR_YEARS = 0.8, 14.0


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    passed: bool
    value: float
    limit: float
    unit: str

    def shown(self, value: float) -> str:
        return f"{100 * value:.3g}" if self.unit.startswith("%") else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class SelftestReport:
    """What was compared, and whether all of it holds."""

    checks: tuple[Check, ...]
    frames: int

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        return {"passed": self.passed, "frames": self.frames, "checks": [asdict(check) for check in self.checks]}

    def as_text(self) -> str:
        lines = [
            f"{'ok' if c.passed else 'FAILED':7}{c.name}: {c.shown(c.value)} {c.unit} (limit {c.shown(c.limit)})"
            for c in self.checks
        ]
        return "\n".join([*lines, f"{'passed' if self.passed else 'FAILED'} on {self.frames} frames of the demo"])

    def error(self) -> SelftestError:
        failed = ", ".join(check.name for check in self.checks if not check.passed)
        return SelftestError(
            f"selftest failed ({failed}): install again, or check detector and estimator in the configuration"
        )


class Comparison:
    """Compares what was seen with what is true, frame by frame."""

    def __init__(self) -> None:
        self.frames = self.expected = self.found = self.extra = self.seen = 0
        self._latest: dict[int, tuple[DemoPerson, Face]] = {}

    def add(self, truth: Sequence[DemoPerson], observation: Observation) -> None:
        """Take in one searched frame. People who stand count; those walking in or out are neither missed nor extra."""
        self.frames += 1
        here = [face for face in observation.faces if face.last_seen_s == observation.captured_s]
        overlap = iou([person.box for person in truth], [face.box for face in here])
        taken = set()
        for row, person in enumerate(truth):
            best = max(range(len(here)), key=lambda column: overlap[row, column], default=None)
            match = best if best is not None and overlap[row, best] >= SAME_FACE_IOU else None
            if match is not None:
                taken.add(match)
                self._latest[person.person_id] = (person, here[match])
            if person.standing and person.visible >= 1:
                self.expected += 1
                self.found += match is not None
        self.seen += len(here)
        self.extra += len(here) - len(taken)

    def checks(self) -> tuple[Check, ...]:
        judged = [(p, f.estimate) for p, f in self._latest.values() if f.estimate is not None]
        right = [(estimate.p_female >= 0.5) == (person.gender == "female") for person, estimate in judged]
        errors = [abs(estimate.years - person.age_years) for person, estimate in judged]
        found, extra = self.found / max(self.expected, 1), self.extra / max(self.seen, 1)
        gender = sum(right) / max(len(right), 1)
        age_error = sum(errors) / len(errors) if errors else float("inf")
        return (
            Check("faces found", found >= LEAST_FOUND, found, LEAST_FOUND, "% of the faces in view"),
            Check("false detections", extra <= MOST_EXTRA, extra, MOST_EXTRA, "% of all found"),
            Check("gender right", gender >= LEAST_GENDER, gender, LEAST_GENDER, "% of the people judged"),
            Check("age error", age_error <= MOST_AGE_ERROR_YEARS, age_error, MOST_AGE_ERROR_YEARS, "years, mean"),
        )


def run_selftest(config: Config) -> SelftestReport:
    """Run the configured detector and estimator over the demo, as fast as they can; raise ModelError, MediaError."""
    demo = DemoConfig(people=PEOPLE, pace=False, duration_s=SECONDS, seed=config.source.demo.seed)
    source_config = SourceConfig(kind="demo", rate_hz=RATE_HZ, demo=demo)
    gating = config.gating.model_copy(update={"motion": False, "cadence": False})
    pipeline = build_pipeline(config.model_copy(update={"gating": gating}))
    comparison = Comparison()
    with DemoSource(source_config, threading.Event()) as source:
        while (frame := source.read()) is not None:
            truth = source.truth(frame.sequence)
            with frame:
                comparison.add(truth, pipeline.process(frame))
    return SelftestReport(comparison.checks(), comparison.frames)


def add_arguments(parser: ArgumentParser) -> None:
    add_config_flags(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(options: Namespace) -> int:
    """Print the report; raise SelftestError where something is not as it should be."""
    report = run_selftest(load_config(options))
    print(json.dumps(report.as_dict()) if options.json else report.as_text())
    if not report.passed:
        raise report.error()
    return 0
