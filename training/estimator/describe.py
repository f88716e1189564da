"""Describe a trained estimator for the service, from what it was learnt and how good it is on who was held out:

    python -m training.estimator.describe --model OUT/my-ssrnet.tflite --data DIR --patches FILE

Writes manifest.yaml and the model card beside the model, so that `edge-agender models add my-ssrnet --from OUT`
installs all three. The terms of the data are those of DIR/terms.csv (columns collection, terms; a collection is the
first part of the paths). Of FairFace's layout they are known; what is stated nowhere, the card says so.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from edge_agender.commands.evaluate.scoring import Judged, band_of, by, summary
from edge_agender.inference.catalogue import find_model
from edge_agender.vision.estimator import ModelEstimator
from training.common.progress import show_count
from training.estimator.data import INPUT_MARGIN, Faces, load, plain
from training.estimator.people import FAIRFACE, Person, read_people

UNSTATED = "not stated: add a line to terms.csv beside the pictures, and run the last step again"
FAIRFACE_TERMS = "FairFace, published under CC BY 4.0; check the terms of your copy"
PARTS = ("training", "calibration", "held_out")


def terms_of(data: Path, collections: Sequence[str]) -> dict[str, str]:
    """Return the terms of each collection, UNSTATED where nobody wrote them down."""
    known: dict[str, str] = {}
    if (data / FAIRFACE["train"]).is_file():
        known = dict.fromkeys(FAIRFACE, FAIRFACE_TERMS)
    path = data / "terms.csv"
    if path.is_file():
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            if not {"collection", "terms"} <= set(rows.fieldnames or ()):
                raise SystemExit(f"{path}: wants the columns collection and terms")
            known |= {row["collection"]: row["terms"] for row in rows}
    return {name: known.get(name) or UNSTATED for name in collections}


def entry(model: Path, terms: Mapping[str, str], parameters: int, multiply_adds: int) -> dict[str, Any]:
    """Return the model's entry in a manifest; its fields are those of docs/models.md."""
    data = model.read_bytes()
    weights = {"name": model.name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    stated = sorted(set(terms.values()))
    return {
        "role": "estimator",
        "title": "Age and gender, SSR-Net, learnt from nothing but the data in its card",
        "origin": "training/train-estimator of edge-agender",
        "licence": f"as its data: {'; '.join(stated)}"[:500],
        "card": f"{model.stem}.md",
        "parameters": parameters,
        "multiply_adds": multiply_adds,
        "input": {"size": [64, 64], "colour": "bgr", "dtype": "int8", "scale": "mean", "mean": [128], "divide": [64],
                  "margin": INPUT_MARGIN},
        "networks": [{
            "runtime": "tflite",
            "weights": weights,
            "outputs": {
                "age_stages": {"tensor": "values", "columns": [0, 21], "bins": [3, 3, 3]},
                "age_sd": {"tensor": "values", "columns": [21, 22], "decode": "log_variance"},
                "gender": {"tensor": "values", "columns": [22, 23], "decode": "one", "rises_to": "female",
                           "logits": True},
            },
        }],
    }  # fmt: skip


def judged(estimator: ModelEstimator, faces: Faces) -> list[Judged]:
    """Return what the model says of people who were held out, each seen once."""
    people = []
    for index, patch in enumerate(faces.patches):
        (said,) = estimator.estimate([plain(patch)])
        show_count(index + 1, len(faces), "judged")
        if said is not None:
            age, female = float(faces.years[index]), bool(faces.female[index] > 0.5)
            name = str(faces.collection[index])
            people.append(Judged((age, age), female, name, said.years, said.years_sd, said.p_female))
    return people


def card(name: str, people: Sequence[Person], terms: Mapping[str, str], found: Sequence[Judged]) -> str:
    """Return the model card."""
    lines = [
        f"# Model card: {name}",
        "",
        "An SSR-Net (Yang et al., IJCAI 2018) for faces of 64x64 pixels, int8, trained from nothing by",
        "`make train-estimator`: no weights of others went into it.",
        "",
        "## Data and terms",
        "",
        "The terms of this model follow from these data and from nothing else:",
        "",
        "| collection | training | calibration | held out | terms |",
        "|---|---|---|---|---|",
    ]
    for collection, words in terms.items():
        counts = [sum(p.part == part and p.collection == collection for p in people) for part in PARTS]
        lines.append(f"| {collection} | {' | '.join(map(str, counts))} | {words} |")
    lines += ["", "## How good", "", "On who was held out, within these collections; with strangers it is worse.", ""]
    lines += [
        "| | people | age error | bias | gender right | within one standard deviation |",
        "|---|---|---|---|---|---|",
    ]
    rows = {"all": summary(found), **by(found, lambda each: each.group), **by(found, band_of)}
    lines += [_figures(title, row) for title, row in rows.items()]
    lines += [
        "",
        "A group of ages stands for its middle. Not for recognising anybody, nor for decisions about a person.",
    ]
    return "\n".join(lines) + "\n"


def _figures(title: str, row: Mapping[str, Any]) -> str:
    inside = "" if row["within_1_sd"] is None else f"{100 * row['within_1_sd']:.0f} %"
    return (
        f"| {title} | {row['n']} | {row['mae_years']:.1f} years | {row['bias_years']:+.1f} | "
        f"{100 * row['gender_accuracy']:.1f} % | {inside} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--patches", type=Path, required=True)
    args = parser.parse_args()
    from training.estimator.network import Shape, count

    people, folder, name = read_people(args.data), args.model.parent, args.model.stem
    terms = terms_of(args.data, sorted({person.collection for person in people}))
    multiply_adds, parameters = count(Shape())
    models = {name: entry(args.model, terms, parameters, multiply_adds)}
    text = yaml.safe_dump({"schema": "edge-agender-models/1", "models": models}, sort_keys=False, width=120)
    (folder / "manifest.yaml").write_text(text)
    found = judged(ModelEstimator(find_model(name, folder, folder)), load(args.data, args.patches, "held_out"))
    (folder / f"{name}.md").write_text(card(name, people, terms, found))
    print(f"{folder}/manifest.yaml, {folder}/{name}.md: edge-agender models add {name} --from {folder}")


if __name__ == "__main__":
    main()
