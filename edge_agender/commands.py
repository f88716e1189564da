"""What each verb does. Returns an exit code; raises EdgeAgenderError for what the user can mend."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_agender.cli import CONFIG_VARIABLE, SYSTEM_CONFIG, configure_logging
from edge_agender.config import load, source_overrides
from edge_agender.errors import MediaError, UsageError
from edge_agender.settings import Config

log = logging.getLogger(__name__)

# Below this a score is noise on any detector; average precision needs all above it.
LEAST_SCORE = 0.02


def load_config(options: Namespace) -> Config:
    """Return the configuration that --config, --set and --source describe together."""
    overrides = list(options.overrides)
    if getattr(options, "source", None):
        overrides = source_overrides(options.source) + overrides
    config = load(config_path(options), overrides)
    configure_logging(config.log.level)
    return config


def config_path(options: Namespace) -> Path | None:
    if options.config is not None:
        return Path(options.config)
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    return SYSTEM_CONFIG if SYSTEM_CONFIG.is_file() else None


def run(options: Namespace) -> int:
    """The service, until SIGTERM, SIGINT or, with --until-end, the end of the file."""
    config = load_config(options)
    from edge_agender.service import Service

    service = Service(config, lambda: load_config(options), sink=options.sink, until_end=options.until_end)
    service.run()
    return 0


def check(options: Namespace) -> int:
    """Every mistake of the configuration at once; the models; with --broker, one connection."""
    config = load_config(options)
    from edge_agender.detectors import open_detector
    from edge_agender.estimator import Estimator
    from edge_agender.models import find_model

    key = config.models.public_key
    open_detector(config.detector, key)
    Estimator(find_model(config.estimator.model, public_key=key), config.estimator.threads)
    if options.broker:
        from edge_agender.mqtt import check_connection

        check_connection(config.mqtt, config.device.name)
    print(f"ok: {config_path(options) or 'built-in defaults'}: source {config.source.kind}, detector "
          f"{config.detector.kind}, broker {config.mqtt.host}:{config.mqtt.effective_port}")  # fmt: skip
    return 0


def predict(options: Namespace) -> int:
    """One JSON object a picture. A picture that cannot be read is a line on stderr and exit code 65 at the end."""
    configure_logging("warning")
    if options.score_threshold is not None and not 0 <= options.score_threshold <= 1:
        raise UsageError(f"--score-threshold {options.score_threshold}: give a number from 0 to 1")
    from edge_agender.predict import picture_files

    predict_one = _predictor(options, options.score_threshold)
    unreadable = 0
    for path in picture_files(options.images):
        try:
            print(json.dumps(predict_one(path)), flush=True)
        except MediaError as error:
            unreadable += 1
            print(f"edge-agender: {error}", file=sys.stderr)
    return MediaError.exit_code if unreadable else 0


def _predictor(options: Namespace, threshold: float | None) -> Callable[[Path], dict[str, Any]]:
    """Return what predicts one picture file with the detector and the estimator that are asked for."""
    from edge_agender.detectors import open_detector
    from edge_agender.estimator import Estimator
    from edge_agender.models import find_model
    from edge_agender.predict import predict_file
    from edge_agender.settings import DetectorConfig, EstimatorConfig

    detector = open_detector(DetectorConfig(kind=options.detector, score_threshold=threshold, min_face_px=1))
    estimator = Estimator(find_model(options.estimator or EstimatorConfig().model))
    return lambda path: predict_file(path, detector, estimator)


def evaluate(options: Namespace) -> int:
    """Figures on labelled pictures, as one JSON object."""
    configure_logging("warning")
    from edge_agender.evaluate import evaluate_boxes, evaluate_faces

    # Average precision looks at every threshold, so the detector must not apply its own.
    threshold = LEAST_SCORE if options.kind == "boxes" else None
    measure = {"faces": evaluate_faces, "boxes": evaluate_boxes}[options.kind]
    progress = _show_progress if sys.stderr.isatty() else None
    print(json.dumps(measure(options.labels, _predictor(options, threshold), options.root, progress), indent=1))
    return 0


def _show_progress(done: int, total: int) -> None:
    print(f"\r{done} of {total}", end="" if done < total else "\n", file=sys.stderr, flush=True)


def models(options: Namespace) -> int:
    """List models, tell about one, or install a published one."""
    configure_logging("warning")
    from edge_agender.model_store import add_model, list_models, model_info

    if options.action == "list":
        for row in list_models():
            size = "" if row.size_bytes is None else f"{row.size_bytes / 1000:.0f} kB"
            print(f"{row.name:28}{row.role:11}{row.state:11}{size:>10}  {row.title}")
    elif options.action == "info":
        told = model_info(options.name)
        card = told.pop("card")
        print(json.dumps(told, indent=1, default=str))
        if card:
            print(f"\n{card}")
    else:
        spec = add_model(options.name, options.folder)
        print(f"{spec.name}: installed in {spec.folder}")
    return 0


def selftest(options: Namespace) -> int:
    """Run the true pipeline on the demo's faces, whose ages and genders are known."""
    config = load_config(options)
    from edge_agender.selftest import run_selftest

    report = run_selftest(config)
    print(json.dumps(report.as_dict()) if options.json else report.as_text())
    if not report.passed:
        raise report.error()
    return 0


