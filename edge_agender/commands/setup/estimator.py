"""Which estimator runs: named by a flag, or what this board was measured to be fast enough for."""

from __future__ import annotations

from edge_agender.commands.setup.draft import Draft
from edge_agender.commands.setup.prompt import Prompt
from edge_agender.errors import ModelError
from edge_agender.inference.catalogue import Catalogue
from edge_agender.vision.affordable import Choice, choose_estimator

AUTO = "auto"


def named(draft: Draft, name: str) -> Draft:
    """Return the Draft with an installed estimator; raise ModelError where there is none of that name."""
    if Catalogue(draft.config.models.public_key).find(name).role != "estimator":
        raise ModelError(f"{name} finds faces: give an estimator of `edge-agender models list`, or auto")
    return draft.with_options({"estimator.model": name})


def measured(draft: Draft, prompt: Prompt, *, fresh: bool, asks: bool) -> Draft:
    """Measure both that ship and say which one this board affords, in one line.

    A `fresh` configuration gets it. What was configured before stays, unless the person who is asked wants it.
    """
    prompt.say("\nmeasuring both estimators on this board ...")
    choice = choose_estimator(draft.config)
    prompt.say(f"  {choice.reason}")
    present = draft.config.estimator.model
    if choice.model == present or choice.larger_ms is None:
        return draft
    if asks:
        wanted = prompt.agree(f"Estimate age and gender with {choice.model}?", default=fresh)
        return named(draft, choice.model) if wanted else draft
    return named(draft, choice.model) if fresh else _kept(draft, choice, prompt)


def _kept(draft: Draft, choice: Choice, prompt: Prompt) -> Draft:
    prompt.say(f"  {draft.config.estimator.model} stays, as it is configured: --estimator {choice.model} changes it")
    return draft
