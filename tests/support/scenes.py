"""Situations before a sign that break trackers, one at a time: who walks where, who is hidden, what the camera does."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tests.support.simulator import Scene, Walk, eased, ordinary_walk

HALF_VIEW = math.tan(math.radians(33))
Path = list[tuple[float, float, float]]  # seconds, metres to the right, metres away


def walk(
    person: int, path: Path, height_m: float, random: np.random.Generator, hidden: list[tuple[float, float]]
) -> Walk:
    times = np.array([p[0] for p in path])
    places = np.array([(p[1], height_m, p[2]) for p in path])
    return Walk(person, *eased(times, places), random.uniform(0, 2 * math.pi), tuple(hidden))


def glances(start_s: float, end_s: float, every_s: float, lasts_s: tuple[float, float], random: np.random.Generator):
    at, out = start_s, []
    while (at := at + random.exponential(every_s)) < end_s:
        until = at + random.uniform(*lasts_s)
        out.append((at, until))
        at = until
    return out


def through(
    start_s: float, random: np.random.Generator, side: int, z: float, stop_s: float, lane_m: float = 0.0
) -> Path:
    """From one side to the other, with a stop in the middle."""
    edge, speed = z * HALF_VIEW + 0.4, random.uniform(0.8, 1.4)
    x = lane_m + random.uniform(-0.3, 0.3) * edge
    first_s = start_s + abs(x + side * edge) / speed
    path = [(start_s, -side * edge, z), (first_s, x, z)]
    if stop_s:
        path.append((first_s + stop_s, x, z))
    return [*path, (path[-1][0] + abs(side * edge - x) / speed, side * edge, z)]


def groups(scene: Scene, random: np.random.Generator) -> list[Walk]:
    """Four who come together, walk side by side in two rows, stop, and leave together."""
    walks, person, at = [], 0, 0.0
    while at < scene.duration_s - 45:
        side, z = int(random.choice((-1, 1))), random.uniform(1.5, 3.0)
        stop = random.exponential(6.0) if random.random() < scene.stops else 0.0
        lead = through(at, random, side, z, stop)
        for row in range(4):
            person += 1
            dx, dz = (row % 2) * 0.5 - 0.25 + random.normal(0, 0.08), (row // 2) * 0.6 + random.normal(0, 0.1)
            lag = random.normal(0, 0.15)
            path = [(t + lag, x + dx - side * 0.3 * (row // 2), zz + dz) for t, x, zz in lead]
            hidden = glances(at, path[-1][0], 1 / scene.turn_aways, scene.turn_away_s, random)
            walks.append(walk(person, path, random.normal(-0.3, 0.1), random, hidden))
        at += random.uniform(20, 30)
    return walks


def burst(scene: Scene, random: np.random.Generator) -> list[Walk]:
    """Twenty ordinary walkers within ten seconds, once a minute."""
    walks = []
    for start in range(0, int(scene.duration_s) - 50, 60):
        for at in random.uniform(start, start + 10, 20):
            walks.append(ordinary_walk(len(walks) + 1, float(at), random, scene))
    return walks


def crowd(scene: Scene, random: np.random.Generator) -> list[Walk]:
    """Twenty at once: each comes within ten seconds, stands for minutes among the others, shifts its feet, leaves."""
    walks = []
    for batch in range(int(scene.duration_s // 150)):
        start = batch * 150.0
        for i in range(20):
            z, side = random.uniform(1.5, 5.0), int(random.choice((-1, 1)))
            x, edge = random.uniform(-0.8, 0.8) * z * HALF_VIEW, z * HALF_VIEW + 0.4
            at = start + random.uniform(0, 10)
            path: Path = [(at, side * edge, z)]
            at += abs(side * edge - x) / 1.2
            path.append((at, x, z))
            while at < start + 110:
                at += random.exponential(15) + 1
                path.append((at, path[-1][1], path[-1][2]))
                at += 0.8
                path.append((at, x + random.normal(0, 0.2), z + random.normal(0, 0.15)))
            path.append((at + abs(side * edge - path[-1][1]) / 1.2, side * edge, path[-1][2]))
            hidden = glances(start, path[-1][0], 1 / scene.turn_aways, scene.turn_away_s, random)
            walks.append(walk(batch * 20 + i + 1, path, random.normal(-0.3, 0.1), random, hidden))
    return walks


def crossing(hidden_s: float) -> Callable[[Scene, np.random.Generator], list[Walk]]:
    """One stands, another passes closely before and hides it for so long."""

    def make(scene: Scene, random: np.random.Generator) -> list[Walk]:
        walks, at = [], 0.0
        while at < scene.duration_s - 30:
            z, n = random.uniform(2.0, 4.0), len(walks)
            stander = through(at, random, int(random.choice((-1, 1))), z, 12.0)
            middle, x = (stander[1][0] + stander[2][0]) / 2, stander[1][1]
            near, side = random.uniform(0.8, 0.6 * z), int(random.choice((-1, 1)))
            edge, speed = near * HALF_VIEW + 0.4, 1.0
            cross_x = x * near / z
            leave = (middle + (edge - side * cross_x) / speed, side * edge, near)
            passer = [(middle - (edge + side * cross_x) / speed, -side * edge, near), (middle, cross_x, near), leave]
            height = random.normal(-0.3, 0.1)
            away = [(middle - hidden_s / 2, middle + hidden_s / 2)]
            walks.append(walk(n + 1, stander, height, random, away))
            walks.append(walk(n + 2, passer, height * near / z, random, []))
            at += 25
        return walks

    return make


def back_in_place(away_s: float) -> Callable[[Scene, np.random.Generator], list[Walk]]:
    """Stands for a while, is gone from the detector's sight, and is there again."""

    def make(scene: Scene, random: np.random.Generator) -> list[Walk]:
        walks, at = [], 0.0
        while at < scene.duration_s - 45:
            path = through(at, random, int(random.choice((-1, 1))), random.uniform(1.5, 4.0), 10 + away_s)
            begin = path[1][0] + 5
            walks.append(walk(len(walks) + 1, path, random.normal(-0.3, 0.1), random, [(begin, begin + away_s)]))
            at += 12
        return walks

    return make


