"""The demo: the same for the same seed, its truth is what is drawn, and people come, stop and go."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agender.capture.sources.crowd import Crowd, DemoPerson, FaceFacts
from edge_agender.capture.sources.demo import SHEET, DemoSource, load_sheet
from edge_agender.config.settings import DemoConfig, SourceConfig
from edge_agender.errors import MediaError
from edge_agender.imaging.frame import Frame
from edge_agender.imaging.geometry import Box, clip

# A face is drawn in heights of this step, so it may miss its true edge by half of it, and half a pixel.
STEP_PX = 8
CYCLE_S = 12
TILES = load_sheet()
OUTSIDE = b'{"tile_px": [64, 64], "faces": [{"x": 9999, "y": 0, "gender": "male", "mean_age_years": 3}]}'


def demo(
    size: tuple[int, int] = (320, 240), rate_hz: float = 5.0, stop: threading.Event | None = None, **options: object
) -> DemoSource:
    what = DemoConfig.model_validate({"pace": False, **options})
    config = SourceConfig(kind="demo", width_px=size[0], height_px=size[1], rate_hz=rate_hz, demo=what)
    return DemoSource(config, stop or threading.Event(), TILES)


def frames_of(source: DemoSource, count: int) -> list[Frame]:
    frames = [frame for _ in range(count) if (frame := source.read()) is not None]
    assert len(frames) == count
    return frames


def test_the_same_seed_gives_the_same_frames_and_another_gives_others() -> None:
    first, again, other = ([frame.full for frame in frames_of(demo(rate_hz=1, seed=seed), 10)] for seed in (7, 7, 8))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert all((a != b).any() for a, b in zip(first, other, strict=True))


def test_the_truth_of_a_frame_does_not_depend_on_what_was_asked_before() -> None:
    fresh, used = demo(), demo()
    frames_of(used, 30)
    assert [used.truth(number) for number in (200, 3, 90, 3)] == [fresh.truth(number) for number in (200, 3, 90, 3)]
    assert fresh.people(90 / 5.0) == fresh.truth(90)


@pytest.mark.parametrize("size", [(320, 240), (333, 251), (160, 120)])
def test_where_nobody_is_the_wall_is_bare_and_where_somebody_is_it_is_not(size: tuple[int, int]) -> None:
    crowded, empty = demo(size, rate_hz=2, people=3), demo(size, rate_hz=2, people=0)
    seen = 0
    for number, (frame, wall) in enumerate(zip(frames_of(crowded, 24), frames_of(empty, 24), strict=True)):
        assert frame.full.shape == (size[1], size[0], 3)
        drawn = (frame.full != wall.full).any(axis=2)
        people = crowded.truth(number)
        for person in people:
            box = clip(person.box, *size)
            if box is None:
                continue
            middle = drawn[round(box.y1) : round(box.y2), round(box.x1) : round(box.x2)]
            assert middle.mean() > 0.6, (number, person)
            seen += 1
        drawn[_rows_below_the_faces(people, size)] = False
        for person in people:
            _forget(drawn, person)
        assert not drawn.any(), f"frame {number}: something is drawn where the truth has nobody"
    assert seen > 20


def _rows_below_the_faces(people: list[DemoPerson], size: tuple[int, int]) -> np.ndarray:
    """Which pixels belong to bodies: below a chin, as wide as shoulders."""
    mask = np.zeros((size[1], size[0]), bool)
    for person in people:
        box = person.box
        x1, x2 = max(round(box.x1 - box.width), 0), max(round(box.x2 + box.width), 0)
        mask[max(round(box.y1 + box.height * 0.35), 0) : max(round(box.y2 + box.height * 2), 0), x1:x2] = True
    return mask


def _forget(drawn: np.ndarray, person: DemoPerson) -> None:
    """Take the tile of a face away: hair and ears reach beyond the box of the face."""
    tile = TILES[person.face]
    factor = (person.box.height + STEP_PX) / tile.face.height
    x1, y1 = person.box.x1 - tile.face.x1 * factor - 1, person.box.y1 - tile.face.y1 * factor - 1
    x2, y2 = x1 + tile.bgr.shape[1] * factor + 2, y1 + tile.bgr.shape[0] * factor + 2
    drawn[max(int(y1), 0) : max(int(y2) + 1, 0), max(int(x1), 0) : max(int(x2) + 1, 0)] = False


def test_a_face_is_drawn_at_its_true_place_and_size() -> None:
    source, empty = demo((640, 480), stay=True, people=2), demo((640, 480), people=0)
    (frame,), (wall,) = frames_of(source, 1), frames_of(empty, 1)
    for person in source.truth(0):
        tile = TILES[person.face]
        x, y = (round(value) for value in person.box.centre)
        assert (frame.full[y, x] != wall.full[y, x]).any()
        # The face's middle has the sheet's own colour there: nothing is shifted by more than the step of sizes.
        tx, ty = (round(value) for value in tile.face.centre)
        reach = round(tile.face.height / 8)
        expected = tile.bgr[ty - reach : ty + reach, tx - reach : tx + reach].mean(axis=(0, 1))
        reach = round(person.box.height / 8)
        found = frame.full[y - reach : y + reach, x - reach : x + reach].mean(axis=(0, 1))
        assert found == pytest.approx(expected, abs=25)


FACES = [FaceFacts("female", 30, 0.75), FaceFacts("male", 50, 0.9), FaceFacts("female", 70, 1.2)]


@given(
    st.integers(1, 32), st.integers(64, 4608), st.integers(64, 3456), st.integers(), st.floats(0, 1000), st.booleans()
)
def test_a_crowd_never_hides_a_face_and_never_leaves_the_picture_while_it_stands(
    people: int, width: int, height: int, seed: int, t_s: float, stay: bool
) -> None:
    crowd = Crowd(FACES, people, (width, height), seed, stay).at(t_s)
    assert len(crowd) <= people
    assert len({person.person_id for person in crowd}) == len(crowd)
    assert [person.box.y2 for person in crowd] == sorted(person.box.y2 for person in crowd)
    standing = [person for person in crowd if person.standing]
    for person in crowd:
        assert 0 < person.visible <= 1
        assert person.box.height <= 0.34 * height + 1e-6
        assert (person.gender, person.age_years) == (FACES[person.face].gender, FACES[person.face].age_years)
    for person in standing:
        assert person.visible == pytest.approx(1, abs=0.02)
    for one, other in pairwise(standing):
        over = min(one.box.x2, other.box.x2) - max(one.box.x1, other.box.x1)
        above = min(one.box.y2, other.box.y2) - max(one.box.y1, other.box.y1)
        assert over <= 0.02 * one.box.width or above <= 0
    assert Crowd(FACES, people, (width, height), seed, stay).at(t_s) == crowd


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 8), st.integers())
def test_everybody_walks_in_stops_and_leaves(people: int, seed: int) -> None:
    crowd = Crowd(FACES, people, (1280, 960), seed)
    story: dict[int, list[DemoPerson]] = {}
    for step in range(3 * CYCLE_S * 10):
        for person in crowd.at(step / 10):
            story.setdefault(person.person_id, []).append(person)
    complete = [visit for visit in story.values() if visit[0].person_id < 2 * people - 1]
    assert len(complete) >= people
    for visit in complete:
        stands = [person.standing for person in visit]
        first, last = stands.index(True), len(stands) - 1 - stands[::-1].index(True)
        assert first > 0
        assert last < len(stands) - 1
        assert all(stands[first : last + 1]), "they stop once"
        assert 3.3 <= (last - first) / 10 <= 5.2
        assert visit[0].visible < 0.35
        assert visit[-1].visible < 0.35
        # In and out on their own side, and no face changes on the way.
        assert len({(person.face, person.box.x1 < 640) for person in visit}) <= 2
        assert len({person.face for person in visit}) == 1
        reach = [abs(person.box.centre[0] - visit[first].box.centre[0]) for person in visit]
        assert max(reach[first : last + 1]) < visit[first].box.width / 10
        sway_px = visit[first].box.width / 20
        assert all(a >= b - sway_px for a, b in pairwise(reach[:first]))
        assert all(a <= b + sway_px for a, b in pairwise(reach[last + 1 :]))


def test_nobody_is_an_empty_wall_that_moves() -> None:
    source = demo(rate_hz=0.5, people=0)
    frames = frames_of(source, 6)
    assert source.truth(3) == []
    assert len({frame.full.tobytes() for frame in frames}) > 3
    for before, after in pairwise(frames):
        assert np.abs(before.full.astype(int) - after.full).max() < 60, "it moves softly"


def test_sprites_are_few_however_long_it_runs() -> None:
    source = demo(rate_hz=2, people=4)
    for _ in range(80):
        assert source.read() is not None
        assert len(source._painter._sprites) <= 4 + 2


def test_it_ends_after_its_duration_and_when_told_to_stop() -> None:
    with demo(duration_s=2.0) as source:
        assert len(frames_of(source, 10)) == 10
        assert source.read() is None
    stop = threading.Event()
    with demo(stop=stop) as source:
        assert source.read() is not None
        stop.set()
        assert source.read() is None


def test_its_own_clock_goes_on_evenly_when_it_is_not_paced() -> None:
    times = [frame.captured_s for frame in frames_of(demo(rate_hz=5), 10)]
    assert np.diff(times) == pytest.approx(0.2)


def test_paced_it_is_live_and_stop_ends_its_wait() -> None:
    stop = threading.Event()
    source = demo(rate_hz=0.02, stop=stop, pace=True)
    assert source.live
    assert source.read() is not None
    read: list[Frame | None] = []
    reader = threading.Thread(target=lambda: read.append(source.read()))
    reader.start()
    stop.set()
    reader.join(60)
    assert read == [None]


@pytest.mark.parametrize(
    ("picture", "described"),
    [
        (None, None),
        (b"no picture", SHEET.with_suffix(".json").read_bytes()),
        (SHEET.read_bytes(), b"{"),
        (SHEET.read_bytes(), b'{"tile_px": [64, 64], "faces": []}'),
        (SHEET.read_bytes(), OUTSIDE),
    ],
)  # fmt: skip
def test_a_damaged_sheet_is_one_line(picture: bytes | None, described: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "faces.png"
    if picture is not None and described is not None:
        path.write_bytes(picture)
        path.with_suffix(".json").write_bytes(described)
    with pytest.raises(MediaError, match="the demo's faces cannot be read: install the package again") as caught:
        load_sheet(path)
    assert "\n" not in str(caught.value)


def test_every_face_of_the_sheet_lies_in_its_tile_and_covers_it() -> None:
    assert {tile.facts.gender for tile in TILES} == {"female", "male"}
    for tile in TILES:
        height, width = tile.alpha.shape
        inside = clip(tile.face, width, height)
        assert inside == Box(*(float(value) for value in tile.face))
        x, y = (round(value) for value in tile.face.centre)
        assert tile.alpha[y, x] == 255
