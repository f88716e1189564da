"""A Kalman filter of one number that moves at a nearly constant rate (Kalman 1960; white noise acceleration)."""

from __future__ import annotations

import math


class ConstantRate:
    """Estimates a value and its rate per second from noisy measurements at any spacing.

    Plain floats: for the handful of faces before a sign they are faster than arrays.
    """

    __slots__ = ("_cross", "_rate_variance", "_variance", "rate", "value")

    def __init__(self, value: float, variance: float, rate_variance: float) -> None:
        self.value, self.rate = value, 0.0
        self._variance, self._cross, self._rate_variance = variance, 0.0, rate_variance

    def predict(self, dt_s: float, noise: float) -> None:
        """Move `dt_s` ahead; `noise` is the spectral density of the acceleration, value² / s³."""
        self.value += self.rate * dt_s
        self._variance += dt_s * (2 * self._cross + dt_s * (self._rate_variance + noise * dt_s / 3))
        self._cross += dt_s * (self._rate_variance + noise * dt_s / 2)
        self._rate_variance += noise * dt_s

    def slow(self, dt_s: float, in_s: float) -> None:
        """Let the rate fade, to 1/e of it in `in_s`."""
        self.rate *= math.exp(-dt_s / in_s)

    def scale(self, factor: float) -> None:
        """Go on in another unit, of which one of the present ones has `factor`."""
        self.value *= factor
        self.rate *= factor
        self._variance *= factor**2
        self._cross *= factor**2
        self._rate_variance *= factor**2

    def spread(self, variance: float) -> float:
        """Return the variance of the difference to a measurement of the given variance."""
        return self._variance + variance

    def update(self, measured: float, variance: float) -> None:
        total = self._variance + variance
        gain, rate_gain = self._variance / total, self._cross / total
        difference = measured - self.value
        self.value += gain * difference
        self.rate += rate_gain * difference
        self._rate_variance -= rate_gain * self._cross
        self._cross *= 1 - gain
        self._variance *= 1 - gain