def queue(lasts_s: tuple[float, float], every_s: float) -> Callable[[Scene, np.random.Generator], list[Walk]]:
    """Five stand in line for the whole time and look away again and again."""

    def make(scene: Scene, random: np.random.Generator) -> list[Walk]:
        walks = []
        for i in range(5):
            z, x = 2.0 + 0.7 * i, -0.75 + 0.45 * i + random.normal(0, 0.05)
            path: Path = [(0.0, x, z)]
            at = 0.0
            while at < scene.duration_s:
                at += random.exponential(20) + 1
                path += [(at, path[-1][1], path[-1][2]), (at + 1, x + random.normal(0, 0.1), z + random.normal(0, 0.1))]
                at += 1
            hidden = glances(2, scene.duration_s, every_s, lasts_s, random)
            walks.append(walk(i + 1, path, random.normal(-0.25, 0.08), random, hidden))
        return walks

    return make


def pacing(scene: Scene, random: np.random.Generator) -> list[Walk]:
    """One after the other walks up and down across the picture's edge, eight times in and out."""
    walks, at = [], 0.0
    while at < scene.duration_s - 75:
        z, side = random.uniform(1.5, 3.5), int(random.choice((-1, 1)))
        edge, path, t = z * HALF_VIEW, [], at
        for _ in range(8):
            path.append((t, side * (edge + 0.4 + random.uniform(0, 0.6)), z + random.normal(0, 0.1)))
            t += random.uniform(2.0, 4.0)
            path.append((t, side * (edge - random.uniform(0.5, 1.2)), z + random.normal(0, 0.1)))
            t += random.uniform(2.0, 4.0)
        path.append((t, side * (edge + 0.8), z))
        walks.append(walk(len(walks) + 1, path, random.normal(-0.3, 0.1), random, []))
        at = t + 12
    return walks


def shaken(scene: Scene, random: np.random.Generator, times_s: np.ndarray) -> np.ndarray:
    """Where the picture stands at each frame, pixels: a lorry passes, again and again."""
    on = (times_s % 10) < 5
    return np.where(on[:, None], random.normal(0, 10, (len(times_s), 2)), 0)


def jolted(scene: Scene, random: np.random.Generator, times_s: np.ndarray) -> np.ndarray:
    """Somebody knocks against the camera each 5 s: it stays there until the next knock sets it back."""
    knocks = (times_s // 5).astype(int)
    angles = random.uniform(0, 2 * math.pi, knocks.max() + 1)
    places = 120 * np.column_stack([np.cos(angles), np.sin(angles)])
    places[::2] = 0
    return places[knocks]
