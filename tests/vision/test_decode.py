import math

import numpy as np
import pytest

from edge_agender.vision import decode


def test_expectation_is_the_mean_and_deviation_of_the_distribution():
    years, sd = decode.expectation([0.25, 0.5, 0.25], [20, 30, 40])
    assert years == pytest.approx(30)
    assert sd == pytest.approx(math.sqrt(50))


def test_expectation_does_not_lean_when_quantized_probabilities_do_not_sum_to_one():
    years, _ = decode.expectation([0.485, 0.485], [20, 40])
    assert years == pytest.approx(30)


@pytest.mark.parametrize("probabilities", [[0.0] * 3, [math.nan] * 3, [0.5, math.nan, 0.5]])
def test_expectation_of_nothing_is_nan(probabilities):
    assert math.isnan(decode.expectation(probabilities, range(3))[0])


def test_stagewise_follows_the_articles_sum():
    # Three stages of three bins: a width of 101/3, then 101/9, then 101/27 years.
    probabilities = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    years, sd = decode.stagewise(probabilities, [0.0] * 9, [0.0] * 3, (3, 3, 3))
    assert years == pytest.approx(101 / 3 + 2 * 101 / 9)
    assert sd == pytest.approx(0)


def test_stagewise_offsets_shift_bins_and_deltas_narrow_them():
    years, _ = decode.stagewise([0.0, 1.0], [0.0, 0.5], [0.25], (2,), 100, 1.0, 1.0)
    assert years == pytest.approx(1.5 * 100 / (2 * 1.25))


def test_stagewise_does_not_lean_when_quantized_probabilities_do_not_sum_to_one():
    short, exact = [0.0, 0.9, 0.0] * 3, [0.0, 1.0, 0.0] * 3
    rest = [0.0] * 9, [0.0] * 3, (3, 3, 3)
    assert decode.stagewise(short, *rest) == pytest.approx(decode.stagewise(exact, *rest))


def test_stagewise_stays_finite_at_the_last_delta():
    years, sd = decode.stagewise([0.5, 0.5], [0.0] * 2, [-1.0], (2,), 100)
    assert years == pytest.approx(0.5 * 100 / (2 * 0.05))
    assert math.isfinite(sd)


def test_stagewise_of_nan_is_nan():
    assert math.isnan(decode.stagewise([math.nan, 0.5], [0.0] * 2, [0.0], (2,))[0])


def test_stagewise_deviation_is_that_of_the_bins():
    _, sd = decode.stagewise([0.5, 0.5], [0.0] * 2, [0.0], (2,), 100)
    assert sd == pytest.approx(25)


@pytest.mark.parametrize(
    ("pair", "wanted", "logits", "expected"),
    [
        ([0.2, 0.8], 1, False, 0.8),
        ([0.2, 0.8], 0, False, 0.2),
        ([0.0, math.log(3)], 1, True, 0.75),
        ([0.1, 0.3], 1, False, 0.75),
    ],
)
def test_two_classes(pair, wanted, logits, expected):
    assert decode.probability_of_two(pair, wanted, logits) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "low", "high", "logits", "expected"),
    [(0.3, 0, 1, False, 0.3), (0.0, -1, 1, False, 0.5), (1.4, 0, 1, False, 1.0), (math.log(4), 0, 1, True, 0.8)],
)
def test_one_number(value, low, high, logits, expected):
    assert decode.probability_of_one(value, low, high, logits) == pytest.approx(expected)


def test_one_number_that_is_none_stays_none():
    assert math.isnan(decode.probability_of_one(math.nan, 0, 1, False))
    assert math.isnan(decode.probability_of_two([0.0, 0.0], 0, False))


def test_temperature_moves_towards_a_half_and_never_over_it():
    assert decode.temper(0.9, 1.0) == 0.9
    assert decode.temper(0.9, 2.0) == pytest.approx(0.75)
    assert decode.temper(0.5, 3.0) == pytest.approx(0.5)
    assert decode.temper(1.0, 2.0) == 1.0


def test_sigmoid_and_softmax_do_not_overflow():
    with np.errstate(over="raise", invalid="raise"):
        assert [decode.sigmoid(logit) for logit in (-1000.0, 0.0, 1000.0)] == [0.0, 0.5, 1.0]
        assert decode.softmax([1000.0, 0.0]) == [1.0, 0.0]


def test_logit_is_the_inverse_of_sigmoid():
    assert decode.sigmoid(decode.logit(0.3)) == pytest.approx(0.3)


def test_cells_follow_each_other_row_by_row_and_stride_by_stride():
    corners, strides = decode.cells((320, 240), (8, 16, 32))
    assert len(corners) == len(strides) == 1200 + 300 + 80  # the last level has half a row below the picture
    assert corners[[0, 41, 1200 + 21, 1500]].tolist() == [[0, 0], [8, 8], [16, 16], [0, 0]]
    assert strides[[0, 41, 1200 + 21, 1500], 0].tolist() == [8, 8, 16, 32]
