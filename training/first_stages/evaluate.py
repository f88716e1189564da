"""The card's tables: what a TFLite estimator says of the faces held out, crops by their landmarks as kept:

    python -m training.first_stages.evaluate --faces DIR [--model models/agender-ssrnet.tflite]

Each face is looked at both ways round, as `predict` does. Whoever is held out shares no picture, scene, album or person
with what was trained on, save UTKFace and All-Age-Faces, of which other people of the same collection were.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edge_agender.imaging.frame import Array
from training.estimator.network import years as years_of
from training.first_stages.crops import plain
from training.first_stages.faces import Faces, Floats, load
from training.first_stages.network import COLUMNS
from training.first_stages.train import opened

STRANGERS = ("fgnet", "wild", "appareal", "adience", "lfw", "lag", "ukparliament", "congress")
BANDS = ((0, 2), (3, 12), (13, 17), (18, 24), (25, 34), (35, 44), (45, 54), (55, 64), (65, 120))
SURE = ((0.5, 0.65), (0.65, 0.8), (0.8, 0.9), (0.9, 0.97), (0.97, 1.01))


@dataclass(frozen=True)
class Said:
    """Of faces (n,): years and deviation, probability of female, years off the label, genders right, decade's error."""

    years: Floats
    deviation: Floats
    p_female: Floats
    error: Floats
    bias: Floats
    right: NDArray[np.bool_]
    off_decade: Floats

    def where(self, mask: Array) -> Said:
        return Said(*(getattr(self, name)[mask] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.years)


def say(model: bytes, faces: Faces, places: NDArray[np.intp]) -> Said:
    """Run the model over the faces at `places`, both ways round, and compare with the labels."""
    run = opened(model)
    crops = [plain(faces, index) for index in places]
    views = [np.array([run(view) for view in crops]), np.array([run(view[:, ::-1]) for view in crops])]
    named = [{n: torch.from_numpy(values[:, a:b]) for n, (a, b) in COLUMNS.items()} for values in views]
    years = np.mean([years_of(each).numpy() for each in named], 0)
    deviation = np.mean([(0.5 * each["log_variance"][:, 0]).exp().numpy() for each in named], 0)
    p_female = np.mean([each["gender"][:, 0].sigmoid().numpy() for each in named], 0)
    low, high = faces.years[places].T
    # A group of ages, as Adience has them, lies in no decade, and inside it nobody is said to be too old or too young.
    decade = np.where(low == high, np.floor(low / 10) * 10, np.nan)
    return Said(
        years,
        deviation,
        p_female,
        np.maximum(np.maximum(low - years, years - high), 0),
        np.maximum(years - high, 0) - np.maximum(low - years, 0),
        (p_female >= 0.5) == (faces.gender[places] == "female"),
        np.maximum(np.maximum(decade - years, years - decade - 10), 0),
    )


def row(title: str, said: Said) -> str:
    """Return one line of a table; an age is - where no label says one."""
    aged = said.where(~np.isnan(said.error))
    if len(aged) < max(5, len(said) // 10):
        return f"| {title} | {len(said)} | - | - | - | - | - | {100 * said.right.mean():.1f} % |"
    exact = aged.where(~np.isnan(aged.off_decade))
    decades = f"{exact.off_decade.mean():.1f} | {100 * (exact.off_decade == 0).mean():.0f} %" if len(exact) else "- | -"
    return (
        f"| {title} | {len(said)} | {aged.error.mean():.1f} | {aged.bias.mean():+.1f} | {decades} | "
        f"{100 * (aged.error <= aged.deviation).mean():.0f} % | {100 * said.right.mean():.1f} % |"
    )


def head(title: str) -> list[str]:
    words = ("faces", "age error", "bias", "years from the decade", "in it", "within one sd", "gender right")
    return [f"| {title} | " + " | ".join(words) + " |", "|---|" + "---|" * len(words)]


def tables(model: bytes, faces: Faces) -> Iterator[str]:
    """Yield the lines of all tables."""
    held = (faces.part == "held_out") & np.isin(faces.gender, ("female", "male"))
    at = {name: np.flatnonzero(held & (faces.collection == name)) for name in (*STRANGERS, "aaf", "utkface")}
    said = {name: say(model, faces, places) for name, places in at.items()}
    yield from head("collection")
    yield from (row(name, each) for name, each in said.items())
    places = np.concatenate([at[name] for name in STRANGERS])
    strangers = Said(*(np.concatenate([getattr(said[n], f) for n in STRANGERS]) for f in Said.__dataclass_fields__))
    low, exact = faces.years[places, 0], faces.years[places, 0] == faces.years[places, 1]
    yield from ("", *head("strangers of"))
    for first, last in BANDS:
        yield row(f"{first} to {last}", strangers.where(exact & (low >= first) & (low < last + 1)))
    yield from ("", *head("strangers said to be"))
    for first, last in BANDS:
        among = (strangers.years >= first) & (strangers.years < last + 1)
        yield row(f"{first} to {last}", strangers.where(exact & among))
    female = faces.gender[places] == "female"
    yield from ("", *head("strangers"))
    old, child = low >= 60, (low >= 3) & (low < 13)
    parts = {"women": female, "men": ~female, "women from 60": female & old, "men from 60": ~female & old}
    parts |= {"girls of 3 to 12": female & child, "boys of 3 to 12": ~female & child}
    parts |= {f"seen: {name}": faces.group[places] == name for name in ("camera", "turned", "profile")}
    yield from (row(title, strangers.where(mask)) for title, mask in parts.items())
    groups = faces.group[at["utkface"]]
    yield from ("", *head("UTKFace"))
    yield from (row(str(name), said["utkface"].where(groups == name)) for name in sorted(set(groups)))
    yield from ("", "| said with | strangers | gender right |", "|---|---|---|")
    sure = np.maximum(strangers.p_female, 1 - strangers.p_female)
    for a, b in SURE:
        mask = (sure >= a) & (sure < b)
        yield f"| {a:g} to {min(b, 1):g} | {mask.sum()} | {100 * strangers.right[mask].mean():.1f} % |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=Path("models/agender-ssrnet.tflite"))
    args = parser.parse_args()
    print("\n".join(tables(args.model.read_bytes(), load(args.faces))))


if __name__ == "__main__":
    main()
