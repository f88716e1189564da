"""`edge-agender privacy-report`: what a data-protection officer asks, answered from the configuration in use."""

from __future__ import annotations

from pathlib import Path

from edge_agender.commands.privacy_report.dpia import dpia
from edge_agender.commands.privacy_report.facts import Facts
from edge_agender.commands.privacy_report.notice import wall_notice
from edge_agender.commands.privacy_report.proof import ProofResult
from edge_agender.commands.privacy_report.render import to_html, to_markdown
from edge_agender.commands.privacy_report.sheet import data_sheet
from edge_agender.common.files import replace_file
from edge_agender.errors import UsageError


def write_report(facts: Facts, proof: ProofResult | None, folder: Path, *, made: str, machine: str) -> list[Path]:
    """Write the three documents as Markdown and HTML; return their paths. UsageError where the folder takes none.

    `made` is the date to show, `machine` this machine's name, by which a proof from elsewhere is told apart.
    """
    documents = (data_sheet(facts, proof, made, machine), wall_notice(facts), dpia(facts, proof, made, machine))
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for document in documents:
            for suffix, content in (("md", to_markdown(document)), ("html", to_html(document))):
                path = folder / f"{document.name}.{suffix}"
                replace_file(path, content.encode())
                written.append(path)
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror or error}: give another folder with --out") from None
    return written
