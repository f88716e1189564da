"""How fast this board is, stage by stage, for audiences of several sizes, beside what its silicon can do."""

from __future__ import annotations

import platform
import statistics
import sys
import threading
import time
from argparse import Namespace
from dataclasses import dataclass, field

import cv2
import numpy as np

from edge_agender import __version__
from edge_agender.capture.replay import Replay
from edge_agender.capture.sources import open_source
from edge_agender.commands.benchmark.models import estimator_choice, model_speeds, peak_gmac_per_s
from edge_agender.commands.benchmark.report import (
    BenchmarkReport,
    Machine,
    Scenario,
    as_json,
    as_table,
    compare,
    latency,
    read,
)
from edge_agender.common.timing import STAGES, StageTimes
from edge_agender.config.section import MOST_PEOPLE, MOST_THREADS
from edge_agender.config.settings import Config, GatingConfig
from edge_agender.daemon.reporter import Reporter
from edge_agender.delivery.outbox.outbox import Outbox
from edge_agender.device import board
from edge_agender.device.memory import evict_library_pages, library_areas, trim_heap
from edge_agender.errors import UsageError
from edge_agender.imaging.frame import Frame
from edge_agender.imaging.preprocess import small_luma
from edge_agender.inference import tflite
from edge_agender.messages.sender import sender_of
from edge_agender.vision.assembly import build_pipeline

ROUND_FRAMES = 60
MOST_ROUNDS = 12
STABLE_WITHIN = 0.03
LIVE_SECONDS = 6.0
LIVE_FACES = 2
NO_GATING = GatingConfig(motion=False, cadence=False, estimates=False)
# Stages that are not our own code at work: getting the picture, and scaling it and its faces.
NOT_OURS = ("capture", "scale", "crop")


def run_benchmark(options: Namespace, config: Config) -> int:
    """Measure, print the table or JSON, and the comparison where an older file is given."""
    old = read(options.compare) if options.compare else None
    faces = audience_sizes(options.faces)
    config = with_threads(config, options.threads)
    report = measure(config, faces, progress=sys.stderr.isatty())
    print(as_json(report) if options.json else as_table(report))
    if old:
        print("\n" + compare(old, report), file=sys.stderr if options.json else sys.stdout)
    return 0


def audience_sizes(text: str | None) -> list[int]:
    """Read "0,1,4,16", which is the default; raise UsageError for what the demo cannot show."""
    try:
        sizes = [int(size) for size in (text or "0,1,4,16").split(",")]
    except ValueError:
        sizes = []
    if not sizes or not all(0 <= size <= MOST_PEOPLE for size in sizes):
        raise UsageError(f"--faces {text}: give numbers from 0 to {MOST_PEOPLE}, such as 0,1,4,16")
    return sizes


def with_threads(config: Config, threads: int) -> Config:
    if not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"--threads {threads}: give a number from 1 to {MOST_THREADS}")
    parts = {name: getattr(config, name).model_copy(update={"threads": threads}) for name in ("detector", "estimator")}
    return config.model_copy(update=parts)


def measure(config: Config, faces: list[int], *, progress: bool) -> BenchmarkReport:
    """Run every scenario. With a source other than the demo there is one, whatever it shows."""
    tflite.preload()
    libraries = library_areas()
    before = board.read()
    threads = config.detector.threads
    cv2.setNumThreads(threads)
    peak = peak_gmac_per_s(threads)
    models = tuple(model_speeds(config, peak))
    # As the daemon does once everything is open: what is resident in the end is what working needs.
    trim_heap()
    evict_library_pages(libraries)
    scenarios = []
    for count in faces if config.source.kind == "demo" else faces[:1]:
        if progress:
            print(f"measuring {count} faces ...", file=sys.stderr)
        scenarios.append(scenario(config, count))
    live = live_cpu_share(config, LIVE_FACES) if config.source.kind == "demo" else None
    after = board.read()
    return BenchmarkReport(
        machine=machine(before, after),
        source=config.source.kind,
        picture=(config.source.width_px, config.source.height_px),
        threads=threads,
        peak_gmac_per_s=round(peak, 2),
        resident_mb=None if after.resident_bytes is None else round(after.resident_bytes / 1e6, 1),
        models=models,
        estimator=estimator_choice(config, models),
        scenarios=tuple(scenarios),
        live_cpu_share=live,
        live_rate_hz=config.source.rate_hz,
        live_faces=LIVE_FACES,
    )


def machine(before: board.Reading, after: board.Reading) -> Machine:
    known, throttling = board.identify(), after.throttling
    return Machine(
        board=known.model,
        os=known.os,
        kernel=known.kernel,
        architecture=known.architecture,
        cpus=known.cpus,
        python=platform.python_version(),
        runtime=tflite.runtime_name(),
        numpy=np.__version__,
        opencv=cv2.__version__,
        edge_agender=__version__,
        temperature_before_c=before.temperature_c,
        temperature_after_c=after.temperature_c,
        throttled=board.slowed_down(throttling),
    )


