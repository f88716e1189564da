"""What stands on top of the page: each trouble by its name, with since when and what to do."""

from __future__ import annotations

from dataclasses import replace

from edge_agender.audience.measures import ContentWindow
from edge_agender.daemon.status import Since, content_sums
from edge_agender.delivery.mqtt.publisher import LinkState
from edge_agender.web.alarms import REMEDIES, alarms
from tests.support.snapshots import snapshot


def kinds(problem: str | None = None, **changes: object) -> list[str]:
    return [alarm["kind"] for alarm in alarms(snapshot(**changes), problem)]


def test_a_healthy_device_has_none() -> None:
    assert kinds() == []


def test_each_trouble_is_told_apart_and_has_a_remedy() -> None:
    found = kinds("no frame for 20 s", broker="offline", throttled=("under_voltage",))
    assert found == ["camera", "broker", "power"]
    assert kinds(temperature_c=85.0) == ["hot"]
    assert set(found) | {"hot"} == set(REMEDIES)


def test_every_alarm_of_the_health_messages_is_shown_with_what_to_do() -> None:
    (alarm,) = alarms(snapshot(alarms=(("nobody was seen for a day: see that it looks at them", 90.0),)), None)
    assert alarm == {
        "kind": "health",
        "text": "Nobody was seen for a day.",
        "since_utc_s": 90.0,
        "remedy": "See that it looks at them.",
    }
    (short,) = alarms(snapshot(alarms=(("too hot", 90.0),)), None)
    assert (short["text"], short["remedy"]) == ("Too hot.", "")


def test_a_trouble_keeps_the_time_at_which_it_began() -> None:
    since = Since()
    well = LinkState(True, since_s=0.0, connects=1, last_error=None, sent=0, acknowledged=0, unheard=0)
    away = replace(well, connected=False, last_error="refused")
    since.note(10.0, camera=None, link=well)
    since.note(20.0, camera="gone", link=away)
    since.note(30.0, camera="gone", link=away)
    assert (since.camera_utc_s, since.broker_utc_s) == (20.0, 20.0)
    since.note(40.0, camera=None, link=replace(away, connected=True))
    assert (since.camera_utc_s, since.broker_utc_s) == (None, None)


def test_a_contents_sum_with_a_withheld_part_is_withheld() -> None:
    class Window:
        def __init__(self, *content: ContentWindow) -> None:
            self.content = content

    one, other = ContentWindow("sale", 30.0, 5, 10.0, 4.0), ContentWindow("sale", 60.0, None, None, None)
    (known,) = content_sums([Window(one), Window(one)])  # type: ignore[list-item]
    assert (known.id, known.shown_s, known.viewers, known.attention_s) == ("sale", 60.0, 10, 8.0)
    (hidden,) = content_sums([Window(one), Window(other)])  # type: ignore[list-item]
    assert (hidden.shown_s, hidden.viewers, hidden.attention_s) == (90.0, None, None)
