from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from edge_agender.audience.distance import coarse, counted_focal_px, distance_cm
from edge_agender.audience.measures import Visit
from edge_agender.audience.visits import Gaze, Visits
from edge_agender.config.audience import AudienceConfig, DistanceConfig, LookingConfig
from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Estimate, Face
from edge_agender.vision.head_pose import HeadPose

CONFIG = AudienceConfig()
EPOCH_S = 1_700_000_000.0


def face(
    track_id: int, first_s: float, last_s: float, hits: int, frontal: float | None = 1.0, height: float = 100
) -> Face:
    box = Box(0, 0, 80, height)
    return Face(track_id, box, 0.9, Estimate(34.0, 4.0, 0.95), first_s, hits, last_s, frontal)


def stay(
    visits: Visits, seconds: float, *, fps: float = 10, frontal: float | None = 1.0, content: str | None = None
) -> Visit:
    """Somebody is there from 0 on for so long, then goes."""
    for step in range(1, round(seconds * fps) + 1):
        now_s = step / fps
        assert visits.observe([face(1, 0.0, now_s, step + 1, frontal)], now_s, EPOCH_S + now_s, content, 1000) == []
    return visits.observe([], seconds + 2, EPOCH_S + seconds + 2, content, 1000)[0]


def test_a_visit_ends_with_the_last_detection() -> None:
    visits = Visits(CONFIG)
    visits.observe([face(1, 0.0, 0.1, 2)], 0.1, EPOCH_S + 0.1, None, 1000)
    visits.observe([face(1, 0.0, 1.0, 3)], 1.0, EPOCH_S + 1.0, None, 1000)
    # The tracker carries on for a while without detections.
    visits.observe([face(1, 0.0, 1.0, 3)], 2.0, EPOCH_S + 2.0, None, 1000)
    (visit,) = visits.observe([], 2.5, EPOCH_S + 2.5, None, 1000)
    assert visit.dwell_s == 1.0
    assert (visit.first_utc_s, visit.last_utc_s) == (EPOCH_S, EPOCH_S + 1.0)
    assert visit.is_viewer
    assert (visit.person.gender, visit.person.years) == ("female", 34.0)
    assert visits.observe([], 3.0, EPOCH_S + 3, None, 1000) == []


@pytest.mark.parametrize(
    ("seconds", "fps", "viewer"), [(0.5, 10, True), (0.4, 10, False), (1.0, 1, False), (2.0, 1, True)]
)
def test_a_viewer_needs_three_detections_and_half_a_second(seconds: float, fps: float, viewer: bool) -> None:
    assert stay(Visits(CONFIG), seconds, fps=fps).is_viewer is viewer


def test_without_landmarks_being_there_makes_a_viewer() -> None:
    assert stay(Visits(CONFIG), 3.0, frontal=0.1).is_viewer


def test_attention_is_dwell_for_who_looks_always_and_nothing_for_who_never_does() -> None:
    looks, looks_away = stay(Visits(CONFIG), 4.0, frontal=1.0), stay(Visits(CONFIG), 4.0, frontal=0.0)
    assert looks.attention_s == pytest.approx(4.0, abs=0.11)
    assert looks.attention_s is not None
    assert looks.attention_s <= looks.dwell_s
    assert (looks.glances, looks_away.glances, looks_away.attention_s) == (1, 0, 0.0)


def test_attention_is_unknown_where_nobody_measures_it() -> None:
    visit = stay(Visits(CONFIG), 4.0, frontal=None)
    assert (visit.attention_s, visit.glances) == (None, None)


def test_what_is_on_the_sign_gets_its_share() -> None:
    visits = Visits(CONFIG)
    for step in range(1, 101):
        now_s = step / 10
        visits.observe([face(1, 0.0, now_s, step + 1)], now_s, EPOCH_S + now_s, "a" if now_s <= 3 else "b", 1000)
    visit = visits.close()[0]
    assert {share.id: round(share.dwell_s, 1) for share in visit.content} == {"a": 3.0, "b": 7.0}
    assert sum(share.attention_s or 0 for share in visit.content) == pytest.approx(visit.attention_s, abs=0.11)
    assert visits.close() == []


def turned(yaw_deg: float, pitch_deg: float = 0.0) -> HeadPose:
    return HeadPose(yaw_deg, pitch_deg, 0.0)


