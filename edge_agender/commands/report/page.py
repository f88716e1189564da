"""Recordings' figures -> one HTML page that loads nothing, prints well, and holds no picture."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from html import escape

from edge_agender import __version__
from edge_agender.audience.measures import Visit
from edge_agender.commands.report.advice import advice
from edge_agender.commands.report.charts import clock, people_chart, shares_chart
from edge_agender.commands.report.collect import Recording
from edge_agender.commands.report.shares import Share, shares
from edge_agender.commands.report.truth import Comparison
from edge_agender.config.settings import Config

DWELL_CLASSES = ((0, 5, "below 5 s"), (5, 15, "5 to 15 s"), (15, 30, "15 to 30 s"), (30, 60, "30 to 60 s"),
                 (60, float("inf"), "60 s and more"))  # fmt: skip

STYLE = """\
:root { color-scheme: light dark; --ink: #14211f; --soft: #52605e; --line: #cfd8d6; --one: #0b6e69; --two: #9a4b00;
  --paper: #fff; --good: #14733a; --poor: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7efed; --soft: #a5b3b0; --line: #35423f; --one: #5fc9c1;
  --two: #f0a860; --paper: #101615; --good: #66d18b; --poor: #ff8d85; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 1.5rem auto; padding: 0 1rem; color: var(--ink);
  background: var(--paper); overflow-wrap: anywhere; }
h1, h2 { line-height: 1.2; break-after: avoid; } h2 { margin-top: 2rem; }
section, figure, tr { break-inside: avoid; } figure { margin: 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: .6rem; margin: 0; }
.cards div { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .7rem; }
dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.4rem; font-weight: 600; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 11px; }
.one { fill: var(--one); } .two { fill: var(--two); } .axis { stroke: var(--line); fill: none; }
.mark { stroke: var(--ink); stroke-width: 1.5; } .error { stroke: var(--ink); fill: none; stroke-width: 1.3; }
.key { border-left: .9em solid; padding-left: .3em; margin-right: .8em; }
.key.one { border-color: var(--one); } .key.two { border-color: var(--two); }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .5rem .25rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; } caption { text-align: left; color: var(--soft); }
.note { color: var(--soft); font-size: .9rem; } .wide { overflow-x: auto; }
.good::before { content: "\\2713  "; color: var(--good); }
.bad::before { content: "!  "; color: var(--poor); font-weight: 700; }
ul.plain { list-style: none; padding: 0; }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --soft: #444; --line: #bbb;
  --one: #0b6e69; --two: #9a4b00; }
  body { margin: 0; max-width: none; } @page { margin: 15mm; } svg * { print-color-adjust: exact; } }
