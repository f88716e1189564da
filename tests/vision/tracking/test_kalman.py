import numpy as np
import pytest

from edge_agender.vision.tracking.kalman import ConstantRate


def test_equals_the_textbook_filter_in_matrices() -> None:
    random = np.random.default_rng(3)
    mean, covariance, noise, variance = np.array([5.0, 0.0]), np.diag([0.04, 9.0]), 2.0, 0.01
    ours = ConstantRate(5.0, 0.04, 9.0)
    for dt in random.uniform(0.02, 0.4, 50):
        move = np.array([[1, dt], [0, 1]])
        mean = move @ mean
        covariance = move @ covariance @ move.T + noise * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        ours.predict(dt, noise)
        assert ours.spread(variance) == pytest.approx(covariance[0, 0] + variance)
        if random.random() < 0.7:
            measured = random.normal(5, 1)
            gain = covariance[:, 0] / (covariance[0, 0] + variance)
            mean = mean + gain * (measured - mean[0])
            covariance = covariance - np.outer(gain, covariance[0])
            ours.update(measured, variance)
        assert (ours.value, ours.rate) == pytest.approx(tuple(mean))


def test_learns_a_constant_rate() -> None:
    axis = ConstantRate(0.0, 1.0, 100.0)
    for step in range(1, 20):
        axis.predict(0.1, 0.01)
        axis.update(step * 0.5, 0.01)
    axis.predict(1.0, 0.01)
    assert axis.rate == pytest.approx(5.0, abs=0.1)
    assert axis.value == pytest.approx(19 * 0.5 + 5.0, abs=0.2)
