"""docs/fleet.md's table: what can be set from afar, and how far, from the rules themselves."""

from __future__ import annotations

from edge_agender.config.remote import RULES


def remote_table() -> str:
    """Return a row for each rule, with its options."""
    rows: dict[str, list[str]] = {}
    for name, rule in RULES.items():
        rows.setdefault(rule.words, []).append(f"`{name}`")
    return "\n".join(
        ["| may be set to | options |", "|---|---|", *(f"| {w} | {', '.join(n)} |" for w, n in rows.items())]
    )
