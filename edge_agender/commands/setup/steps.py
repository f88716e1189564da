"""`edge-agender setup`: asks the few questions, shows what it will write, writes it whole or not at all, starts the
service and lets the doctor look at it. Until the last yes nothing is written."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from edge_agender.commands.doctor import checks as doctor
from edge_agender.commands.doctor.report import as_text, summary
from edge_agender.commands.setup import estimator, unit
from edge_agender.commands.setup.document import changes, render
from edge_agender.commands.setup.draft import CA_FILE, Draft
from edge_agender.commands.setup.files import File, write_all
from edge_agender.commands.setup.prompt import Prompt
from edge_agender.commands.setup.questions import ask_all, from_flags, try_broker
from edge_agender.common.files import opened
from edge_agender.config.load import read_file, validate
from edge_agender.config.secrets import holds_address, masked
from edge_agender.config.settings import Config
from edge_agender.device.hardening import harden_process
from edge_agender.device.installation import Place
from edge_agender.device.paths import reference_text
from edge_agender.errors import ConfigError, SetupError, UsageError

SYSTEM = Path("/")
CONFIG_FILE = Path("etc/edge-agender/config.yaml")
PASSWORD_FILE = Path("etc/credstore/edge-agender.mqtt-password")
# The service's user exists only while it runs, so that no file can belong to it: this group is what it is given.
SERVICE_GROUP = "video"
STOPPED = 130


@dataclass(frozen=True, slots=True)
class Before:
    """What is there already. `config` None: nothing, or nothing that can be used, for the reason in `unusable`."""

    config: Config | None
    draft: Draft
    unusable: str | None


def run_setup(options: Namespace) -> int:
    """Set this device up; return 0, 130 where it was stopped before writing, 1 where the doctor finds a failure."""
    prompt, root = Prompt(sys.stdout), Path(os.path.realpath(options.root))
    _may_go_on(options, prompt, root)
    before = _look(root)
    try:
        draft = _decide(options, prompt, before, root)
        files, undone = _plan(draft, root)
        _show(prompt, draft, before, files, undone)
        if options.dry_run:
            prompt.say("nothing was written (--dry-run)")
            return 0
        if not options.yes and not prompt.agree(_last_question(options, root, undone), default=True):
            prompt.say("nothing was written")
            return STOPPED
    except (KeyboardInterrupt, EOFError):
        prompt.say("\nstopped: nothing was written")
        return STOPPED
    return _do(options, prompt, root, files, undone)


def _may_go_on(options: Namespace, prompt: Prompt, root: Path) -> None:
    if root == SYSTEM and not options.dry_run and os.geteuid() != 0:
        raise SetupError("setup writes below /etc: run it with sudo, or look first with --dry-run")
    if not options.yes and not prompt.can_ask:
        raise UsageError("there is no terminal to ask on: give --yes and what differs from the defaults as flags")


def _look(root: Path) -> Before:
    path = root / CONFIG_FILE
    try:
        opened(path).close()
    except FileNotFoundError:
        return Before(None, Draft(), None)
    except OSError as error:
        raise SetupError(f"{path}: {error.strerror}: run setup with sudo, or see to this file") from None
    try:
        data = read_file(path)
        return Before(validate(data, str(path)), Draft(data), None)
    except ConfigError as error:
        return Before(None, Draft(), str(error))


def _decide(options: Namespace, prompt: Prompt, before: Before, root: Path) -> Draft:
    if before.unusable is not None:
        if options.yes:
            # The defaults may tell more of people than what was meant by the file.
            raise ConfigError(f"{before.unusable}\nmend this, move the file away, or run setup without --yes")
        prompt.refuse(before.unusable)
        prompt.say("This configuration cannot be used; it is kept, and a new one starts from the defaults.", "yellow")
    draft, place = from_flags(before.draft, options), Place(root)
    if options.yes:
        if try_broker(draft, place, prompt) is not None:
            prompt.say("going on all the same: the service connects when it can", "yellow")
    else:
        prompt.say("Enter takes what stands in brackets. Nothing is written before the end; Ctrl-C stops.")
        draft = ask_all(draft, options, prompt, place)
    return _with_estimator(draft, options, prompt, before, root)


def _with_estimator(draft: Draft, options: Namespace, prompt: Prompt, before: Before, root: Path) -> Draft:
    """What is written below another root may be for another board: there only --estimator auto measures."""
    if options.estimator == estimator.AUTO:
        return estimator.measured(draft, prompt, fresh=True, asks=False)
    if options.estimator is not None or root != SYSTEM:
        return draft
    return estimator.measured(draft, prompt, fresh=before.config is None, asks=not options.yes)


def _plan(draft: Draft, root: Path) -> tuple[list[File], str | None]:
    """Return the files that must change, and what cannot be done, in words."""
    config = draft.config
    private = holds_address(config.source)
    text = render(config, reference_text())
    files = [
        File(root / CONFIG_FILE, text.encode(), 0o640 if private else 0o644, "configuration",
             SERVICE_GROUP if private else None, keep=True)
    ]  # fmt: skip
    if draft.password is not None:
        files.append(
            File(root / PASSWORD_FILE, f"{draft.password}\n".encode(), 0o600, "the broker's password", secret=True)
        )
    if draft.ca is not None:
        files.append(File(root / CA_FILE.relative_to("/"), draft.ca, 0o644, _authority(draft), keep=True))
    undone = None
    if not unit.packaged(root):
        try:
            text = unit.unit_text(Path(sys.prefix))
            files.append(File(root / unit.OWN_PLACE, text.encode(), 0o644, "the service's unit", keep=True))
        except SetupError as error:
            undone = f"the service is not installed: {error}"
    return [file for file in files if not file.is_there()], undone


def _authority(draft: Draft) -> str:
    in_memory = str(draft.ca_from).startswith("/proc/")
    return "the broker's certificate authority" if in_memory else f"copy of {draft.ca_from}"


def _show(prompt: Prompt, draft: Draft, before: Before, files: list[File], undone: str | None) -> None:
    prompt.say()
    for file in files:
        owner = f"root:{file.group or 'root'} {file.mode:04o}"
        replaced = "; existing file backed up" if file.keep and file.path.exists() else ""
        prompt.say(f"{file.path} ({file.title}, {owner}{replaced})", "bold")
        if file.secret:
            prompt.say("  ********")
        elif file.title == "configuration":
            _show_configuration(prompt, draft, before)
    if not files:
        prompt.say("Every file is already as it should be.")
    if undone is not None:
        prompt.say(undone, "yellow")
    prompt.say()


def _show_configuration(prompt: Prompt, draft: Draft, before: Before) -> None:
    for line in render(masked(draft.config), reference_text()).splitlines():
        prompt.say(f"  {line}", "dim" if line.strip().startswith("#") else None)
    if before.config is not None:
        lines = changes(before.config, draft.config)
        prompt.say("what changes:" if lines else "no option changes")
        for line in lines:
            prompt.say(f"  {line}", "yellow")


def _last_question(options: Namespace, root: Path, undone: str | None) -> str:
    starts = undone is None and not options.no_start and unit.systemd_runs(root)
    return "Write this and start the service?" if starts else "Write this?"


def _do(options: Namespace, prompt: Prompt, root: Path, files: list[File], undone: str | None) -> int:
    kept = write_all(files, root)
    for file in files:
        prompt.say(f"written: {file.path}")
    for path in kept:
        prompt.say(f"kept:    {path}")
    if root != SYSTEM:
        prompt.say(f"not done, since all was written below {root}: starting the service, the doctor")
        return 0
    trouble = _start(options, prompt, reload=any(file.path == root / unit.OWN_PLACE for file in files), undone=undone)
    healthy = _examine(prompt, root)
    if trouble is not None:
        raise trouble
    return 0 if healthy else 1


def _start(options: Namespace, prompt: Prompt, reload: bool, undone: str | None) -> SetupError | None:
    """Start the service where that can be done, else say why not; return its failure, which the doctor comes before."""
    if undone is not None or options.no_start or not unit.systemd_runs(SYSTEM):
        reason = undone or (
            "--no-start" if options.no_start else "no systemd runs here: start `edge-agender run` yourself"
        )
        prompt.say(f"not started: {reason}", "yellow")
        return None
    try:
        unit.start(reload, prompt.progress)
    except SetupError as error:
        return error
    finally:
        prompt.progress_ends()
    prompt.say("started:  edge-agender, and at every boot from now on", "green")
    return None


def _examine(prompt: Prompt, root: Path) -> bool:
    prompt.say("\nthe doctor looks at it:")
    # It looks at pictures.
    harden_process()
    results = []
    for result in doctor.each(root / CONFIG_FILE, place=Place(root)):
        results.append(result)
        prompt.say(as_text(result, colour=prompt.colours))
    prompt.say(summary(results))
    return not doctor.failed(results)
