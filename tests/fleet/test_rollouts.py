"""Rollouts of a configuration: who is tried first, what ends one, what is taken back, and whose business it is."""

from __future__ import annotations

import json
from threading import Thread
from typing import Any

import pytest

from edge_agender.config.remote import digest
from edge_agender.errors import ConfigError, UsageError
from edge_agender.fleet import carrying
from edge_agender.fleet.carrying import ANSWER_S, ASK_EVERY_S, AWAY_S, carry
from edge_agender.fleet.enrolment import assign, revoke
from edge_agender.fleet.intake import read
from edge_agender.fleet.keeping import keep
from edge_agender.fleet.progress import of_devices, rollouts
from edge_agender.fleet.rollouts import Begun, Changes, Scope, begin, choose, take_back
from edge_agender.fleet.settings import FleetConfig
from edge_agender.fleet.store import Database
from edge_agender.fleet.store.sqlite import SqliteDatabase
from edge_agender.fleet.watching import is_slow, worse
from edge_agender.messages.inbound import MAX_DESIRED_BYTES, MAX_REVISION
from tests.fleet.messages import BOOT, PREFIX, arrival, health, status, utc

SOAK_S, OFFLINE_S, MINUTE_S = 600.0, 300.0, 60.0
NAMES = [f"box-{number:02d}" for number in range(20)]


class Fleet:
    """Twenty devices that say once a minute how they are, and do what `answer` says with what they are sent."""

    def __init__(self, database: Database, now_s: float = 1_796_000_000.0) -> None:
        self.database, self.now_s = database, now_s
        self.sent: list[tuple[str, int, dict[str, Any]]] = []
        self.has: dict[str, tuple[int, dict[str, Any]]] = {}
        self.refuses: dict[str, list[str]] = {}
        self.silent: set[str] = set()
        self.away: set[str] = set()
        self.health: dict[str, dict[str, Any]] = {}
        self.connected = True
        self.said: list[dict[str, Any]] = []
        if isinstance(database, SqliteDatabase):
            database._connection().execute("PRAGMA synchronous=OFF")  # hours go by here: no disk is waited for
        for name in NAMES:
            assign(database, name, "acme" if name < "box-10" else "other", "north", now_s)
            self.has[name] = (0, {})
        self.minute()
        for name in NAMES:
            self.report(name, "local")
        self.hear()

    def minute(self) -> None:
        """A minute goes by; the collector looks twice in it."""
        self.now_s += MINUTE_S
        for name in NAMES:
            if name not in self.away:
                fields = {"source": "ok", "fps": 15.0, "uptime_s": 1000.0, "alarms": []} | self.health.get(name, {})
                self.said += [status("online", name), health({}, device=name, **fields)]
        for _ in range(2):
            self.hear()
            carry(self.database, PREFIX, self.send, OFFLINE_S, self.now_s)
        self.hear()

    def minutes(self, number: int) -> None:
        for _ in range(number):
            self.minute()

    def hear(self) -> None:
        """The collector stores what was said."""
        records = [record for payload in self.said if (record := read(arrival(payload, self.now_s), PREFIX))]
        assert len(records) == len(self.said)
        assert not keep(self.database, records, self.now_s).refused
        self.said.clear()

    def send(self, topic: str, payload: bytes) -> bool:
        if not self.connected:
            return False
        name = topic.split("/")[1]
        data = json.loads(payload)
        self.sent.append((name, data["revision"], data["configuration"]))
        if name in self.away or name in self.silent:
            return True
        if name in self.refuses and data["configuration"]:
            self.report(name, "refused", data["revision"], self.refuses[name])
        else:
            self.has[name] = (data["revision"], data["configuration"])
            self.report(name, "applied", data["revision"])
        return True

    def report(self, name: str, state: str, desired: int | None = None, reasons: list[str] | None = None) -> None:
        revision, configuration = self.has[name]
        payload = {
            **{
                "schema": "edge-agender.reported",
                "version": 1,
                "device": name,
                "boot_id": BOOT,
            },
            **{"sent": utc(self.now_s), "state": state, "desired_revision": desired, "applied_revision": revision},
            **{"applied": utc(self.now_s), "digest": digest(configuration), "reasons": reasons or [], "effective": {}},
        }
        self.said.append(payload)

    def begin(self, scope: Scope | None = None, changes: Changes | None = None, percent: float = 10) -> Begun:
        return begin(
            self.database,
            scope or Scope(),
            changes or Changes({"window.length_s": 300}),
            **{
                "canary_percent": percent,
                "soak_s": SOAK_S,
                "offline_after_s": OFFLINE_S,
                "by": "ann",
                "now_s": self.now_s,
            },
        )

    def state(self, revision: int) -> str:
        return str(next(one["state"] for one in rollouts(self.database, "") if one["revision"] == revision))

    def counts(self, revision: int) -> dict[str, int]:
        found: dict[str, int] = next(
            one["devices"] for one in rollouts(self.database, "") if one["revision"] == revision
        )
        return found

    def with_length(self) -> set[str]:
        return {name for name, (_, configuration) in self.has.items() if "window" in configuration}