"""


def render(recordings: Sequence[Recording], comparison: Comparison | None, config: Config) -> str:
    """Return the page."""
    viewers = [visit for each in recordings for visit in each.viewers]
    # Of nobody there is nothing to draw: what to do about the camera is all that helps.
    empty = not any(each.visits for each in recordings)
    sections = [
        _cards(recordings, viewers),
        *([_truth(comparison)] if comparison else []),
        *([] if empty else _figures(recordings, viewers, config)),
        _camera(recordings),
    ]
    names = escape(", ".join(each.name for each in recordings))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>Audience of {names}</title>\n'
        f"<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>Audience of {names}</h1>\n"
        + "\n".join(sections)
        + f'\n<p class="note">edge-agender {__version__}, model {escape(config.estimator.model)}. A report of a '
        "recording of your own: exact counts of few people, so keep it as carefully as the recording. It holds no "
        "picture.</p>\n</body>\n</html>\n"
    )


def _figures(recordings: Sequence[Recording], viewers: Sequence[Visit], config: Config) -> list[str]:
    return [
        *(_people(each) for each in recordings),
        _who(shares([visit.person for visit in viewers], config.audience.age_bands), len(viewers)),
        _time(viewers),
        _sure(viewers),
    ]


def _cards(recordings: Sequence[Recording], viewers: Sequence[Visit]) -> str:
    looks = [visit.attention_s for visit in viewers if visit.attention_s is not None]
    cards = {
        "Length": clock(sum(each.seconds for each in recordings)),
        "Passed by": str(sum(len(each.visits) for each in recordings)),
        "Viewers": str(len(viewers)),
        "Stayed, mean": _mean((visit.dwell_s for visit in viewers), " s"),
        "Looked, mean": _mean(looks, " s"),
        "Most at once": str(max((peak for each in recordings for _, _, peak in each.people_by_time()), default=0)),
    }
    inside = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cards.items())
    return f'<dl class="cards">{inside}</dl>'


def _people(recording: Recording) -> str:
    parts = recording.people_by_time()
    chart = people_chart(parts, recording.seconds)
    return (
        f"<section><h2>People over time: {escape(recording.name)}</h2><figure>{chart}"
        '<figcaption class="note">Bars: mean number of people in view. Marks: the most at once.</figcaption>'
        "</figure></section>"
    )


def _who(cells: Sequence[Share], viewers: int) -> str:
    bands = list(dict.fromkeys(share.band for share in cells))
    by = {(share.gender, share.band): share for share in cells}
    rows = [
        [band, *(_plus_minus(by[gender, band]) for gender in ("female", "male", "unknown"))]
        for band in bands
        if band != "unknown" or any(by[gender, band].viewers for gender in ("female", "male", "unknown"))
    ]
    table = _table(["age", "female", "male", "unknown"], rows, f"{viewers} viewers, ± one standard deviation")
    return (
        f'<section><h2>Who they were</h2><figure>{shares_chart(cells)}<figcaption><span class="key one">female</span>'
        f'<span class="key two">male</span></figcaption></figure>{table}<p class="note">Each viewer is shared out by '
        "the model's own probabilities, so cells are no whole numbers. The lines are what its uncertainty makes of a "
        "cell; what it does not know of itself, such as an unusual light, is not in them.</p></section>"
    )


def _time(viewers: Sequence[Visit]) -> str:
    rows = []
    for low, high, words in DWELL_CLASSES:
        inside = [visit for visit in viewers if low <= visit.dwell_s < high]
        looks = [visit.attention_s for visit in inside if visit.attention_s is not None]
        rows.append([words, str(len(inside)), _mean(looks, " s")])
    looked = [visit.attention_s for visit in viewers if visit.attention_s is not None]
    engaged = sum(each >= 2 for each in looked)
    note = f"{engaged} of {len(viewers)} looked for two seconds or more." if looked else "Looks were not measured."
    table = _table(["stayed", "viewers", "looked, mean"], rows, "Viewers by how long they stayed")
    return f"<section><h2>How long they stayed and looked</h2>{table}<p>{note}</p></section>"


def _sure(viewers: Sequence[Visit]) -> str:
    sds = [visit.person.years_sd for visit in viewers if visit.person.years_sd is not None]
    confidences = [visit.person.gender_confidence for visit in viewers if visit.person.gender_confidence is not None]
    unknown = sum(visit.person.gender == "unknown" for visit in viewers)
    rows = [
        ["standard deviation of an age, median", f"{statistics.median(sds):.1f} years" if sds else "–"],
        ["probability of the gender said, median", f"{statistics.median(confidences):.2f}" if confidences else "–"],
        ["gender unknown", f"{unknown} of {len(viewers)}"],
    ]
    return f"<section><h2>How sure</h2>{_table(['', ''], rows, 'As the model judges itself')}</section>"


def _camera(recordings: Sequence[Recording]) -> str:
    items = "".join(
        f'<li class="{"good" if each.good else "bad"}">{escape(each.text)}</li>' for each in advice(recordings)
    )
    return f'<section><h2>What to do about the camera</h2><ul class="plain">{items}</ul></section>'


def _truth(comparison: Comparison) -> str:
    lines = "".join(f"<li>{escape(line[0].upper() + line[1:])}.</li>" for line in comparison.sentences())
    wrong = [
        [f"{row.file} {clock(row.entered_s)}", "missed", f"{row.gender or 'unknown'}, {_range(row.years)}", "–"]
        for row in comparison.missed
    ]
    wrong += [
        [f"{name} {clock(visit.first_utc_s)}", "nobody there", "–", _found(visit)] for name, visit in comparison.extra
    ]
    wrong += [
        [f"{name} {clock(visit.first_utc_s)}", "counted again", "–", _found(visit)] for name, visit in comparison.again
    ]
    wrong += [
        [f"{true.file} {clock(true.entered_s)}", "gender", f"{true.gender}, {_range(true.years)}", _found(found)]
        for true, found in comparison.pairs
        if true.gender not in (None, found.person.gender)
    ]
    table = _table(["when", "what went wrong", "counted by hand", "found"], sorted(wrong), "") if wrong else ""
    return f'<section><h2>Beside what was counted by hand</h2><ul>{lines}</ul><div class="wide">{table}</div></section>'


def _found(visit: Visit) -> str:
    person = visit.person
    years = "age unknown" if person.years is None else f"{person.years:.0f} ± {person.years_sd or 0:.0f}"
    return f"{person.gender}, {years}, {visit.dwell_s:.1f} s"


def _range(years: tuple[float, float] | None) -> str:
    if years is None:
        return "unknown"
    return f"{years[0]:.0f}" if years[0] == years[1] else f"{years[0]:.0f} to {years[1]:.0f}"


def _plus_minus(share: Share) -> str:
    return f"{share.viewers:.1f} ± {share.sd:.1f}" if share.viewers >= 0.05 else "0"


def _mean(values: Iterable[float], unit: str) -> str:
    found = list(values)
    return f"{statistics.fmean(found):.1f}{unit}" if found else "–"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"
