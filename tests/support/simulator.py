"""People before a sign whose whereabouts are known, and what an imperfect detector would make of them.

A pinhole camera over the sign looks into a hall. People enter at a side or from the back, walk, most of them stop for
a while, and leave. Every random number comes from the seed, so a run can be repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Detection, Estimate

WIDTH_PX, HEIGHT_PX = 1280, 960
FOCAL_PX = WIDTH_PX / 2 / math.tan(math.radians(66 / 2))
FACE_M, FACE_ASPECT = 0.16, 1.3
MIN_FACE_PX = 16


@dataclass(frozen=True)
class Scene:
    """What happens, and how badly it is seen. Rates are per second, sizes in parts of a face."""

    duration_s: float = 600.0
    fps: float = 10.0
    arrivals: float = 0.3
    miss: float = 0.1
    false_alarms: float = 0.1
    jitter: float = 0.05
    turn_aways: float = 0.03
    turn_away_s: tuple[float, float] = (0.3, 0.8)
    stops: float = 0.7
    seed: int = 1
    # Who walks where; where the picture stands at each frame, (n, 2) in pixels: see scenes.py. None: ordinary, still.
    people: Callable[[Scene, np.random.Generator], list[Walk]] | None = None
    camera: Callable[[Scene, np.random.Generator, np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class Walk:
    """One person: times and places (metres right of, above and before the camera), a twentieth of a second apart."""

    person: int
    times_s: np.ndarray
    places_m: np.ndarray
    sway_phase: float
    hidden_s: tuple[tuple[float, float], ...]

    def face(self, now_s: float) -> tuple[Box, float] | None:
        """The true box in pixels and its distance in metres; None where the face is not in the picture."""
        if not self.times_s[0] <= now_s <= self.times_s[-1]:
            return None
        x, y, z = (float(np.interp(now_s, self.times_s, self.places_m[:, axis])) for axis in range(3))
        y += 0.02 * math.sin(2 * math.pi * 1.8 * now_s + self.sway_phase)
        x += 0.03 * math.sin(2 * math.pi * 0.5 * now_s + self.sway_phase)
        half = FOCAL_PX * FACE_M / z / 2
        cx, cy = WIDTH_PX / 2 + FOCAL_PX * x / z, HEIGHT_PX / 2 - FOCAL_PX * y / z
        if not (half <= cx <= WIDTH_PX - half and half <= cy <= HEIGHT_PX - half) or 2 * half < MIN_FACE_PX:
            return None
        return Box(cx - half, cy - half * FACE_ASPECT, cx + half, cy + half * FACE_ASPECT), z


@dataclass
class Truth:
    """When a person's face was in the picture, whether anybody stood before it or not."""

    first_s: float
    last_s: float
    frames: int = 1

    @property
    def dwell_s(self) -> float:
        return self.last_s - self.first_s


@dataclass
class Look:
    """One frame: what the detector says, and who each of its boxes is (None for a false alarm)."""

    now_s: float
    detections: list[Detection]
    owners: list[int | None]
    present: set[int]
    # What an estimator says of each detection.
    estimates: list[Estimate] = field(default_factory=list)


@dataclass
class Simulation:
    scene: Scene
    truth: dict[int, Truth] = field(default_factory=dict)

    def looks(self) -> Iterator[Look]:
        """Yield every frame; afterwards `truth` is complete."""
        random, apart = np.random.default_rng(self.scene.seed), np.random.default_rng(self.scene.seed + 10_000)
        waiting = self._people(random)
        waiting.sort(key=lambda walk: -walk.times_s[0])
        looks = _Looks(apart)
        frames = np.arange(int(self.scene.duration_s * self.scene.fps)) / self.scene.fps
        stands = (
            np.zeros((len(frames), 2)) if self.scene.camera is None else self.scene.camera(self.scene, apart, frames)
        )
        walking: list[Walk] = []
        ghosts: list[tuple[Box, float]] = []
        for index in range(int(self.scene.duration_s * self.scene.fps)):
            now_s = index / self.scene.fps
            while waiting and waiting[-1].times_s[0] <= now_s:
                walking.append(waiting.pop())
            walking = [walk for walk in walking if now_s <= walk.times_s[-1]]
            faces = {walk.person: face for walk in walking if (face := walk.face(now_s)) is not None}
            for person in faces:
                known = self.truth.setdefault(person, Truth(now_s, now_s, 0))
                known.last_s, known.frames = now_s, known.frames + 1
            away = {walk.person for walk in walking if any(a <= now_s <= b for a, b in walk.hidden_s)}
            look = self._look(now_s, faces, away, ghosts, random)
            look.estimates = [looks.of(owner) for owner in look.owners]
            if self.scene.camera is not None:
                _shift(look, stands[index])
            yield look

    def _people(self, random: np.random.Generator) -> list[Walk]:
        if self.scene.people is not None:
            return self.scene.people(self.scene, random)
        return [ordinary_walk(person, start_s, random, self.scene) for person, start_s in _arrivals(random, self.scene)]

    def _look(
        self,
        now_s: float,
        faces: dict[int, tuple[Box, float]],
        away: set[int],
        ghosts: list[tuple[Box, float]],
        random: np.random.Generator,
    ) -> Look:
        look = Look(now_s, [], [], set(faces))
        for person, (box, distance_m) in faces.items():
            misses = random.random() < self.scene.miss
            if person not in away and not misses and not _behind_another(person, box, distance_m, faces):
                look.detections.append(Detection(_jittered(box, self.scene.jitter, random), random.uniform(0.6, 0.99)))
                look.owners.append(person)
        # A false alarm stays for some frames, as a pattern in the background does.
        ghosts[:] = [(box, until_s) for box, until_s in ghosts if until_s > now_s]
        if random.random() < self.scene.false_alarms / self.scene.fps:
            ghosts.append((_ghost(random), now_s + random.exponential(0.1)))
        for box, _ in ghosts:
            look.detections.append(Detection(_jittered(box, self.scene.jitter, random), random.uniform(0.5, 0.75)))
            look.owners.append(None)
        order = random.permutation(len(look.detections))
        look.detections = [look.detections[i] for i in order]
        look.owners = [look.owners[i] for i in order]
        return look


