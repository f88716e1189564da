import math

import numpy as np
import pytest

from edge_agender.errors import ModelError
from edge_agender.inference import catalogue as models
from edge_agender.inference.spec import AgeOutput, DeviationOutput, GenderOutput, StagewiseOutput
from edge_agender.vision.estimator import ModelEstimator, read_age, read_deviation, read_gender, read_stages
from tests.support import tiny_models

YEARS = {"tensor": "means", "columns": [0, 1], "decode": "years"}
GENDER = {"tensor": "means", "columns": [1, 2], "decode": "one", "high": 255.0}


def spec_of(folder, outputs, model=None, **scaling):
    file = tiny_models.file_entry(folder, "m.tflite", model or tiny_models.colour_means())
    tiny_models.write_manifest(folder, {"m": tiny_models.estimator_entry(file, outputs, **scaling)})
    return models.find_model("m", folder, folder)


def plain(blue, green, red):
    return np.full((8, 8, 3), (blue, green, red), np.uint8)


def test_one_estimate_a_crop_in_order(tmp_path):
    estimator = ModelEstimator(spec_of(tmp_path, {"age": YEARS, "gender": GENDER}))
    young, old = estimator.estimate([plain(20, 255, 0), plain(70, 51, 0)])
    assert (young.years, young.p_female) == (20.0, 1.0)
    assert (old.years, old.p_female) == (70.0, pytest.approx(0.2))
    assert math.isnan(young.years_sd)
    assert estimator.estimate([]) == []


def test_an_empty_crop_is_no_estimate_and_no_error(tmp_path):
    estimator = ModelEstimator(spec_of(tmp_path, {"age": YEARS, "gender": GENDER}))
    empty, whole = estimator.estimate([np.zeros((0, 5, 3), np.uint8), plain(20, 255, 0)])
    assert empty is None
    assert whole is not None


@pytest.mark.parametrize("shape", [(8, 8), (3, 3, 3), (100, 40, 3), (1, 1, 3)])
def test_crops_of_another_size_or_depth_are_fitted(tmp_path, shape):
    estimator = ModelEstimator(spec_of(tmp_path, {"age": YEARS, "gender": GENDER}))
    assert estimator.estimate([np.full(shape, 30, np.uint8)])[0].years == 30.0


def test_crop_size_and_margin_come_from_the_manifest(tmp_path):
    estimator = ModelEstimator(spec_of(tmp_path, {"age": YEARS, "gender": GENDER}, margin=0.4))
    assert (estimator.crop_px, estimator.crop_margin) == (8, 0.4)


def test_colour_order_comes_from_the_manifest(tmp_path):
    estimator = ModelEstimator(spec_of(tmp_path, {"age": YEARS, "gender": GENDER}, colour="rgb"))
    assert estimator.estimate([plain(1, 2, 33)])[0].years == 33.0


def test_nan_of_the_network_is_no_estimate(tmp_path):
    spec = spec_of(tmp_path, {"age": YEARS, "gender": GENDER}, tiny_models.roots(), scale="symmetric")
    bright, dark = ModelEstimator(spec).estimate([plain(255, 255, 255), plain(0, 0, 0)])
    assert bright.years == 1.0
    assert dark is None


def test_an_infinite_deviation_becomes_unknown(tmp_path):
    outputs = {
        "age": YEARS,
        "gender": GENDER,
        "age_sd": {"tensor": "means", "columns": [2, 3], "decode": "years", "multiply": 1e300},
    }
    spec = spec_of(tmp_path, outputs, tiny_models.colour_means())
    estimate = ModelEstimator(spec).estimate([plain(30, 255, 255)])[0]
    assert estimate.years == 30.0
    assert math.isfinite(estimate.years_sd)


def test_ages_stay_within_what_anybody_reached(tmp_path):
    estimator = ModelEstimator(spec_of(tmp_path, {"age": YEARS | {"add": -50.0}, "gender": GENDER}))
    low, high = estimator.estimate([plain(0, 0, 0), plain(255, 0, 0)])
    assert (low.years, high.years) == (0.0, 116.0)


def test_a_detector_is_no_estimator(tmp_path):
    file = tiny_models.file_entry(tmp_path, "d.tflite", tiny_models.bright_cells())
    tiny_models.write_manifest(tmp_path, {"d": tiny_models.detector_entry(file)})
    with pytest.raises(ModelError, match="detector"):
        ModelEstimator(models.find_model("d", tmp_path, tmp_path))


