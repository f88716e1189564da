"""Which estimator setup writes down: measured, named, or as it was."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from edge_agender.cli import main
from edge_agender.commands.setup import estimator
from edge_agender.commands.setup.draft import Draft
from edge_agender.commands.setup.prompt import Prompt
from edge_agender.config.load import load
from edge_agender.vision.affordable import LARGER, STANDARD, Choice
from tests.support.broker import free_port

FAST = Choice(LARGER, f"{LARGER}: fits", 5.0, 33.0)
SLOW = Choice(STANDARD, f"{STANDARD}: does not fit", 90.0, 33.0)
UNKNOWN = Choice(STANDARD, f"{STANDARD}: not measured")


class Answering(Prompt):
    def __init__(self, answer: str) -> None:
        self.heard = io.StringIO()
        super().__init__(self.heard)
        self._answer = answer
        self.defaults: list[str] = []

    def ask(self, question: str, hint: str, default: str, secret: bool = False) -> str:
        self.defaults.append(default)
        return self._answer


def decided(
    monkeypatch: pytest.MonkeyPatch, choice: Choice, prompt: Prompt, before: str = STANDARD, **how: bool
) -> str:
    monkeypatch.setattr(estimator, "choose_estimator", lambda _: choice)
    draft = Draft().with_options({"estimator.model": before})
    return estimator.measured(draft, prompt, **how).config.estimator.model


def test_a_first_configuration_gets_what_the_board_affords(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = Answering("")
    assert decided(monkeypatch, FAST, prompt, fresh=True, asks=False) == LARGER
    assert decided(monkeypatch, SLOW, prompt, fresh=True, asks=False) == STANDARD
    assert decided(monkeypatch, UNKNOWN, prompt, fresh=True, asks=False) == STANDARD
    assert prompt.defaults == []
    assert FAST.reason in prompt.heard.getvalue()
    assert SLOW.reason in prompt.heard.getvalue()


def test_what_is_configured_stays_and_the_flag_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = Answering("")
    assert decided(monkeypatch, FAST, prompt, fresh=False, asks=False) == STANDARD
    assert f"--estimator {LARGER}" in prompt.heard.getvalue()
    assert decided(monkeypatch, SLOW, prompt, LARGER, fresh=False, asks=False) == LARGER
    assert f"--estimator {STANDARD}" in prompt.heard.getvalue()
    assert decided(monkeypatch, UNKNOWN, prompt, LARGER, fresh=False, asks=False) == LARGER


@pytest.mark.parametrize(("fresh", "enter"), [(True, LARGER), (False, STANDARD)])
def test_a_person_is_asked_only_where_there_is_a_choice(
    monkeypatch: pytest.MonkeyPatch, fresh: bool, enter: str
) -> None:
    for answer, model in (("", enter), ("y", LARGER), ("n", STANDARD)):
        prompt = Answering(answer)
        assert decided(monkeypatch, FAST, prompt, fresh=fresh, asks=True) == model
        assert prompt.defaults == ["Y/n" if fresh else "y/N"]
    for choice in (SLOW, UNKNOWN):
        prompt = Answering("y")
        assert decided(monkeypatch, choice, prompt, fresh=fresh, asks=True) == STANDARD
        assert prompt.defaults == []


def set_up(root: Path, *words: str) -> int:
    flags = ["--yes", "--no-start", "--root", str(root), "--source", "demo", "--broker", "127.0.0.1"]
    return main(["setup", *flags, "--port", str(free_port()), *words])


def test_flags_name_a_model_or_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "etc/edge-agender/config.yaml"
    assert set_up(tmp_path) == 0
    assert "measuring" not in capsys.readouterr().out, "another root may be another board's"
    assert f"model: {STANDARD}" in path.read_text()
    assert set_up(tmp_path, "--estimator", LARGER) == 0
    assert load(path).estimator.model == LARGER
    monkeypatch.setattr(estimator, "choose_estimator", lambda _: SLOW)
    assert set_up(tmp_path, "--estimator", "auto") == 0
    assert load(path).estimator.model == STANDARD
    assert SLOW.reason in capsys.readouterr().out


@pytest.mark.parametrize(("name", "says"), [("agender-edg", "did you mean agender-edge"), ("face-ssd", "finds faces")])
def test_a_model_that_cannot_estimate_writes_nothing(
    name: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set_up(tmp_path, "--estimator", name) == 72
    assert says in capsys.readouterr().err
    assert not (tmp_path / "etc").exists()
