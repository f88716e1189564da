import math

import pytest

from edge_agender.audience.demography import AgeBands, person
from edge_agender.vision.faces import Estimate

BANDS = AgeBands((13, 18, 25, 35, 45, 55, 65))


def test_bands_cover_all_ages_and_unknown() -> None:
    assert BANDS.labels == ("0-12", "13-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+", "unknown")
    assert AgeBands(()).labels == ("0+", "unknown")


@pytest.mark.parametrize(
    ("years", "band"),
    [(0, "0-12"), (12.9, "0-12"), (13, "13-17"), (64.99, "55-64"), (65, "65+"), (120, "65+"), (None, "unknown")],
)
def test_a_person_of_17_9_years_is_17(years: float | None, band: str) -> None:
    assert BANDS.of(years) == band


@pytest.mark.parametrize(
    ("p_female", "label", "confidence"),
    [(0.9, "female", 0.9), (0.1, "male", 0.9), (0.6, "unknown", 0.6), (0.4, "unknown", 0.6), (0.7, "female", 0.7)],
)
def test_a_gender_is_told_from_the_configured_confidence_on(p_female: float, label: str, confidence: float) -> None:
    somebody = person(Estimate(30, 5, p_female), 0.7)
    assert somebody.gender == label
    assert somebody.gender_confidence == pytest.approx(confidence)


def test_impossible_ages_and_missing_deviations() -> None:
    assert person(Estimate(-3, math.nan, 0.9), 0.7).years == 0
    assert person(Estimate(140, math.nan, 0.9), 0.7).years == 120
    assert person(Estimate(30, math.nan, 0.9), 0.7).years_sd is None


def test_nobody_is_guessed_without_an_estimate() -> None:
    assert person(None, 0.7).gender == "unknown"
    assert person(None, 0.7).years is None