class TestGaze:
    CONFIG = LookingConfig(smooth_s=0.0, max_gap_s=0.6)
    FRONTAL = LookingConfig(starts_at=0.6, ends_at=0.4, smooth_s=0.0, max_gap_s=0.6)

    def run(
        self, poses: Sequence[HeadPose | float | None], config: LookingConfig = CONFIG, every_s: float = 0.1
    ) -> tuple[float, int]:
        gaze = Gaze(config)
        faces = [
            face(1, 0.0, 0.0, 2, each) if isinstance(each, float) else face(1, 0.0, 0.0, 2, None)._replace(pose=each)
            for each in poses
        ]
        return sum(gaze.note(each, every_s) for each in faces), gaze.glances

    def test_who_points_at_the_sign_looks_and_who_is_turned_does_not(self) -> None:
        assert self.run([turned(0)] * 10) == (pytest.approx(1.0), 1)
        assert self.run([turned(26, -20)] * 10) == (pytest.approx(1.0), 1)
        for away in (turned(34), turned(-50), turned(0, 39), turned(0, -60)):
            assert self.run([away] * 10) == (0, 0)

    def test_hysteresis_makes_one_look_of_noise_at_the_limit(self) -> None:
        assert self.run([turned(each) for each in (29, 32, 33, 31, 33, 35)]) == (pytest.approx(0.6), 1)
        assert self.run([turned(each) for each in (32, 31, 32)]) == (0, 0)

    def test_each_return_is_a_glance(self) -> None:
        assert self.run([turned(each) for each in (0, 0, 60, 60, 0, 60)])[1] == 2

    def test_without_landmarks_it_goes_by_how_frontal_a_face_is(self) -> None:
        assert self.run([0.7, 0.5, 0.58, 0.45, 0.5, 0.3], self.FRONTAL) == (pytest.approx(0.6), 1)
        assert self.run([0.5, 0.55, 0.5], self.FRONTAL) == (0, 0)

    def test_frames_that_did_not_measure_change_nothing(self) -> None:
        assert self.run([turned(0), None, None, turned(0)]) == (pytest.approx(0.4), 1)

    def test_a_gap_ends_a_look(self) -> None:
        assert self.run([turned(0)] * 3, every_s=1.0) == (0, 3)

    def test_smoothing_swallows_a_single_frame(self) -> None:
        values = [turned(0)] * 10 + [turned(70)] + [turned(0)] * 10
        assert self.run(values)[1] == 2
        assert self.run(values, LookingConfig(smooth_s=0.2))[1] == 1


def test_dwell_and_attention_begin_at_the_same_detection() -> None:
    visits = Visits(CONFIG)
    for step in range(1, 11):
        somebody = face(1, 0.0, step / 10, step + 1, None)._replace(pose=turned(0))
        visits.observe([somebody], step / 10, EPOCH_S + step / 10, None, 1000)
    (visit,) = visits.close()
    assert (visit.dwell_s, visit.attention_s) == (pytest.approx(1.0), pytest.approx(1.0))


@pytest.mark.parametrize(
    ("looked_s", "viewer", "engaged"), [(0.1, False, False), (0.3, True, False), (2.0, True, True)]
)
def test_the_ladder_from_passing_by_to_being_engaged(looked_s: float, viewer: bool, engaged: bool) -> None:
    config = AudienceConfig(looking=LookingConfig(smooth_s=0))
    visits = Visits(config)
    for step in range(1, 41):
        pose = turned(0 if step / 10 <= looked_s + 1e-6 else 70)
        somebody = face(1, 0.0, step / 10, step + 1, None)._replace(pose=pose)
        visits.observe([somebody], step / 10, EPOCH_S + step / 10, None, 1000)
    (visit,) = visits.close()
    # A look lasts until the detection that says otherwise.
    assert visit.attention_s == pytest.approx(looked_s + 0.1)
    assert visit.is_pass
    assert (visit.is_viewer, visit.is_engaged) == (viewer, engaged)


def test_distance_from_the_size_of_a_face_and_the_lens() -> None:
    # A 20 cm face at 2 m, 66 degrees across 1280 pixels.
    focal = counted_focal_px(DistanceConfig(lens_hfov_deg=66), 1280, None)
    assert focal == pytest.approx(985.5, abs=0.5)
    assert distance_cm(0.20 * focal / 2.0, focal, 20) == pytest.approx(200)


def test_a_configured_lens_wins_over_what_the_source_knows_and_that_over_a_typical_one() -> None:
    assert counted_focal_px(DistanceConfig(lens_hfov_deg=90), 1280, 900.0) == pytest.approx(640)
    assert counted_focal_px(DistanceConfig(), 1280, 900.0) == 900.0
    assert counted_focal_px(DistanceConfig(), 1280, None) == pytest.approx(1065, abs=1)


def test_a_face_that_is_twice_as_high_in_a_picture_of_twice_the_focal_length_is_no_nearer() -> None:
    visits = Visits(CONFIG)
    for step in range(1, 21):
        # 20 cm at 3 m, then the region is changed so that the picture shows half as much, as large as before.
        focal = 600.0 if step <= 10 else 1200.0
        visits.observe([face(1, 0.0, step / 10, step + 1, height=focal * 20 / 300)], step / 10, EPOCH_S, None, focal)
    assert visits.close()[0].distance == "mid"


@pytest.mark.parametrize(("centimetres", "word"), [(149, "near"), (150, "mid"), (399, "mid"), (400, "far")])
def test_distances_are_told_in_three_words(centimetres: float, word: str) -> None:
    assert coarse(centimetres, DistanceConfig()) == word


def test_a_visit_is_as_far_off_as_most_of_it() -> None:
    visits = Visits(CONFIG)
    for step in range(1, 101):
        # 20 cm at 1000 px: 50 px is 4 m, 200 px is 1 m. Near for the last second of ten.
        height = 50 if step <= 90 else 200
        visits.observe([face(1, 0.0, step / 10, step + 1, height=height - 1)], step / 10, EPOCH_S, None, 1000)
    assert visits.close()[0].distance == "mid"
    assert math.isfinite(CONFIG.distance.near_cm)
