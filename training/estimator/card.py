"""The tables of the estimator's card, from what `edge-agender evaluate faces` printed:

edge-agender evaluate faces held/aaf.csv --root DATA > aaf.json; ...
python -m training.estimator.card aaf.json utkface.json > tables.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def overall(reports: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["| | people | found | age error | bias | gender right | calibration error of gender | within one sd |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for name, found in reports.items():
        lines.append(
            f"| {name} | {found['images']} | {100 * found['detected']:.1f} % | {found['mae_years']:.2f} years | "
            f"{found['bias_years']:+.1f} | {100 * found['gender_accuracy']:.1f} % | {found['gender_ece']:.3f} | "
            f"{100 * found['within_1_sd']:.0f} % |"
        )
    return lines


def parts(name: str, rows: dict[str, dict[str, Any]]) -> list[str]:
    """Return the lines of one collection by band or by group."""
    lines = [f"| {name} | people | age error, years | bias | gender right |", "|---|---|---|---|---|"]
    for part, row in rows.items():
        lines.append(
            f"| {part} | {row['n']} | {row['mae_years']:.1f} | {row['bias_years']:+.1f} | "
            f"{100 * row['gender_accuracy']:.0f} % |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT.json")
    reports = {path.stem: json.loads(path.read_text()) for path in parser.parse_args().reports}
    blocks = [overall(reports)]
    for title, key in (("## By age", "bands"), ("## By group and gender", "groups")):
        blocks.append([title])
        blocks += [parts(name, report[key]) for name, report in reports.items()]
    print("\n\n".join("\n".join(block) for block in blocks))


if __name__ == "__main__":
    main()
