"""Pictures of faces: a poster, a screen or a printed cardboard keeps place, size and pose as nobody living does.

Whoever stands still sways, over seconds; the detector's boxes of a face on a wall vary from frame to frame, by the
camera's noise alone. So means over a second are compared: they keep the sway, and half or less of the noise is left.
No picture of a face is kept for this.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Detection, StillFace
from edge_agender.vision.head_pose import head_pose
from edge_agender.vision.tracking.track import Track

# Half of what lies between the 16th and the 84th percentile of the means, one standard deviation where they are
# normal: of the centre (both axes together) in parts of the face's size, of log size, of yaw and pitch in degrees.
# docs/messages.md, "Pictures of faces", has what was measured of pictures and of people.
MOST_MOVED, MOST_RESIZED, MOST_TURNED_DEG = 0.0035, 0.008, 1.5
# No detector's noise is below this, however small the face: also of the centre, in pixels.
MOST_MOVED_PX = 0.3
# A detection of a known picture lies within so much of its place; whatever else is found there is somebody.
NEAR, ALIKE, TURNED_DEG = 0.02, 0.05, 6.0
# The place follows a mount that gives way; what moves faster is no picture.
FOLLOWS = 0.02
# A picture that was taken down, or has been covered for so long, is forgotten.
REMEMBERED_S = 300.0
# Means a span: enough for percentiles, each of about a second. Fewer than the least say nothing.
MEANS, LEAST_MEANS = 25, 18


class Look(NamedTuple):
    """One detection or the mean of several: when, centre in pixels, log size, yaw and pitch (NaN without landmarks)."""

    at_s: float
    x: float
    y: float
    log_size: float
    yaw_deg: float
    pitch_deg: float


class _Watched:
    """What one track looked like over the last span: means, and the looks of the one that goes on."""

    __slots__ = ("latest", "means")

    def __init__(self) -> None:
        self.latest: list[Look] = []
        self.means: deque[Look] = deque()

    def note(self, seen: Look, after_s: float) -> bool:
        """Take in a look; return whether it completed a mean."""
        complete = bool(self.latest) and seen.at_s - self.latest[0].at_s >= after_s / MEANS
        if complete:
            self.means.append(Look(*(sum(values) / len(values) for values in zip(*self.latest, strict=True))))
            self.latest = []
            # The oldest one kept is just older than the span, so that all of it is covered.
            while len(self.means) > 1 and self.means[-1].at_s - self.means[1].at_s >= after_s:
                self.means.popleft()
        self.latest.append(seen)
        return complete

    def move(self, dx_px: float, dy_px: float) -> None:
        self.latest = [each._replace(x=each.x + dx_px, y=each.y + dy_px) for each in self.latest]
        self.means = deque(each._replace(x=each.x + dx_px, y=each.y + dy_px) for each in self.means)


@dataclass(slots=True)
class _Place:
    track_id: int
    at: Look
    box: Box
    seen_s: float


class Pictures:
    """Tells pictures from people by their stillness over `after_s` seconds (0: never), and remembers their places."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._watched: dict[int, _Watched] = {}
        self._places: list[_Place] = []

    @property
    def known(self) -> list[StillFace]:
        """Every picture that was seen within REMEMBERED_S, under the number of the track that it was."""
        return [StillFace(place.track_id, place.box) for place in self._places]

    def reset(self) -> None:
        self._watched, self._places = {}, []

    def take_over(self, before: Pictures) -> None:
        """Go on with what was found under another configuration."""
        if self._after_s:
            self._watched, self._places = before._watched, before._places

    def move(self, dx_px: float, dy_px: float) -> None:
        """The camera moved: what stood still before moved with the picture."""
        for watched in self._watched.values():
            watched.move(dx_px, dy_px)
        for place in self._places:
            place.at = place.at._replace(x=place.at.x + dx_px, y=place.at.y + dy_px)
            box = place.box
            place.box = Box(box.x1 + dx_px, box.y1 + dy_px, box.x2 + dx_px, box.y2 + dy_px)

    def others(self, detections: Sequence[Detection], now_s: float) -> list[Detection]:
        """Return the detections that are of no known picture; a picture takes one at most."""
        rest = list(detections)
        self._places = [place for place in self._places if now_s - place.seen_s <= REMEMBERED_S]
        for place in self._places:
            same = [(_distance(place.at, look(each, now_s)), i) for i, each in enumerate(rest)]
            distance, index = min(same, default=(math.inf, 0))
            if distance <= 1.0:
                _follow(place, rest.pop(index), now_s)
        return rest

    def recognise(self, tracks: Iterable[Track], kept: Iterable[Track], now_s: float) -> set[int]:
        """Learn from what was just found of `tracks`; return the numbers of those that are pictures.

        What is known of a track is forgotten when it is neither among them nor among `kept`.
        """
        if not self._after_s:
            return set()
        following = list(tracks)
        ids = {track.id for track in (*following, *kept)}
        self._watched = {track_id: watched for track_id, watched in self._watched.items() if track_id in ids}
        return {place.track_id for place in self._new(following, now_s)}

    def _new(self, tracks: Iterable[Track], now_s: float) -> Iterator[_Place]:
        for track in tracks:
            # What is not believed to be a face is counted by nobody, and needs no alarm.
            if not (track.decided and track.seen):
                continue
            watched = self._watched.setdefault(track.id, _Watched())
            if watched.note(look(Detection(track.found, track.score, track.landmarks), now_s), self._after_s):
                at = still(watched.means, self._after_s)
                if at is not None:
                    place = _Place(track.id, at, track.found, now_s)
                    self._places.append(place)
                    del self._watched[track.id]
                    yield place


