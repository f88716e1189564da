from edge_agender.capture.sources.crowd import DemoPerson
from edge_agender.commands.selftest import Comparison, run_selftest
from edge_agender.config.load import load
from edge_agender.imaging.geometry import Box
from edge_agender.vision.faces import Estimate, Face
from edge_agender.vision.pipeline import Observation


def test_this_installation_passes() -> None:
    report = run_selftest(load(None, ["source.kind=demo"]))
    assert report.passed, report.as_text()
    assert report.frames == 240


def person(number: int, box: Box) -> DemoPerson:
    return DemoPerson(number, 0, "female", 30.0, box, 1.0, True)


def seen(boxes: list[Box], estimate: Estimate) -> Observation:
    faces = tuple(Face(i, box, 0.9, estimate, 0.0, 3, 1.0) for i, box in enumerate(boxes))
    return Observation(0, 1.0, 0.0, faces, True, 100.0, (640, 480))


def test_a_broken_installation_fails_each_check() -> None:
    here, elsewhere = Box(0, 0, 100, 100), Box(300, 300, 400, 400)
    comparison = Comparison()
    comparison.add(
        [person(1, here), person(2, Box(500, 0, 600, 100))], seen([here, elsewhere], Estimate(70.0, 5.0, 0.1))
    )
    found, extra, gender, age = comparison.checks()
    assert (found.value, extra.value, gender.value, age.value) == (0.5, 0.5, 0.0, 40.0)
    assert not any(check.passed for check in (found, extra, gender, age))


def test_nothing_seen_is_a_failure_and_no_crash() -> None:
    comparison = Comparison()
    comparison.add([person(1, Box(0, 0, 100, 100))], seen([], Estimate(30.0, 5.0, 0.9)))
    assert not comparison.checks()[0].passed
    assert not comparison.checks()[3].passed
