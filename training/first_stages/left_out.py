"""What it costs a collection to be a stranger: the student's own layers trained with and without it.

    python -m training.first_stages.left_out --faces DIR --teacher teacher.onnx --out DIR

Every run has the same number of steps on the same crops, made once, and starts from the published recognition weights,
which know no age and no gender. Labels alone are learnt: the teacher's answers and half of its features come from
networks that saw every collection, so only the other half, principal parts that no label made, are learnt as well.
Judged are the faces that no run trains on. Runs that are done are kept in DIR/left_out.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.common.checkpoint import Average, cosine, optimizer_of
from training.estimator.network import years as years_of
from training.first_stages.crops import augmented, plain
from training.first_stages.faces import Faces, Floats, load
from training.first_stages.features import HALF
from training.first_stages.network import MAP, first_stages_model, started
from training.first_stages.targets import shares, targets, usable
from training.first_stages.train import AVERAGE, BATCH, RATE, WEIGHT_DECAY, First, Lesson, heard, loss_of, opened

COLLECTIONS = ("utkface", "aaf", "adience", "appareal")
VIEWS = 3
Maps = NDArray[np.float16]


def made_once(path: Path, faces: Faces, places: NDArray[np.intp], first: First, views: int) -> Maps:
    """Return maps (faces, views, 12, 12, 64), of the plain crop where `views` is 0; kept on disk."""
    if not path.exists():
        rng, shape = np.random.default_rng(7), (len(places), max(views, 1), *MAP)
        maps = np.lib.format.open_memmap(path.with_suffix(".part"), "w+", np.float16, shape)
        for row, index in enumerate(places):
            for view in range(max(views, 1)):
                maps[row, view] = first(augmented(faces, index, rng) if views else plain(faces, index))
            if row % 10_000 == 0:
                print(f"maps: {row} of {len(places)}", flush=True)
        maps.flush()
        path.with_suffix(".part").replace(path)
    return np.asarray(np.load(path, mmap_mode="r"))


@dataclasses.dataclass(frozen=True)
class Material:
    """Faces with labels alone, the places of those that may be learnt, their maps, and the features without labels."""

    faces: Faces
    places: NDArray[np.intp]
    maps: Maps
    features: Floats


def trained(net: nn.Module, material: Material, without: str, steps: int, seed: int = 1) -> nn.Module:
    """Return the net, its weights averaged, after so many steps on all faces but those of `without`."""
    wanted = targets(material.faces)
    rows = np.flatnonzero(material.faces.collection[material.places] != without)
    share = shares(material.faces, wanted, material.places[rows])
    rng, average = np.random.default_rng(seed), Average(net.train(), AVERAGE)
    optimizer, start = optimizer_of(net, RATE, WEIGHT_DECAY), time.monotonic()
    for step in range(steps):
        chosen = rng.choice(rows, BATCH, p=share)
        at = material.places[chosen]
        maps = material.maps[chosen, rng.integers(0, VIEWS, BATCH)].astype(np.float32)
        parts = (wanted.years[at], wanted.female[at], wanted.weight[at], material.features[at])
        for group in optimizer.param_groups:
            group["lr"] = RATE * cosine(step / steps, warmup=0.01, floor=0.01)
        with torch.autocast("cpu", torch.bfloat16):
            outputs, seen = net(torch.from_numpy(maps))
        half = torch.cat([torch.zeros(BATCH, HALF), seen[:, HALF:].float()], 1)
        lesson = Lesson(*(torch.from_numpy(part) for part in parts))
        loss, shown = loss_of({name: value.float() for name, value in outputs.items()}, half, lesson)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 8.0)
        optimizer.step()
        average.update(net)
        if step % 500 == 0:
            print(f"without {without}: step {step} of {steps}, {time.monotonic() - start:.0f} s, {shown}", flush=True)
    return average.model


@torch.no_grad()
def judged(net: nn.Module, faces: Faces, places: NDArray[np.intp], maps: Maps) -> dict[str, list[float | None]]:
    """Return faces, years off the label, years off the decade, percent in it, percent of genders, by collection."""
    outputs = heard(net.eval(), maps[:, 0].astype(np.float32))
    said, female = years_of(outputs).numpy(), outputs["gender"][:, 0].numpy() > 0
    low, high = faces.years[places].T
    error = np.maximum(np.maximum(low - said, said - high), 0)
    decade = np.where(low == high, np.floor(low / 10) * 10, np.nan)  # a group of ages lies in no decade
    off = np.maximum(np.maximum(decade - said, said - decade - 10), 0)
    table = {}
    for name in sorted(set(faces.collection[places])):
        here = faces.collection[places] == name
        aged = here & ~np.isnan(error)
        right = (female == (faces.gender[places] == "female"))[here]
        exact = here & ~np.isnan(off)
        inside = (off[exact].mean(), 100 * (off[exact] == 0).mean()) if exact.any() else (None, None)
        row = (error[aged].mean(), *inside, 100 * right.mean())
        table[str(name)] = [float(here.sum()), *(value if value is None else round(float(value), 2) for value in row)]
    return table


def lines(runs: dict[str, dict[str, list[float | None]]]) -> Iterator[str]:
    """Yield the card's table from the runs by what they left out; nothing left out is "nothing"."""
    words = ("age error", "years from the decade", "in it", "gender right")
    yield "| | faces | " + " | ".join(f"{word}: with, without" for word in words) + " |"
    yield "|---|---|" + "---|" * len(words)
    for name in (each for each in runs if each != "nothing"):
        known, strange = runs["nothing"][name], runs[name][name]
        three = zip(known[1:], strange[1:], ("", "", " %", " %"), strict=True)
        cells = ("-" if a is None or b is None else f"{a:.1f}{unit}, {b:.1f}{unit}" for a, b, unit in three)
        yield f"| {name} | {known[0]:.0f} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2500)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    cv2.setNumThreads(1)
    loaded = load(args.faces)
    faces = dataclasses.replace(loaded, taught=np.full_like(loaded.taught, np.nan))
    places = usable(faces, targets(faces))
    held = np.flatnonzero((faces.part == "held_out") & np.isin(faces.gender, ("female", "male")))
    first = opened(first_stages_model(args.teacher))
    args.out.mkdir(parents=True, exist_ok=True)
    maps = made_once(args.out / "maps.npy", faces, places, first, VIEWS)
    held_maps = made_once(args.out / "held_maps.npy", faces, held, first, 0)
    features = np.load(args.faces / "targets.npy").astype(np.float32)
    features[:, :HALF] = 0
    material, done = Material(faces, places, maps, features), args.out / "left_out.json"
    runs = json.loads(done.read_text()) if done.exists() else {}
    for without in ("nothing", *COLLECTIONS):
        if without not in runs:
            net = trained(started(args.teacher), material, without, args.steps)
            runs[without] = judged(net, faces, held, held_maps)
            done.write_text(json.dumps(runs, indent=1))
    print("\n".join(lines(runs)))


if __name__ == "__main__":
    main()
