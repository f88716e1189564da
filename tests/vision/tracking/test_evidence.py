import math

import pytest

from edge_agender.vision.faces import Estimate
from edge_agender.vision.tracking.evidence import MIN_SPACING_S, Evidence, mean_of


def after(*estimates: tuple[float, float, float, float]) -> Evidence:
    evidence = Evidence()
    for index, (years, sd, p_female, quality) in enumerate(estimates):
        evidence.add(Estimate(years, sd, p_female), quality, index * 1.0)
    return evidence


def test_nothing_is_known_at_first() -> None:
    assert Evidence().estimate is None


def test_the_mean_is_weighted_by_quality() -> None:
    estimate = after((20, 6, 0.5, 1.0), (50, 6, 0.5, 0.25)).estimate
    assert estimate is not None
    assert estimate.years == pytest.approx(26)


@pytest.mark.parametrize("quality", [1.0, 0.1])
def test_one_crop_says_what_the_network_says(quality: float) -> None:
    estimate = after((30, 6, 0.9, quality)).estimate
    assert estimate is not None
    assert estimate == pytest.approx((30, 6, 0.9))


def test_the_deviation_is_that_of_the_better_crops() -> None:
    estimate = after((30, 12, 0.9, 0.1), (30, 5, 0.9, 1.0)).estimate
    assert estimate is not None
    assert estimate.years_sd < 7


def test_uncertainty_falls_with_evidence_but_not_below_what_all_frames_share() -> None:
    sds = [after(*[(30.0, 6.0, 0.9, 1.0)] * count).estimate.years_sd for count in (1, 2, 4, 1000)]
    assert sds == sorted(sds, reverse=True)
    assert 5.2 < sds[-1] < 5.4


def test_repeating_a_frame_makes_no_one_surer_of_the_gender() -> None:
    once, often = after((30, 6, 0.8, 1.0)).estimate, after(*[(30.0, 6.0, 0.8, 1.0)] * 50).estimate
    assert once is not None
    assert often is not None
    assert often.p_female == pytest.approx(once.p_female)


def test_a_certain_frame_does_not_outvote_all_others() -> None:
    estimate = after(*[(30.0, 6.0, 0.2, 1.0)] * 5, (30, 6, 1.0, 1.0)).estimate
    assert estimate is not None
    assert estimate.p_female < 0.5


def test_what_is_no_number_is_passed_over() -> None:
    evidence = after((math.nan, 6, 0.5, 1), (30, 6, math.nan, 1), (math.inf, 6, 0.5, 1), (30, 6, 0.5, 0))
    assert evidence.estimate is None
    assert evidence.count == 0


def test_a_network_without_deviation_gives_none() -> None:
    estimate = after((30, math.nan, 0.9, 1.0)).estimate
    assert estimate is not None
    assert math.isnan(estimate.years_sd)


def test_it_stops_asking_once_more_would_add_nothing() -> None:
    evidence, asked = Evidence(), 0
    for step in range(100):
        if evidence.wants(1.0, step * 0.2):
            evidence.add(Estimate(30, 6, 0.9), 1.0, step * 0.2)
            asked += 1
    assert 3 <= asked <= 10


def test_it_waits_for_another_crop_unless_it_is_a_better_one() -> None:
    evidence = after((30, 6, 0.9, 0.3))
    soon_s = MIN_SPACING_S / 2
    assert not evidence.wants(0.3, soon_s)
    assert evidence.wants(0.9, soon_s)
    assert evidence.wants(0.3, MIN_SPACING_S * 2)
    assert not evidence.wants(0.0, 10.0)


def test_a_close_look_is_wanted_after_many_poor_ones() -> None:
    evidence = after(*[(30.0, 6.0, 0.9, 0.1)] * 60)
    assert not evidence.wants(0.1, 100.0)
    assert evidence.wants(1.0, 100.0)


def test_two_views_of_one_face_are_averaged_and_one_alone_stands() -> None:
    one, other = Estimate(30.0, 6.0, 0.9), Estimate(40.0, 8.0, 0.7)
    assert mean_of(one, other) == pytest.approx(Estimate(35.0, 7.0, 0.8))
    assert mean_of(one, None) == mean_of(None, one) == one
    assert mean_of(None, None) is None
