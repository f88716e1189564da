"""The shipped estimator's training: who is held out, that its crops are the run time's, that it runs and resumes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edge_agender.imaging.geometry import Box
from edge_agender.imaging.preprocess import ARCFACE_PLACES, align_face, crop_face
from training.first_stages.crops import MARGIN, by_box, by_landmarks
from training.first_stages.faces import PATCH_MARGIN, PATCH_PX, Faces, in_patch, patch_of
from training.first_stages.labels import part_of, years_of
from training.first_stages.targets import recalibrated


def picture() -> np.ndarray:
    """A smooth picture without any symmetry."""
    y, x = np.mgrid[0:300, 0:320]
    waves = [128 + 100 * np.sin(x / a) * np.cos(y / b) for a, b in ((31, 17), (19, 43), (53, 23))]
    return np.stack(waves, -1).astype(np.uint8)


def test_a_crop_by_landmarks_is_what_the_run_time_makes() -> None:
    landmarks = tuple(map(tuple, ((ARCFACE_PLACES - 56) * 1.3 + (160, 150)).tolist()))
    box = (100.0, 85.0, 110.0, 130.0)
    ours = by_landmarks(patch_of(picture(), box), in_patch(landmarks, box))
    assert np.abs(ours.astype(int) - align_face(picture(), landmarks, 64)).mean() < 6


def test_a_crop_by_the_box_is_what_the_run_time_makes() -> None:
    box = (100.0, 85.0, 110.0, 130.0)
    runtime = crop_face(picture(), Box(100, 85, 210, 215), 64, MARGIN)
    assert np.abs(by_box(patch_of(picture(), box)).astype(int) - runtime).mean() < 6
    assert PATCH_PX / (1 + 2 * PATCH_MARGIN) * (1 + 2 * MARGIN) < PATCH_PX


def test_no_scene_album_or_person_is_in_two_parts() -> None:
    for collection, key in (("wild", "scene"), ("adience", "album"), ("lag", "person")):
        for number in range(50):
            rows = [{"path": f"{collection}/{number}-{i}.jpg", key: str(number)} for i in range(5)]
            assert len({part_of(collection, row) for row in rows}) == 1
    paths = [f"lfw/Somebody_{number}_{i:04d}.jpg" for number in range(20) for i in range(3)]
    parts = [part_of("lfw", {"path": path}) for path in paths]
    assert all(len(set(parts[start : start + 3])) == 1 for start in range(0, 60, 3))
    assert set(parts) == {"training", "held_out"}


def test_what_others_publish_figures_for_is_never_trained_on() -> None:
    assert part_of("appareal", {"path": "appareal/1.jpg", "split": "test"}) == "held_out"
    assert part_of("appareal", {"path": "appareal/1.jpg", "split": "train"}) == "training"
    assert {part_of("fgnet", {"path": f"fgnet/{n}.jpg"}) for n in range(30)} == {"held_out"}


def test_a_group_of_ages_allows_all_of_its_years() -> None:
    assert years_of("adience", {"age_group": "25-32"}) == (25.0, 33.0)
    assert years_of("wild", {"seen_years": "40"}) == (40.0, 40.0)
    assert years_of("lfw", {"seen_years": ""}) is None


def test_the_teacher_says_of_faces_labelled_by_eye_what_the_eye_says() -> None:
    count = 60
    collection = np.repeat(["wild", "aaf"], count)
    taught = np.column_stack([np.full(2 * count, 45.0), np.full(2 * count, 6.0), np.full(2 * count, 0.5)])
    years = np.full((2 * count, 2), 42.0, np.float32)
    part = np.where(np.arange(2 * count) % 3 == 0, "held_out", "training")
    years[part == "held_out"] = 10  # nothing may be learnt from these
    text = np.full(2 * count, "female")
    patches, landmarks = np.zeros((2 * count, 1, 1, 3), np.uint8), np.zeros((2 * count, 5, 2), np.float32)
    faces = Faces(patches, landmarks, text, collection, part, text, text, years, taught.astype(np.float32))
    moved = recalibrated(faces)
    assert moved[:count].tolist() == [42.0] * count
    assert moved[count:].tolist() == [45.0] * count, "ages that are known are not the eye's"


def test_it_trains_and_resumes(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install -e '.[train]'")
    pytest.importorskip("matplotlib", reason="training draws its curves with matplotlib")
    from training.first_stages import train

    train.main(["--smoke", "--minutes", "0.03", "--out", str(tmp_path)])
    first = torch.load(tmp_path / "student.pt", weights_only=False)
    train.main(["--smoke", "--minutes", "0.06", "--out", str(tmp_path), "--resume"])
    second = torch.load(tmp_path / "student.pt", weights_only=False)
    assert second["step"] > first["step"] > 0
    assert "aaf_years" in json.dumps(second["history"]) or "utkface_years" in json.dumps(second["history"])


def test_the_stem_and_the_first_stage_learn_more_slowly_than_the_rest(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install -e '.[train]'")
    timm = pytest.importorskip("timm", reason="training needs timm: pip install -e '.[train]'")
    from training.first_stages.network import Deeper, Upper, Whole, parted
    from training.first_stages.train import Lesson, Trainer
    from training.first_stages.whole import slowed

    parts = timm.create_model("edgenext_x_small")
    whole = Whole(parts.stem, parts.stages[0], Deeper(parts.stages[1], Upper()))
    trainer = Trainer(tmp_path / "net.pt", whole, 1e-3, 1)
    slowed(trainer, 0.25)
    trainer.used_s = 10.0
    lesson = Lesson(torch.tensor([30.0, 40.0]), torch.tensor([0.1, 0.9]), torch.ones(2), torch.zeros(2, 96))
    trainer.one_step(np.full((2, 64, 64, 3), 128, np.float32), lesson)
    rates = {id(p): group["lr"] for group in trainer.optimizer.param_groups for p in group["params"]}
    assert len(rates) == len(list(trainer.net.parameters()))
    ours, early = trainer.net.deeper.upper.out.weight, trainer.net.stem[0].weight
    assert rates[id(early)] == pytest.approx(0.25 * rates[id(ours)])
    assert rates[id(ours)] > 0
    trained, upper = parted(trainer.net.state_dict())
    assert {"stem.0.weight", "stages.0.blocks.0.conv_dw.weight", "stages.1.downsample.0.weight"} <= set(trained)
    assert set(upper) == set(Upper().state_dict())


def test_one_deviation_covers_two_thirds_of_the_errors_whatever_is_seen() -> None:
    torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install -e '.[train]'")
    from training.first_stages.convert import covering

    rng = np.random.default_rng(0)
    hidden = torch.from_numpy(rng.normal(size=(6000, 4)).astype(np.float32))
    real = torch.exp(1.5 + 0.5 * hidden[:, 0])  # what the row as trained knows nothing of
    error = (torch.from_numpy(rng.normal(size=6000).astype(np.float32)) * real).abs()
    weight, bias = covering(hidden, error, torch.zeros(4), torch.tensor(0.0))
    covered = (error <= torch.exp(0.5 * (hidden @ weight + bias))).float()
    for part in (hidden[:, 0] < -0.7, hidden[:, 0].abs() < 0.7, hidden[:, 0] > 0.7):
        assert covered[part].mean() == pytest.approx(0.68, abs=0.05)


def test_weights_are_blended_and_counters_are_not() -> None:
    torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install -e '.[train]'")
    from training.first_stages.blend import blended

    old = {"weight": torch.tensor([0.0, 4.0]), "counted": torch.tensor(3)}
    new = {"weight": torch.tensor([1.0, 0.0]), "counted": torch.tensor(9)}
    made = blended(old, new, 0.25)
    assert made["weight"].tolist() == [0.25, 3.0]
    assert int(made["counted"]) == 9


def test_ages_are_moved_by_the_curve_and_the_last_layer_says_them() -> None:
    torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install -e '.[train]'")
    from training.estimator.network import years
    from training.first_stages.network import named
    from training.first_stages.recalibrate import curve, folded, moved

    random = np.random.default_rng(0)
    hidden = torch.from_numpy(random.normal(size=(2000, 8)).astype(np.float32))
    weight = torch.from_numpy(random.normal(size=(23, 8)).astype(np.float32) * 0.1)
    bias = torch.zeros(23)
    said = years(named(hidden @ weight.T + bias)).numpy()
    true = said - np.interp(said, (20, 40, 60), (0, 4, 4)) + random.normal(0, 1, 2000).astype(np.float32)
    ages = curve(said, np.column_stack([true, true]))
    assert (np.diff(ages) >= 0).all()
    assert np.median(said - true) > 3 > 1 > abs(np.median(moved(said, ages) - true))
    after_weight, after_bias = folded(hidden, weight, bias, moved(said, ages))
    after = years(named(hidden @ after_weight.T + after_bias)).numpy()
    assert np.abs(after - moved(said, ages)).mean() < 1
    assert np.abs(after - true).mean() < np.abs(said - true).mean() - 1
    assert torch.equal(after_weight[21:], weight[21:]), "deviation and gender stay"


def test_a_widened_block_says_what_it_said() -> None:
    torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install -e '.[train]'")
    from training.first_stages.network import INNER, Upper
    from training.first_stages.whole import widened

    full, maps = Upper().eval(), torch.rand(2, 12, 12, 64)
    narrow = Upper().state_dict()
    for name in (f"blocks.{index}.{layer}" for index in range(3) for layer in ("fc1", "fc2")):
        weight = narrow[f"{name}.weight"]
        narrow[f"{name}.weight"] = weight[:96] if name.endswith("1") else weight[:, :96]
        narrow[f"{name}.bias"] = narrow[f"{name}.bias"][:96] if name.endswith("1") else narrow[f"{name}.bias"]
    state = widened({f"deeper.upper.{name}": value for name, value in narrow.items()}, full)
    net = Upper().eval()
    net.load_state_dict({name.removeprefix("deeper.upper."): value for name, value in state.items()})
    assert net.blocks[0].fc1.weight.shape == (INNER, 100)
    before = net(maps)[0]["gender"]
    with torch.no_grad():
        for block in net.blocks:
            block.fc1.bias[96:] += 1
    assert torch.allclose(before, net(maps)[0]["gender"]), "the units that came say nothing yet"
    with torch.no_grad():
        net.blocks[0].fc1.bias[:96] += 1
    assert not torch.allclose(before, net(maps)[0]["gender"])