@pytest.mark.parametrize(
    ("outputs", "scaling", "says"),
    [
        ({"age": YEARS | {"tensor": "pred_a"}, "gender": GENDER}, {}, "no output pred_a"),
        ({"age": YEARS | {"columns": [0, 2]}, "gender": GENDER}, {}, "2 numbers"),
        ({"age": {"tensor": "means", "decode": "expectation"}, "gender": GENDER}, {}, "3 numbers"),
        ({"age": YEARS, "gender": GENDER}, {"size": [16, 16]}, "its input is"),
        ({"age": YEARS, "gender": GENDER}, {"colour": "grey"}, "its input is"),
        ({"age": YEARS, "gender": GENDER}, {"dtype": "int8"}, "its input is"),
    ],
)
def test_a_network_that_is_not_as_described_is_refused_at_opening(tmp_path, outputs, scaling, says):
    with pytest.raises(ModelError, match=says):
        ModelEstimator(spec_of(tmp_path, outputs, **scaling))


def test_age_and_gender_may_come_from_two_networks_of_two_runtimes(tmp_path):
    age = tiny_models.file_entry(tmp_path, "age.tflite", tiny_models.colour_means())
    entry = tiny_models.estimator_entry(age, {"age": YEARS})
    gender = {"tensor": "means", "columns": [2, 3], "decode": "one", "high": 255.0, "rises_to": "male"}
    weights = tiny_models.file_entry(tmp_path, "gender.onnx", tiny_models.onnx_means())
    entry["networks"].append({"runtime": "onnx", "weights": weights, "outputs": {"gender": gender}})
    entry["input"]["layout"] = "nchw"
    tiny_models.write_manifest(tmp_path, {"pair": entry})
    with pytest.raises(ModelError, match="its input is"):  # a TFLite network wants nhwc
        ModelEstimator(models.find_model("pair", tmp_path, tmp_path))
    entry["networks"] = [
        {"runtime": "onnx", "weights": weights, "outputs": {"age": YEARS, "gender": gender}},
    ]
    tiny_models.write_manifest(tmp_path, {"pair": entry})
    estimate = ModelEstimator(models.find_model("pair", tmp_path, tmp_path)).estimate([plain(25, 0, 255)])[0]
    assert (estimate.years, estimate.p_female) == (pytest.approx(25), pytest.approx(0))


def test_expectation_over_classes_and_bins():
    classes = AgeOutput(tensor="p", decode="expectation", first=0, step=4.76, count=21)
    probabilities = [float(place == 10) for place in range(21)]
    assert read_age({"p": probabilities}, classes)[0] == pytest.approx(47.6)
    bins = AgeOutput(tensor="p", decode="bins", centres=(1, 5, 10), softmax=True)
    assert read_age({"p": [0.0, 50.0, 0.0]}, bins)[0] == pytest.approx(5)


def test_regression_may_be_rescaled():
    spec = AgeOutput(tensor="a", decode="years", multiply=100, add=1)
    assert read_age({"a": [0.25]}, spec)[0] == pytest.approx(26)


def test_deviation_of_a_network_that_says_one():
    assert read_deviation({"s": [-3.0]}, DeviationOutput(tensor="s", decode="years")) == 0.0
    log = DeviationOutput(tensor="s", decode="log_variance")
    assert read_deviation({"s": [math.log(36)]}, log) == pytest.approx(6)


@pytest.mark.parametrize(
    ("spec", "value", "expected"),
    [
        ({"decode": "two", "female": 0}, [0.9, 0.1], 0.9),
        ({"decode": "two", "female": 1}, [0.9, 0.1], 0.1),
        ({"decode": "one", "rises_to": "male"}, [0.8], 0.2),
        ({"decode": "one", "logits": True, "temperature": 2.0}, [2 * math.log(4)], 0.8),
    ],
)
def test_gender_whichever_way_round(spec, value, expected):
    assert read_gender({"g": value}, GenderOutput(tensor="g", **spec)) == pytest.approx(expected)


def test_stages_lie_one_after_the_other():
    # Bins of stage 1, bins of stage 2; their offsets; a delta each.
    values = [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.25, 0.0, 0.0]
    spec = StagewiseOutput(tensor="all", columns=(1, 13), bins=(2, 3), range_years=60)
    years, sd = read_stages({"all": [9.0, *values, 9.0]}, spec)
    assert (years, sd) == (pytest.approx(1.5 * 60 / 2 + 2.25 * 60 / 6), pytest.approx(0))
    with pytest.raises(ModelError, match="all"):
        read_stages({"all": values}, spec)
