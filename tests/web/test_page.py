"""The status page in a real browser."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_agender import web
from edge_agender.config.settings import WebConfig
from edge_agender.web.server import StatusServer
from edge_agender.web.snapshot import LiveState, WindowSummary
from tests.support.broker import free_port
from tests.support.snapshots import GOOD_FACE, POOR_FACE, period, snapshot
from tests.support.webdriver import CHROMIUM, DRIVER, MISSING, Browser, browser, eventually

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)

TAB, ENTER = "\ue004", "\ue007"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
def live() -> LiveState:
    state = LiveState()
    state.update(snapshot())
    return state


@pytest.fixture
def page(live: LiveState) -> Iterator[StatusServer]:
    with web.serve(WebConfig(port=0), live) as running:
        assert running is not None
        yield running


def show(window: Browser, page: StatusServer, view: str = "") -> None:
    window.open("about:blank")
    window.console()
    window.open(f"http://127.0.0.1:{page.port}/{view}")


def complaints(window: Browser, page: StatusServer) -> list[str]:
    """What the browser complained about on this page; the page of the test before may still have had a word."""
    return [text for text in window.console() if f"127.0.0.1:{page.port}/" in text]


def test_it_loads_and_follows_the_daemon(window: Browser, page: StatusServer, live: LiveState) -> None:
    show(window, page)
    eventually(lambda: window.text("people") == "2")
    assert window.text("device") == "entrance-1"
    assert window.text("state") == "counting"
    assert window.text("latency") == "42 ms"
    assert window.text("dropped") == "540 (1 %)"
    assert "agender-ssd 1" in window.text("versions")
    live.update(snapshot(people=5, broker="offline", messages_waiting=17, throttled=("under_voltage",)))
    eventually(lambda: window.text("people") == "5")
    assert window.text("state") == "counting, broker away"
    assert window.text("waiting") == "17"
    assert window.text("throttling") == "under_voltage"
    live.update(snapshot(camera_problem="the camera is unplugged"))
    eventually(lambda: window.text("camera") == "the camera is unplugged")
    assert window.text("state") == "not counting"
    assert complaints(window, page) == []


def test_the_charts_show_the_released_figures(window: Browser, page: StatusServer) -> None:
    show(window, page)
    eventually(lambda: window.text("table-viewers"))
    bars = window.run(
        "return [...document.querySelectorAll('#chart-viewers rect')].map("
        "bar => [bar.dataset.viewers, +bar.getAttribute('height')])"
    )
    assert [count for count, _ in bars] == ["7", "withheld", "8"]
    assert bars[1][1] == 0
    # 8 viewers in two minutes are fewer a minute than 7 in one.
    assert bars[2][1] == pytest.approx(bars[0][1] * 4 / 7, rel=0.01)
    cells = dict(
        window.run(
            "return [...document.querySelectorAll('#chart-cells [data-cell]')].map("
            "bar => [bar.dataset.cell, bar.dataset.viewers])"
        )
    )
    assert cells == {"female 18-24": "10", "male 18-24": "0", "female 25-34": "0", "male 25-34": "10"}
    rows = window.run(
        "return [...document.querySelectorAll('#table-cells tr')].map(row => [...row.children].map(c => c.textContent))"
    )
    assert rows == [["Age", "female", "male"], ["18-24", "10 ± 3", "0"], ["25-34", "0", "10 ± 3"]]
    errors = window.run("return [...document.querySelectorAll('#chart-cells .error')].map(line => +line.dataset.sd)")
    assert errors == [pytest.approx(8**0.5)] * 2
    window.run("document.getElementById('cells-last').click()")
    eventually(lambda: "5 ± 2" in window.text("table-cells"))
    assert (window.text("viewers"), window.text("passed"), window.text("engaged")) == ("15", "19", "–")
    assert window.run("return document.querySelectorAll('#chart-day rect').length") == 2


def test_who_is_here_is_said_as_far_as_the_level_releases_it(
    window: Browser, page: StatusServer, live: LiveState
) -> None:
    live.update(snapshot(people=3, now=(("male", "45-54", 1), ("female", "25-34", 2))))
    show(window, page)
    eventually(lambda: window.text("now") == "2 female, 25-341 male, 45-54")
    live.update(snapshot(people=None, now=None, privacy_level="aggregate"))
    eventually(lambda: window.text("now-note") == "Not released at privacy level aggregate.")
    assert (window.text("people"), window.text("now")) == ("–", "")


def test_alarms_say_what_since_when_and_what_to_do(window: Browser, page: StatusServer, live: LiveState) -> None:
    trouble = {"camera_problem": "no camera at /dev/video0", "camera_since_utc_s": 1_700_000_000.0}
    live.update(snapshot(**trouble, broker="offline", broker_problem="connection refused", broker_since_utc_s=1.0))
    show(window, page)
    eventually(lambda: "no camera at /dev/video0. Since " in window.text("alarms"))
    kinds = window.run("return [...document.querySelectorAll('#alarms li')].map(item => item.dataset.kind)")
    assert kinds == ["camera", "broker"]
    assert "Nothing is lost meanwhile." in window.text("alarms")
    live.update(snapshot())
    eventually(lambda: window.text("alarms") == "")


def test_a_board_without_a_sensor_has_no_card_for_it(window: Browser, page: StatusServer, live: LiveState) -> None:
    live.update(snapshot(temperature_c=None, throttled=None))
    show(window, page)
    hidden = (
        "return ['temperature', 'throttling', 'memory'].map(id => document.getElementById(id).parentElement.hidden)"
    )
    eventually(lambda: window.run(hidden) == [True, True, False])


def test_viewers_that_wait_for_the_next_period_are_said(window: Browser, page: StatusServer, live: LiveState) -> None:
    live.update(snapshot(demographics=(period(4, **{"female 25-34": 5}),)))
    show(window, page)
    eventually(lambda: window.text("withheld").startswith("4 more viewers"))
    live.update(snapshot(demographics=(period(1),)))
    eventually(lambda: window.text("withheld").startswith("1 more viewer will"))
    assert window.run("return document.getElementById('chart-cells').getBoundingClientRect().height") == 0
    live.update(snapshot(demographics=(period(**{"female 25-34": 5}),)))
    eventually(lambda: window.text("withheld") == "")


def test_ages_stand_in_their_order_however_they_come(window: Browser, page: StatusServer, live: LiveState) -> None:
    cells = {
        "unknown unknown": 2,
        "male 65+": 1,
        "male 25-34": 3,
        "female 13-17": 1,
        "female 0-12": 4,
        "female 55-64": 1,
    }
    live.update(snapshot(demographics=(period(**cells),)))
    show(window, page)
    eventually(lambda: "65+" in window.text("table-cells"))
    rows = "return [...document.querySelectorAll('#table-cells tr')].map(row => row.children[0].textContent)"
    assert window.run(rows) == ["Age", "0-12", "13-17", "25-34", "55-64", "65+", "unknown"]
    heads = "return [...document.querySelectorAll('#table-cells tr:first-of-type th')].map(cell => cell.textContent)"
    assert window.run(heads) == ["Age", "female", "male", "unknown"]


def test_the_aim_view_draws_boxes_and_judges_the_mounting(window: Browser, page: StatusServer, live: LiveState) -> None:
    live.update(snapshot(faces=(GOOD_FACE, POOR_FACE), pictures=((0.7, 0.6, 0.1, 0.2),)))
    show(window, page, "#aim")
    eventually(lambda: window.run("return document.getElementById('canvas').dataset.faces") == "2")
    assert live.wants_faces
    assert complaints(window, page) == []
    listed = "[...document.querySelectorAll('#rules li')].map(r => [r.dataset.rule, r.dataset.verdict])"
    rules = window.run(f"return {listed}")
    assert dict(rules)["size"] == "failure"
    assert "too small" in window.text("rules")
    assert "96 px" in window.text("faces")
    assert "looking away" in window.text("faces")
    inside = "const c = document.getElementById('canvas'), [x, y] = arguments;" + (
        "return [...c.getContext('2d').getImageData(x * c.width, y * c.height, 1, 1).data]"
    )
    assert window.run(inside, GOOD_FACE.left, GOOD_FACE.top + GOOD_FACE.height / 2) == [0x66, 0xD1, 0x8B, 255]
    assert window.run(inside, 0.6, 0.9) == [0, 0, 0, 0]
    assert window.run(inside, 0.8, 0.7)[3] > 0, "the box of a picture of a face"
    window.run("location.hash = '#status'")
    # An abandoned stream ends at the next update.
    eventually(lambda: live.update(snapshot()) or not live.wants_faces)


def test_it_finds_the_daemon_again_after_a_restart(window: Browser, live: LiveState) -> None:
    with ExitStack() as first:
        # Not any port: the browser's own attempts to come back are given those, and could be in the way.
        before = first.enter_context(web.serve(WebConfig(port=free_port()), live))
        assert before is not None
        show(window, before)
        eventually(lambda: window.text("people") == "2")
    eventually(lambda: window.run("return !document.getElementById('lost').hidden"))
    again = LiveState()
    again.update(snapshot(people=9))
    with web.serve(WebConfig(port=before.port), again):
        eventually(lambda: window.text("people") == "9")
        assert window.run("return document.getElementById('lost').hidden")


def test_the_password_is_needed(window: Browser, live: LiveState, tmp_path: Path) -> None:
    file = tmp_path / "web-password"
    file.write_text("correct-horse\n")
    with web.serve(WebConfig(port=0, password_file=file), live) as running:
        assert running is not None
        window.open(f"http://127.0.0.1:{running.port}/status.json")
        assert window.run("return document.getElementById('people')") is None
        assert "entrance-1" not in window.run("return document.documentElement.outerHTML")
        window.open(f"http://it:correct-horse@127.0.0.1:{running.port}/")
        eventually(lambda: window.text("people") == "2")


def test_it_fits_a_phone_in_light_and_dark(window: Browser, page: StatusServer, live: LiveState) -> None:
    live.update(snapshot(device="a-rather-long-device-name-of-forty-characters", faces=(GOOD_FACE, POOR_FACE)))
    window.size(320, 640)
    try:
        for view, dark in (("", False), ("#aim", True)):
            window.dark(dark)
            show(window, page, view)
            shown = "rules" if view else "table-cells"
            eventually(lambda shown=shown: window.text(shown))
            assert window.run("return document.documentElement.scrollWidth") <= 320
            assert window.run("return document.getElementById('faces').offsetWidth") <= 320
            assert window.run(CONTRAST) == []
    finally:
        window.command("Emulation.clearDeviceMetricsOverride")
        window.dark(False)


def test_the_keyboard_is_enough(window: Browser, page: StatusServer) -> None:
    show(window, page)
    eventually(lambda: window.text("people") == "2")
    reached = []
    for _ in range(3):
        window.press(TAB)
        reached.append(window.run("return document.activeElement.textContent"))
    assert reached == ["Skip to the content", "Audience", "Aim the camera"]
    window.press(ENTER)
    eventually(lambda: window.run("return !document.getElementById('view-aim').hidden"))
    assert window.run("return document.getElementById('to-aim').getAttribute('aria-current')") == "page"


def test_a_screen_reader_is_told(window: Browser, page: StatusServer) -> None:
    show(window, page)
    eventually(lambda: "2 people in view" in window.text("summary"))
    window.command("Accessibility.enable")
    nodes = window.command("Accessibility.getFullAXTree")["nodes"]
    named = {(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]}
    assert ("image", "Viewers a minute") in named
    assert ("navigation", "Views") in named
    assert {role for role, name in named if role in ("link", "image", "heading") and not name} == set()


def test_no_pixels_arrive(window: Browser, page: StatusServer) -> None:
    show(window, page, "#aim")
    eventually(lambda: window.run("return document.getElementById('canvas').dataset.faces") == "1")
    fetched = window.run("return performance.getEntriesByType('resource').map(e => e.name)")
    origin = f"http://127.0.0.1:{page.port}/"
    assert fetched
    assert all(url.startswith(origin) for url in fetched)
    assert window.run("return document.querySelectorAll('img, video, picture').length") == 0


# Every visible text whose contrast with what lies behind it is below WCAG's 4.5.
CONTRAST = """
const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => v / 255)
  .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const behind = node => { for (; node; node = node.parentElement) { const c = getComputedStyle(node).backgroundColor;
  if (c !== 'rgba(0, 0, 0, 0)') return c; } return 'rgb(255, 255, 255)'; };
const poor = [];
for (const node of document.querySelectorAll('body *')) {
  const text = [...node.childNodes].some(c => c.nodeType === 3 && c.textContent.trim());
  if (!text || !node.checkVisibility() || node.closest('svg, canvas')) continue;
  const a = light(getComputedStyle(node).color), b = light(behind(node));
  if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) poor.push(node.textContent.trim());
}
return poor;
"""


def test_bars_shorter_than_a_minute_are_told_apart_by_the_seconds(
    window: Browser, page: StatusServer, live: LiveState
) -> None:
    live.update(snapshot(windows=tuple(WindowSummary(s, 10, 1, 1, 1.0) for s in (60.0, 70.0, 80.0))))
    show(window, page)
    rows = "return [...document.querySelectorAll('#table-viewers [scope=row]')].map(each => each.textContent.slice(-3))"
    eventually(lambda: window.run(rows) == [":00", ":10", ":20"])
    axis = window.run("return [...document.querySelectorAll('#chart-viewers text')].map(each => each.textContent)")
    assert [text[-3:] for text in axis[1:]] == [":00", ":20"]
