"""Both trainings, end to end on made-up pictures: every part fits the next, and what comes out can be resumed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install torch")
pytest.importorskip("matplotlib", reason="training draws its curves with matplotlib")

from edge_agender.vision import decode  # noqa: E402
from training.detector import train as detector  # noqa: E402
from training.estimator import train as estimator  # noqa: E402
from training.estimator.calibrate import calibrated, fit_temperature  # noqa: E402
from training.estimator.convert import build  # noqa: E402
from training.estimator.data import SCALE, plain, warp  # noqa: E402
from training.estimator.evaluate import predict_all, torch_predictor  # noqa: E402
from training.estimator.fake_int8 import quantize_in_training  # noqa: E402
from training.estimator.lessons import as_input  # noqa: E402
from training.estimator.network import BINS, OUTPUTS, SSRNet, years  # noqa: E402


def test_the_detector_trains_and_resumes(tmp_path: Path) -> None:
    words = ["--smoke", "--out", str(tmp_path), "--minutes"]
    detector.main([*words, "0.03"])
    first = torch.load(tmp_path / "last.pt", weights_only=False)["step"]
    detector.main([*words, "0.06", "--resume"])
    assert torch.load(tmp_path / "last.pt", weights_only=False)["step"] > first > 0
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert "ap_8" in json.loads((tmp_path / "history.json").read_text())[-1]


def test_the_estimator_trains_in_its_three_stages_and_resumes(tmp_path: Path) -> None:
    for stage in ("teacher", "student", "settle"):
        estimator.main([stage, "--smoke", "--minutes", "0.03", "--out", str(tmp_path)])
        row = json.loads((tmp_path / f"{stage}.json").read_text())[-1]
        assert math.isfinite(row["aaf_mae"])
        assert 0 <= row["utkface_gender"] <= 1
    first = torch.load(tmp_path / "settle.pt", weights_only=False)["step"]
    estimator.main(["settle", "--smoke", "--resume", "--minutes", "0.06", "--out", str(tmp_path)])
    assert torch.load(tmp_path / "settle.pt", weights_only=False)["step"] > first > 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that PyTorch sees")
def test_the_estimator_trains_on_a_gpu(tmp_path: Path) -> None:
    for stage in ("teacher", "student"):
        estimator.main([stage, "--smoke", "--minutes", "0.03", "--out", str(tmp_path), "--device", "cuda"])
        saved = torch.load(tmp_path / f"{stage}.pt", weights_only=False)
        assert {value.device.type for value in saved["model"].values()} == {"cuda"}
        assert math.isfinite(json.loads((tmp_path / f"{stage}.json").read_text())[-1]["aaf_mae"])


def test_a_gpu_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="sees no GPU here"):
        estimator.main(["teacher", "--smoke", "--out", str(tmp_path), "--device", "cuda"])


def test_stages_are_decoded_as_the_run_time_does() -> None:
    net = SSRNet().eval()
    with torch.no_grad():
        said = net(torch.randn(1, 3, 64, 64))
    values, bins = torch.cat([said[name][0] for name in OUTPUTS]).tolist(), sum(BINS)
    decoded, _ = decode.stagewise(values[:bins], values[bins : 2 * bins], values[2 * bins : -2], BINS)
    assert decoded == pytest.approx(float(years(said)[0]), abs=0.05)


def test_an_unjittered_crop_is_the_middle_of_its_patch() -> None:
    patch = np.zeros((112, 112, 3), np.uint8)
    patch[:, 56:] = 200
    crop = plain(patch)
    assert pytest.approx(1.4 / 1.7 * 112 / 64) == SCALE
    assert (crop[:, :31] == 0).all()
    assert (crop[:, 33:] == 200).all()
    assert (warp(patch, 0.0, 1.0, (0.0, 0.0), True)[:, :31] == 200).all()


def test_what_was_settled_with_rounding_can_be_calibrated_and_then_errs_as_it_says() -> None:
    torch.manual_seed(0)
    net, faces = SSRNet(), estimator.made_up(24, 0)
    quantize_in_training(net)
    told = SSRNet()
    told.load_state_dict(calibrated(net.state_dict(), faces))
    said, spread, _ = predict_all(torch_predictor(told), faces)
    assert np.mean(((said - faces.years) / spread) ** 2) == pytest.approx(1, rel=0.01)


def test_the_temperature_is_that_of_the_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20_000)
    female = rng.random(20_000) < 1 / (1 + np.exp(-logits))
    assert fit_temperature(1 / (1 + np.exp(-2 * logits)), female) == pytest.approx(2, rel=0.1)


def test_keras_says_what_torch_does() -> None:
    pytest.importorskip("keras", reason="conversion needs TensorFlow: pip install tensorflow")
    torch.manual_seed(0)
    net = SSRNet().eval()
    crops = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    with torch.no_grad():
        wanted = {name: value.numpy() for name, value in net(as_input(crops)).items()}
    said = build(net.state_dict())((crops.astype(np.float32) - 128) / 64)
    for name, value in wanted.items():
        np.testing.assert_allclose(np.asarray(said[name]), value, atol=1e-3)