@pytest.fixture
def fleet(database: Database) -> Fleet:
    return Fleet(database)


def test_canaries_are_tried_and_the_rest_follows_once_they_are_well(fleet: Fleet) -> None:
    begun = fleet.begin()
    assert len(begun.canaries) == 2
    fleet.minutes(9)
    assert fleet.with_length() == set(begun.canaries)
    assert fleet.state(begun.revision) == "canary"
    fleet.minutes(4)
    assert fleet.with_length() == set(NAMES)
    assert fleet.state(begun.revision) == "everywhere", "they are watched too"
    fleet.minutes(13)
    assert fleet.state(begun.revision) == "done"
    assert fleet.counts(begun.revision) == {"well": 20}
    assert {name for name, _, _ in fleet.sent} == set(NAMES)
    assert len(fleet.sent) == 20, "nobody is sent it twice"


TROUBLES = {
    "a new alarm": {"alarms": ["disk full"]},
    "its camera does not deliver": {"source": "missing"},
    "its service has started anew": {"boot_id": "another-boot"},
    "frames a second": {"fps": 8.0},
    "its camera had to be opened": {"camera_restarts": 9},
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_canary_that_becomes_worse_takes_all_back_by_itself(fleet: Fleet, trouble: str) -> None:
    begun = fleet.begin()
    fleet.minutes(2)
    fleet.health[begun.canaries[0]] = TROUBLES[trouble]
    fleet.minutes(4)
    stopped = next(one for one in rollouts(fleet.database, "") if one["revision"] == begun.revision)
    assert stopped["state"] == "stopped"
    assert trouble in stopped["reason"]
    assert begun.canaries[0] in stopped["reason"]
    fleet.minutes(20)
    assert fleet.with_length() == set()
    assert {name for name, _, _ in fleet.sent} == set(begun.canaries), "nobody else was sent anything"
    assert fleet.has[begun.canaries[0]] == (begun.revision + 1, {}), "by a higher revision"
    assert fleet.state(begun.revision + 1) == "done"


def test_what_was_wrong_before_is_nothing_new(fleet: Fleet) -> None:
    for name in NAMES:
        fleet.health[name] = {"alarms": ["hot: 81 °C"], "source": "missing", "fps": 3.0, "camera_restarts": 50}
    fleet.minute()
    begun = fleet.begin()
    for name in NAMES:
        fleet.health[name]["alarms"] = ["hot: 83 °C"]
    fleet.minutes(30)
    assert fleet.state(begun.revision) == "done"


def test_a_refusal_or_silence_of_a_canary_ends_it_too(fleet: Fleet) -> None:
    fleet.refuses = {name: ["privacy.level: viewer is looser than the device's own file allows"] for name in NAMES}
    begun = fleet.begin(changes=Changes({"privacy.level": "viewer"}))
    fleet.minute()
    stopped = rollouts(fleet.database, "")[1]
    assert (stopped["revision"], stopped["state"]) == (begun.revision, "stopped")
    assert "is looser" in stopped["reason"]
    fleet.refuses.clear()
    fleet.minute()
    fleet.silent = set(NAMES)
    begun = fleet.begin()
    fleet.minutes(int(ANSWER_S / MINUTE_S) + 2)
    assert fleet.state(begun.revision) == "stopped"
    assert sum(one[1] == begun.revision for one in fleet.sent) > 4, "it was asked again meanwhile"


def test_a_device_that_falls_silent_ends_it_and_one_that_was_away_already_does_not(fleet: Fleet) -> None:
    fleet.away = set(NAMES[5:])
    fleet.minutes(10)
    begun = fleet.begin(percent=25)
    assert set(begun.canaries) == set(NAMES[:5]), "canaries are devices that are there"
    fleet.minutes(13)
    assert fleet.state(begun.revision) == "done", "who is away takes it over when it comes"
    assert fleet.counts(begun.revision) == {"well": 5, "sent": 15}
    fleet.away = set()
    fleet.minutes(2)
    assert fleet.with_length() == set(NAMES), "asked again, since a broker may not keep messages"
    again = fleet.begin(changes=Changes({"window.length_s": 600}))
    fleet.minute()
    fleet.away = {again.canaries[0]}
    fleet.now_s += AWAY_S - 2 * MINUTE_S
    fleet.minute()
    assert fleet.state(again.revision) == "canary", "a closed weekend is no fault of a configuration"
    fleet.minutes(2)
    assert fleet.state(again.revision) == "stopped"


def begin_with_a_canary_away(fleet: Fleet, minutes: int) -> tuple[int, str]:
    """Return the rollout, and the canary that has been off for so long since it took the configuration over."""
    begun = fleet.begin()
    fleet.minutes(3)
    sign = begun.canaries[0]
    fleet.away = {sign}
    fleet.minutes(minutes)
    return begun.revision, sign


def test_a_sign_that_is_switched_off_for_the_night_is_waited_for_and_watched_again_in_the_morning(
    fleet: Fleet,
) -> None:
    revision, sign = begin_with_a_canary_away(fleet, 20)
    assert fleet.state(revision) == "canary"
    fleet.away, fleet.health[sign] = set(), {"boot_id": "next-morning"}
    fleet.minutes(6)
    assert fleet.state(revision) == "canary", "the time that it was off does not count"
    fleet.minutes(4)
    assert fleet.state(revision) == "everywhere", "what was before does: no day may be as long as that"


def test_a_sign_that_comes_back_in_trouble_ends_it(fleet: Fleet) -> None:
    revision, sign = begin_with_a_canary_away(fleet, 20)
    fleet.away, fleet.health[sign] = set(), {"boot_id": "next-morning"}
    fleet.minutes(2)
    fleet.health[sign] = {"boot_id": "an-hour-later"}
    fleet.minutes(2)
    assert fleet.state(revision) == "stopped"


def test_a_device_that_gives_up_what_it_took_over_ends_it(fleet: Fleet) -> None:
    """After a silence as of a night: it starts anew some times before it does without."""
    revision, sign = begin_with_a_canary_away(fleet, 7)
    fleet.away, fleet.health[sign], fleet.has[sign] = set(), {"boot_id": "fourth-start"}, (0, {})
    fleet.report(sign, "refused", revision, ["the process ended 3 times within 60 s of its start"])
    fleet.minutes(2)
    found = next(one for one in rollouts(fleet.database, "") if one["revision"] == revision)
    assert found["state"] == "stopped"
    assert "ended 3 times" in found["reason"]


def test_the_rest_is_watched_too_and_one_in_trouble_is_chance_two_are_not(fleet: Fleet) -> None:
    begun = fleet.begin()
    fleet.minutes(13)
    rest = sorted(set(NAMES) - set(begun.canaries))
    fleet.health[rest[0]] = {"alarms": ["disk full"]}
    fleet.minutes(2)
    assert fleet.state(begun.revision) == "everywhere"
    fleet.health[rest[1]] = {"alarms": ["disk full"]}
    fleet.minutes(3)
    assert fleet.state(begun.revision) == "stopped"
    assert fleet.with_length() == set()


def test_taking_back_gives_each_device_what_it_had(fleet: Fleet) -> None:
    one = fleet.begin(Scope(devices=("box-00", "box-01")), Changes({"window.length_s": 300}), 100)
    fleet.minutes(15)
    two = fleet.begin(Scope(), Changes({"privacy.min_cell": 9}), 100)
    fleet.minutes(15)
    assert fleet.has["box-00"][1] == {"window": {"length_s": 300}, "privacy": {"min_cell": 9}}
    assert fleet.has["box-05"][1] == {"privacy": {"min_cell": 9}}
    with pytest.raises(UsageError, match="take that back first"):
        take_back(fleet.database, one.revision, "", "ann", "by ann", fleet.now_s)
    take_back(fleet.database, two.revision, "", "ann", "by ann", fleet.now_s)
    fleet.minutes(2)
    assert fleet.has["box-00"][1] == {"window": {"length_s": 300}}
    assert fleet.has["box-05"][1] == {}
    take_back(fleet.database, None, "", "ann", "by ann", fleet.now_s)
    fleet.minute()
    assert fleet.has["box-00"][1] == {}
    with pytest.raises(UsageError, match="no such rollout"):
        take_back(fleet.database, None, "", "ann", "by ann", fleet.now_s)


def test_changes_go_on_top_and_a_whole_one_in_place(fleet: Fleet) -> None:
    scope = Scope(devices=("box-00",))
    for changes, expected in (
        (Changes({"window.length_s": 300}), {"window": {"length_s": 300}}),
        (Changes({"privacy.min_cell": 9}), {"window": {"length_s": 300}, "privacy": {"min_cell": 9}}),
        (Changes(unset=("window.length_s",)), {"privacy": {"min_cell": 9}}),
        (Changes({"gating.motion": False}, whole=True), {"gating": {"motion": False}}),
        (Changes(whole=True), {}),
    ):
        fleet.begin(scope, changes, 100)
        fleet.minutes(15)
        assert fleet.has["box-00"][1] == expected


def test_what_a_device_refused_is_not_what_it_has(fleet: Fleet) -> None:
    fleet.begin(percent=100)
    fleet.minutes(13)
    one = fleet.begin(changes=Changes({"privacy.min_cell": 9}))
    stubborn = min(set(NAMES) - set(one.canaries))
    fleet.refuses = {stubborn: ["privacy.min_cell: 9 is not what this one likes"]}
    fleet.minutes(26)
    assert fleet.counts(one.revision) == {"well": 19, "refused": 1}
    fleet.refuses.clear()
    fleet.begin(Scope(devices=(stubborn,)), Changes({"gating.motion": False}))
    fleet.minutes(2)
    assert fleet.has[stubborn][1] == {"window": {"length_s": 300}, "gating": {"motion": False}}


def test_a_rollout_that_is_taken_back_while_it_is_sent_leaves_nobody_with_it(fleet: Fleet) -> None:
    begun = fleet.begin(percent=100)
    deliver = fleet.send
    threads: list[Thread] = []

    def send(topic: str, payload: bytes) -> bool:
        if not threads:
            words = (fleet.database, begun.revision, "", "ann", "by ann", fleet.now_s)
            threads.append(Thread(target=take_back, args=words))
            threads[0].start()
            threads[0].join(0.3)  # it either waits for our end, or needs no longer than that
        return deliver(topic, payload)

    fleet.send = send  # type: ignore[method-assign]
    fleet.minute()
    threads[0].join()
    fleet.minutes(3)
    assert fleet.state(begun.revision) == "stopped"
    assert fleet.with_length() == set()
    assert [revision for _, revision, _ in fleet.sent] == sorted(revision for _, revision, _ in fleet.sent)


def test_what_was_taken_back_holds_up_nothing_that_is_to_be_sent(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """More devices than are sent to at a time have not answered yet."""
    monkeypatch.setattr(carrying, "AT_ONCE", 2)
    fleet.silent = {*NAMES}
    begun = fleet.begin(percent=100)
    fleet.minute()
    back = take_back(fleet.database, begun.revision, "", "ann", "by ann", fleet.now_s)
    fleet.minutes(2)
    assert {revision for _, revision, _ in fleet.sent} == {begun.revision, back}


def test_two_collectors_send_a_rollout_once(fleet: Fleet) -> None:
    if isinstance(fleet.database, SqliteDatabase):
        pytest.skip("one process collects into SQLite")
    fleet.begin(percent=100)
    deliver = fleet.send

    def send(topic: str, payload: bytes) -> bool:
        words = (fleet.database, PREFIX, deliver, OFFLINE_S, fleet.now_s)
        other = Thread(target=carry, args=words)
        other.start()
        other.join()
        return deliver(topic, payload)

    fleet.send = send  # type: ignore[method-assign]
    fleet.minutes(2)
    assert len(fleet.sent) == len(NAMES)


def test_what_no_device_would_take_is_not_begun(fleet: Fleet) -> None:
    for options in (
        {"source.opencv.uri": "rtsp://evil/"},
        {"mqtt.host": "evil"},
        {"window.length_s": 7},
        {"x.y": 1},
        {"privacy": 5, "privacy.level": "frame"},
    ):
        with pytest.raises(ConfigError):
            fleet.begin(changes=Changes(options))
    with pytest.raises(ConfigError, match="unknown option"):
        fleet.begin(changes=Changes(unset=("window.lenght_s",)))
    with pytest.raises(UsageError, match="nothing to change"):
        fleet.begin(changes=Changes())
    with pytest.raises(UsageError, match=f"at most {MAX_DESIRED_BYTES} are read"):
        fleet.begin(changes=Changes({"schedule.hours": ["mon-fri 08:00-20:00"] * 400}))
    for percent in (0, 101, float("nan")):
        with pytest.raises(UsageError):
            fleet.begin(percent=percent)
    with pytest.raises(UsageError, match="no such device"):
        fleet.begin(Scope(devices=("box-99",)))
    assert rollouts(fleet.database, "") == []


def test_one_rollout_at_a_time_on_a_device(fleet: Fleet) -> None:
    first = fleet.begin(Scope(devices=("box-00",)))
    with pytest.raises(UsageError, match="is under way on box-00"):
        fleet.begin()
    assert fleet.begin(Scope(devices=("box-01",))).revision == first.revision + 1


def test_who_takes_nothing_from_afar_is_left_out_and_named(fleet: Fleet) -> None:
    fleet.has["box-03"] = (0, {})
    fleet.report("box-03", "off")
    fleet.hear()
    assign(fleet.database, "never", "acme", "north", fleet.now_s)
    revoke(fleet.database, FleetConfig(broker="mqtt"), "box-04", fleet.now_s)
    begun = fleet.begin()
    assert begun.without == ("box-03", "never")
    assert not {"box-03", "box-04", "never"} & set(begun.devices)
    with pytest.raises(UsageError, match="no device there"):
        fleet.begin(Scope(devices=("never",)))


def test_a_tenant_sees_and_changes_its_own_alone(fleet: Fleet) -> None:
    theirs = fleet.begin(Scope(tenant="other"), percent=100)
    assert set(theirs.devices) == set(NAMES[10:])
    with pytest.raises(UsageError, match="no such device"):
        fleet.begin(Scope(tenant="acme", devices=("box-15",)))
    assert rollouts(fleet.database, "acme") == []
    assert of_devices(fleet.database, theirs.revision, "acme") == []
    for revision in (None, theirs.revision):
        with pytest.raises(UsageError, match="no such rollout"):
            take_back(fleet.database, revision, "acme", "ann", "by ann", fleet.now_s)
    fleet.minutes(15)
    both = fleet.begin(Scope(devices=("box-00", "box-15")), Changes({"privacy.min_cell": 7}))
    (seen,) = rollouts(fleet.database, "acme")
    assert (seen["own"], seen["scope"], sum(seen["devices"].values())) == (False, "all tenants", 1)
    assert [one["device"] for one in of_devices(fleet.database, both.revision, "acme")] == ["box-00"]


def test_a_fleet_that_lost_its_store_goes_on_above_what_its_devices_have(fleet: Fleet) -> None:
    fleet.has["box-07"] = (57, {"privacy": {"min_cell": 9}})
    fleet.report("box-07", "applied", 57)
    fleet.hear()
    assert fleet.begin().revision == 58


def test_a_device_that_says_it_has_the_last_revision_leaves_others_to_the_fleet(fleet: Fleet) -> None:
    fleet.has["box-07"] = (MAX_REVISION, {})
    fleet.report("box-07", "applied", MAX_REVISION)
    fleet.hear()
    assert fleet.begin().revision == 1


def test_without_a_broker_it_waits(fleet: Fleet) -> None:
    fleet.connected = False
    begun = fleet.begin()
    fleet.minutes(30)
    assert fleet.counts(begun.revision) == {"waiting": 20}
    fleet.connected = True
    fleet.minutes(30)
    assert fleet.state(begun.revision) == "done"


def test_the_same_canaries_for_the_same_rollout_and_others_for_the_next() -> None:
    assert choose(NAMES, set(NAMES), 10, 7) == choose(NAMES[::-1], set(NAMES), 10, 7)
    assert len({choose(NAMES, set(NAMES), 10, revision) for revision in range(20)}) > 10
    assert len(choose(NAMES, set(NAMES), 0.1, 1)) == 1
    assert choose(NAMES, {"box-13"}, 5, 1) == ("box-13",)
    assert choose(NAMES, set(), 100, 1) == tuple(NAMES)


def test_what_is_worse_is_said_and_what_is_not_is_not() -> None:
    before = {
        "boot_id": "b",
        "source": "ok",
        "fps": 15.0,
        "alarms": ["old 1"],
        "camera_restarts": 2,
        "uptime_s": 1000.0,
    }
    assert (
        worse(before, before | {"alarms": ["old 2"], "fps": 14.0, "camera_restarts": 3, "uptime_s": 1300.0}, "b", 0)
        is None
    )
    assert worse({}, before | {"alarms": []}, "b", 0) is None, "of a device whose past nobody knows"
    assert worse(before, before | {"source": "off", "fps": 0.0}, "b", 0) is None, "its opening hours are over"
    assert not is_slow(before, {"fps": 0.0, "source": "off"})
    assert is_slow(before, {"fps": 10.0, "source": "ok"})
    assert worse(before, before | {"fps": 10.0}, "b", 1) is None, "one minute is chance"
    assert ASK_EVERY_S < ANSWER_S