def look(detection: Detection, now_s: float) -> Look:
    """Return what is compared of a detection."""
    box = detection.box
    pose = head_pose(detection.landmarks) if detection.landmarks is not None else None
    yaw_deg, pitch_deg = (pose.yaw_deg, pose.pitch_deg) if pose is not None else (math.nan, math.nan)
    return Look(now_s, *box.centre, math.log(box.width * box.height) / 2, yaw_deg, pitch_deg)


def still(means: Sequence[Look] | deque[Look], after_s: float) -> Look | None:
    """Return the median look where the means of the last `after_s` seconds are all of one picture, else None."""
    # From the first detection to the last one it is longer than from mean to mean, by about one of them.
    if len(means) < LEAST_MEANS or means[-1].at_s - means[0].at_s < after_s * (1 - 1 / MEANS):
        return None
    _, x, y, log_size, yaw_deg, pitch_deg = zip(*means, strict=True)
    size = math.exp(_quantile(log_size, 0.5))
    turns = [[value for value in values if not math.isnan(value)] for values in (yaw_deg, pitch_deg)]
    most = max(MOST_MOVED * size, MOST_MOVED_PX)
    if math.hypot(_spread(x), _spread(y)) > most or _spread(log_size) > MOST_RESIZED:
        return None
    if any(_spread(values) > MOST_TURNED_DEG for values in turns if values):
        return None
    middle = [_quantile(values, 0.5) if values else math.nan for values in (x, y, log_size, *turns)]
    return Look(means[-1].at_s, *middle)


def _distance(picture: Look, found: Look) -> float:
    """Return how far a detection is from a picture, in parts of what is allowed."""
    near = NEAR * math.exp(picture.log_size)
    parts = [abs(found.x - picture.x) / near, abs(found.y - picture.y) / near]
    parts.append(abs(found.log_size - picture.log_size) / ALIKE)
    parts += [abs(found.yaw_deg - picture.yaw_deg) / TURNED_DEG, abs(found.pitch_deg - picture.pitch_deg) / TURNED_DEG]
    return max(part for part in parts if not math.isnan(part))


def _follow(place: _Place, detection: Detection, now_s: float) -> None:
    at, found = place.at, look(detection, now_s)
    x, y = at.x + FOLLOWS * (found.x - at.x), at.y + FOLLOWS * (found.y - at.y)
    place.at = at._replace(at_s=now_s, x=x, y=y)
    place.box, place.seen_s = detection.box, now_s


def _spread(values: Sequence[float]) -> float:
    return (_quantile(values, 0.84) - _quantile(values, 0.16)) / 2


def _quantile(values: Sequence[float], part: float) -> float:
    """Return the value below which so large a part of them lies, the nearest one where there is none."""
    return sorted(values)[round(part * (len(values) - 1))]
