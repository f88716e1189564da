"""What `fleet check` finds, and that it finds nothing where nothing is."""

from __future__ import annotations

from edge_agender.fleet.checks import check
from edge_agender.fleet.intake import read
from edge_agender.fleet.keeping import keep
from edge_agender.fleet.publish import Rules
from edge_agender.fleet.records import Record
from edge_agender.fleet.rollup import roll_up_all
from edge_agender.fleet.store import Database
from tests.fleet.messages import DAY_S, MIDNIGHT_S, PREFIX, VERSIONS, arrival, health, record, status, utc, window

END_S = MIDNIGHT_S + 10 * DAY_S


def a_device(database: Database, name: str, last_day: int, light: float = 110.0, software: str = "0.1.0") -> None:
    """Nine days with three hours of ten viewers, and one with another number."""
    payloads = []
    for day in range(10):
        for hour in range(3):
            number = day * 1440 + hour * 60
            viewers = last_day if day == 9 else 10
            fields = {
                "length_s": 3600,
                "covered_s": 3600.0,
                "light": light,
                "versions": VERSIONS | {"software": software},
            }
            payloads.append(window(day * 3 + hour, viewers, device=name, number=number) | fields)
    keep(database, [record(one, END_S) for one in payloads], END_S)
    states: list[Record | None] = [
        read(arrival(status("online", name) | {"software": software}, END_S), PREFIX),
        read(arrival(health({}, device=name, sent=utc(END_S)), END_S), PREFIX),
    ]
    keep(database, [one for one in states if one is not None], END_S)
    roll_up_all(database, Rules(), END_S)


def test_a_fleet_that_is_well_gives_no_finding(database: Database) -> None:
    for name in ("lobby", "bakery", "station"):
        a_device(database, name, 11)
    assert check(database, "", 300, END_S + 60) == []


def test_what_is_unlike_the_others_or_its_own_past_is_found(database: Database) -> None:
    for name in ("a", "b"):
        a_device(database, name, 10)
    a_device(database, "covered", 10, light=4.0)
    a_device(database, "dark", 10, light=30.0)
    a_device(database, "moved", 2)
    a_device(database, "old", 10, software="0.0.9")
    found = [(one.device, one.text) for one in check(database, "", 300, END_S + 60)]
    assert found == [
        ("covered", "its camera is covered, or the lamps are off"),
        ("dark", "its pictures are dark"),
        ("moved", "counts 0.2 times its usual viewers an hour"),
        ("old", "runs 0.0.9, most run 0.1.0"),
    ]


def test_who_is_silent_is_found(database: Database) -> None:
    a_device(database, "lobby", 10)
    assert [one.text for one in check(database, "", 300, END_S + 3600)] == ["is silent"]


def test_who_refuses_its_configuration_is_found(database: Database) -> None:
    a_device(database, "lobby", 10)
    payload = {
        **{"schema": "edge-agender.reported", "version": 1, "device": "lobby", "boot_id": "b" * 16, "sent": utc(END_S)},
        **{"state": "refused", "desired_revision": 8, "applied_revision": 0, "applied": None, "digest": "0" * 12},
        **{"reasons": ["privacy.level: viewer is looser"], "effective": {"privacy.level": "frame"}},
    }
    said = read(arrival(payload, END_S), PREFIX)
    assert said is not None
    keep(database, [said], END_S)
    (found,) = check(database, "", 300, END_S + 60)
    assert found.text == "refuses its configuration: privacy.level: viewer is looser"