def doctor(options: Namespace) -> int:
    """What is wrong with this installation, as lines or JSON. 1 where something failed, 0 else."""
    configure_logging("critical")  # what a check finds, it tells itself
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:FATAL")
    from edge_agender.doctor import each, failed
    from edge_agender.doctor.report import as_json, as_text, summary
    from edge_agender.hardening import close_memory
    from edge_agender.terminal import wants_colours

    close_memory()
    overrides = [*(source_overrides(options.source) if options.source else []), *options.overrides]
    results, colour = [], wants_colours(sys.stdout)
    for result in each(config_path(options), overrides):
        results.append(result)
        if not options.json:
            print(as_text(result, colour=colour), flush=True)
    print(as_json(results) if options.json else summary(results))
    return 1 if failed(results) else 0


def benchmark(options: Namespace) -> int:
    """How fast this board is, by stage."""
    from edge_agender.benchmark import run_benchmark

    return run_benchmark(options, load_config(options))


def privacy_report(options: Namespace) -> int:
    """Write what a data-protection officer asks, from the configuration in use."""
    config = load_config(options)
    from edge_agender.outbox import default_folder
    from edge_agender.privacy_report import write_report
    from edge_agender.privacy_report.facts import SERVICE_STATE, facts_of
    from edge_agender.privacy_report.proof import find_proof, read_proof
    from edge_agender.reporter import versions

    used = versions(config)
    origin = str(config_path(options) or "built-in defaults: there is no configuration file")
    facts = facts_of(config, software=used["software"], fingerprint=used["configuration"], origin=origin)
    folders = [config.outbox.path or default_folder(), default_folder(), SERVICE_STATE]
    proof = read_proof(options.proof) if options.proof else find_proof(folders)
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    for path in write_report(facts, proof, options.out, made=made, machine=platform.node()):
        print(path)
    print("Drafts: fill in what is marked, and let a lawyer see what is marked for one.", file=sys.stderr)
    return 0


def setup(options: Namespace) -> int:
    """Ask, show, write, start, examine."""
    configure_logging("critical")  # what the doctor finds, it tells itself
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:FATAL")
    from edge_agender.setup import run_setup

    return run_setup(options)


def watch(options: Namespace) -> int:
    """A live view of devices, until Ctrl-C."""
    configure_logging("error")
    from edge_agender.watch import run_watch
    from edge_agender.watch.where import broker_to_watch

    with broker_to_watch(options, load(config_path(options), options.overrides).mqtt) as mqtt:
        return run_watch(options, mqtt)
