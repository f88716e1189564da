"""What stands behind the report: the no-image proof's last result, and the models' cards with their errors."""

from __future__ import annotations

from edge_agender.commands.privacy_report.blocks import Paragraph, Section, say, section, table, text
from edge_agender.commands.privacy_report.cards import read_card
from edge_agender.commands.privacy_report.facts import Facts, Model
from edge_agender.commands.privacy_report.proof import ProofResult


def no_image_proof(proof: ProofResult | None, facts: Facts, machine: str) -> Section:
    """Return what the last run of the no-image proof showed, or plainly that there was none here."""
    what = text(
        "`make prove-no-images` runs the service on faces under strace, searches every byte that leaves it for "
        "pixels, and plants leaks that the search must find."
    )
    title = "The no-image proof"
    if proof is None:
        return section(title, what, text("**Not run on this machine**: no result was found."))
    if proof.machine != machine:
        where = say(
            "**Not run on this machine**, but on {name}", name=proof.machine or "another, which it does not name"
        )
    else:
        where = say("Run on this machine")
    verdict = "**passed**" if proof.passed else "**NOT PASSED**"
    version = proof.software or "unknown"
    said = where + say(f", {{at}}, version {{version}}: {verdict}.", at=proof.at, version=version)
    if version != facts.software:
        said += say(" This is version {version}: **run it again.**", version=facts.software)
    rows = [(say("{name}", name=name), "ok" if ok else "**FAILED**", (detail,)) for name, ok, detail in proof.rows]
    return section(title, what, Paragraph(said), table("check | result | what was seen", *rows))


def models(facts: Facts) -> Section:
    return section("The models and their errors", *(_model(model) for model in facts.models))


def _model(model: Model) -> Section:
    title = f"{model.name}: {model.task}"
    spec = model.spec
    if spec is None:
        reason = say("{problem}", problem=model.problem) if model.problem else say("It has no entry in a manifest.")
        return Section((title,), (Paragraph(reason), _unknown_errors()))
    files = ", ".join(f"{file.name} {file.sha256}" for part in spec.networks for file in part.files)
    known = table(
        "what | value",
        ("title", (spec.title,)),
        ("origin", (spec.origin,)),
        ("licence", (spec.licence,)),
        ("files and their SHA-256", say("{files}", files=files)),
        ("verified", "its weights were run by this project" if spec.verified else "**not run by this project**"),
    )
    return Section((title,), (known, *(read_card(model.card) if model.card else (_unknown_errors(),))))


def _unknown_errors() -> Paragraph:
    return text(
        "There is no card: **how wrong it is for which group is not known.** Measure it: `edge-agender evaluate "
        "faces labels.csv`, with groups of your own."
    )