@dataclass
class Bench:
    """A pipeline with its reporter and outbox, fed frame by frame from a source that draws as fast as it can."""

    config: Config
    times: StageTimes
    found: int = 0
    frames: int = 0
    own_shares: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        source = self.config.source
        demo = source.demo.model_copy(update={"pace": False, "duration_s": None})
        opencv = source.opencv.model_copy(update={"pace": False})
        self.source_config = source.model_copy(update={"demo": demo, "opencv": opencv})
        self.small_size = (source.small_width_px, source.small_height_px)
        # Without self in it: a circle would keep the pictures of every scenario.
        opened, stop = self.source_config, threading.Event()
        self.source = Replay(
            lambda: open_source(opened, stop),
            stop,
            f"source {source.kind}",
            rate_hz=source.rate_hz,
            after_s=0.0,
        )
        self.pipeline = build_pipeline(self.config, self.times)
        self.reporter = Reporter(self.config, sender_of(self.config))
        self.outbox = Outbox(self.config.outbox)

    def read(self) -> Frame:
        frame = self.source.read()
        assert frame is not None  # it starts again at its end
        return frame

    def step(self) -> float:
        """Take one frame through everything; return its duration in seconds."""
        others_before_s = self._others_s()
        began = time.perf_counter()
        frame = self.read()
        read_s = time.perf_counter() - began
        began = time.perf_counter()
        small_luma(frame.full, self.small_size)
        scale_s = time.perf_counter() - began
        # The source scaled already, within read(): count it once, and by its own name.
        self.times.add("capture", max(read_s - scale_s, 0.0))
        self.times.add("scale", scale_s)
        began = time.perf_counter()
        with frame:
            self.look(frame)
        whole_s = read_s + time.perf_counter() - began
        self.own_shares.append(max(1 - (self._others_s() - others_before_s) / whole_s, 0.0))
        return whole_s

    def _others_s(self) -> float:
        """Return what was not our own code at work so far: networks, getting pictures, scaling them and their faces."""
        return self.pipeline.networks_s + self.times.total_s(NOT_OURS)

    def look(self, frame: Frame) -> None:
        observation = self.pipeline.process(frame)
        laps = self.times.laps()
        messages = list(self.reporter.observe(observation))
        laps.lap("encode")
        for message in messages:
            self.outbox.put(message)
        laps.lap("publish")
        self.found += len(observation.faces)
        self.frames += 1

    def rounds(self) -> tuple[list[float], int, bool]:
        """Run rounds until two medians agree; return the last one's durations, their number, and whether they do."""
        last: float | None = None
        durations: list[float] = []
        for number in range(1, MOST_ROUNDS + 1):
            self.times.clear()
            self.own_shares.clear()
            self.found = self.frames = 0
            durations = [self.step() for _ in range(ROUND_FRAMES)]
            middle = statistics.median(durations)
            if last is not None and abs(middle - last) <= STABLE_WITHIN * last:
                return durations, number, True
            last = middle
        return durations, MOST_ROUNDS, False


def scenario(config: Config, count: int) -> Scenario:
    """Measure one audience size: without gating by stage, then with gating as a whole."""
    demo = config.source.demo.model_copy(update={"people": count, "stay": True})
    config = config.model_copy(update={"source": config.source.model_copy(update={"demo": demo})})
    open_bench = Bench(config.model_copy(update={"gating": NO_GATING}), StageTimes())
    durations, rounds, stable = open_bench.rounds()
    open_bench.source.close()
    gated = Bench(config, StageTimes())
    gated_durations, _, _ = gated.rounds()
    gated.source.close()
    whole = statistics.median(durations)
    samples = open_bench.times.samples()
    found = open_bench.found / max(open_bench.frames, 1)
    stages = {name: latency(samples[name], whole) for name in STAGES if samples.get(name)}
    return Scenario(
        faces=count,
        found=round(found, 2),
        rounds=rounds,
        stable=stable,
        frame=latency(durations),
        stages=stages,
        frames_per_s=round(1 / whole, 1),
        own_share=round(statistics.median(open_bench.own_shares), 4),
        gated_frame=latency(gated_durations),
        searched_share=round(gated.pipeline.work.searches / max(gated.pipeline.work.frames, 1), 4),
    )


def live_cpu_share(config: Config, faces: int) -> float:
    """Return our share of one core while frames come at the camera's rate, drawing them left out."""
    demo = config.source.demo.model_copy(update={"people": faces, "stay": True})
    bench = Bench(config.model_copy(update={"source": config.source.model_copy(update={"demo": demo})}), StageTimes())
    period_s = 1 / config.source.rate_hz
    used_s, began = 0.0, time.monotonic()
    for number in range(int(LIVE_SECONDS / period_s)):
        frame = bench.read()
        time.sleep(max(began + number * period_s - time.monotonic(), 0.0))
        before = time.process_time()
        small_luma(frame.full, bench.small_size)
        with frame:
            bench.look(frame.altered(captured_s=time.monotonic()))
        used_s += time.process_time() - before
    bench.source.close()
    return round(used_s / (time.monotonic() - began), 4)