class _Looks:
    """What everybody looks like to an estimator: the person's own, the same in each frame but for a little noise."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._people: dict[int | None, tuple[float, float]] = {}

    def of(self, person: int | None) -> Estimate:
        if person is None or person not in self._people:
            years, odds = self._random.normal(38, 15), self._random.choice((-1, 1)) * self._random.normal(2.5, 1.2)
            self._people[person] = float(np.clip(years, 3, 85)), float(odds)
        years, odds = self._people[person]
        p_female = 1 / (1 + math.exp(-(odds + self._random.normal(0, 0.8))))
        return Estimate(max(years + self._random.normal(0, 3.0), 0.0), 6.5, p_female)


def _shift(look: Look, by_px: np.ndarray) -> None:
    """Move everything that was found to where the picture stands."""
    dx, dy = (float(each) for each in by_px)
    look.detections = [
        Detection(Box(box.x1 + dx, box.y1 + dy, box.x2 + dx, box.y2 + dy), score) for box, score, *_ in look.detections
    ]


def _arrivals(random: np.random.Generator, scene: Scene) -> Iterator[tuple[int, float]]:
    now_s, person = 0.0, 0
    # The last quarter minute stays empty of arrivals, so that nearly everybody has left at the end.
    while (now_s := now_s + random.exponential(1 / scene.arrivals)) < scene.duration_s - 15:
        person += 1
        yield person, now_s


def ordinary_walk(person: int, start_s: float, random: np.random.Generator, scene: Scene) -> Walk:
    side = random.choice((-1, 1))
    near_m, height_m, speed = random.uniform(1.0, 4.0), random.normal(-0.3, 0.1), random.uniform(0.5, 1.6)
    # Somewhat outside the picture at that distance, so that entering and leaving are seen.
    edge_m = near_m * math.tan(math.radians(33)) + 0.4
    places = [(-side * edge_m, near_m), (side * edge_m, near_m)]
    if random.random() < 0.3:
        places[0] = (random.uniform(-1, 1), random.uniform(6.0, 9.0))
    waits = [0.0, 0.0]
    if random.random() < scene.stops:
        places.insert(1, (random.uniform(-0.5, 0.5) * edge_m, near_m * random.uniform(0.8, 1.0)))
        waits.insert(1, random.exponential(6.0))
    times, points, now_s = [], [], start_s
    for index, ((x, z), wait_s) in enumerate(zip(places, waits, strict=True)):
        if index:
            now_s += math.hypot(x - points[-1][0], z - points[-1][2]) / speed
        times.append(now_s)
        points.append((x, height_m, z))
        if wait_s:
            now_s += wait_s
            times.append(now_s)
            points.append((x, height_m, z))
    turns = np.cumsum(random.exponential(1 / max(scene.turn_aways, 1e-9), 20)) + start_s
    hidden = tuple((float(at), float(at) + random.uniform(*scene.turn_away_s)) for at in turns)
    return Walk(person, *eased(np.array(times), np.array(points)), random.uniform(0, 2 * math.pi), hidden)


def eased(times_s: np.ndarray, places_m: np.ndarray, over_s: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Nobody starts, stops or turns at once: average the path over half a second."""
    step_s = 0.05
    fine_s = np.arange(times_s[0], times_s[-1], step_s)
    window = np.ones(round(over_s / step_s)) / round(over_s / step_s)
    path = np.column_stack([np.interp(fine_s, times_s, places_m[:, axis]) for axis in range(3)])
    padded = np.pad(path, ((len(window) // 2, len(window) - 1 - len(window) // 2), (0, 0)), mode="edge")
    return fine_s, np.column_stack([np.convolve(padded[:, axis], window, mode="valid") for axis in range(3)])


def _behind_another(person: int, box: Box, distance_m: float, faces: dict[int, tuple[Box, float]]) -> bool:
    """True where a nearer face covers half of this one."""
    for other, (cover, nearer_m) in faces.items():
        if other != person and nearer_m < distance_m:
            width = min(box.x2, cover.x2) - max(box.x1, cover.x1)
            height = min(box.y2, cover.y2) - max(box.y1, cover.y1)
            if width > 0 and height > 0 and width * height > 0.5 * box.area:
                return True
    return False


def _jittered(box: Box, jitter: float, random: np.random.Generator) -> Box:
    x, y = box.centre
    dx, dy = random.normal(0, jitter, 2) * box.width
    half_width, half_height = np.array([box.width, box.height]) / 2 * np.exp(random.normal(0, jitter * 1.5))
    return Box(x + dx - half_width, y + dy - half_height, x + dx + half_width, y + dy + half_height)


def _ghost(random: np.random.Generator) -> Box:
    half = random.uniform(8, 40)
    x, y = random.uniform(half, WIDTH_PX - half), random.uniform(half * FACE_ASPECT, HEIGHT_PX - half * FACE_ASPECT)
    return Box(x - half, y - half * FACE_ASPECT, x + half, y + half * FACE_ASPECT)
