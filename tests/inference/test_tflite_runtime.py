"""The shipped models under tflite-runtime, NumPy 1 and Python 3.11, as on a Raspberry Pi OS bookworm that has them."""

import json
import os
import subprocess
import sys
import venv

import pytest

from tests.support.paths import ROOT

NEEDS = ["tflite-runtime>=2.14", "numpy<2", "opencv-python-headless>=4.10,<4.12", "pyyaml", "pydantic>=2.7,<3"]
SCRIPT = """
import json, sys
import cv2, numpy as np
from edge_agender.inference import catalogue as models
from edge_agender.vision.assembly import configured_detector
from edge_agender.vision.estimator import ModelEstimator
from edge_agender.imaging.preprocess import crop_face, small_luma
from edge_agender.imaging.frame import Frame
from edge_agender.config.settings import DetectorConfig
from edge_agender.inference.tflite import runtime_name

random = np.random.default_rng(4)
full = cv2.GaussianBlur(random.integers(0, 256, (960, 1280, 3), dtype=np.uint8), (0, 0), 25)
full = cv2.normalize(full, None, 0, 255, cv2.NORM_MINMAX)
frame = Frame(0, 0.0, 0.0, small_luma(full, (320, 240)), full)
found = configured_detector(DetectorConfig(score_threshold=0.0, nms_iou=1.0)).detect(frame)
estimator = ModelEstimator(models.find_model("agender-ssrnet"))
crops = [cv2.resize(full[y : y + 320, x : x + 320], (64, 64)) for x in (0, 480) for y in (0, 480)]
estimates = estimator.estimate(crops)
print(json.dumps({
    "runtime": runtime_name(),
    "numpy": np.__version__,
    "boxes": [[*each.box, each.score] for each in found[:20]],
    "estimates": estimates,
}))
"""


def run(python, **environment):
    done = subprocess.run(
        [python, "-c", SCRIPT],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def python_with_tflite_runtime(tmp_path_factory):
    if sys.version_info[:2] != (3, 11):
        pytest.skip("tflite-runtime ends at Python 3.11")
    folder = tmp_path_factory.mktemp("tflite-runtime")
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    done = subprocess.run([python, "-m", "pip", "install", "-q", *NEEDS], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    return python


@pytest.mark.slow
def test_both_shipped_models_say_the_same_under_tflite_runtime(python_with_tflite_runtime):
    here, there = run(sys.executable), run(python_with_tflite_runtime)
    assert there["runtime"] == "tflite_runtime"
    assert there["numpy"].startswith("1.")
    # Its kernels round otherwise than XNNPACK's: a step of a score's scale here, of a box's there.
    assert len(there["estimates"]) == len(here["estimates"]) == 4
    for ours, theirs in zip(here["estimates"], there["estimates"], strict=True):
        assert theirs[0] == pytest.approx(ours[0], abs=3.0)
        assert theirs[2] == pytest.approx(ours[2], abs=0.1)
    assert there["boxes"][0][4] == pytest.approx(here["boxes"][0][4], abs=0.05)


@pytest.mark.slow
def test_the_same_environment_without_an_interpreter_says_what_to_install(python_with_tflite_runtime):
    code = "import sys; sys.modules['tflite_runtime'] = None\n"
    code += "from edge_agender.inference.tflite import runtime_name; runtime_name()"
    done = subprocess.run(
        [python_with_tflite_runtime, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert "pip install ai-edge-litert" in done.stderr
