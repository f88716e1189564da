"""The page and its API: who sees what, in which form; and the customer's question in four clicks."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from edge_agender.common.attempts import TRIES
from edge_agender.fleet.accounts import put_account
from edge_agender.fleet.keeping import keep
from edge_agender.fleet.page.app import make_app
from edge_agender.fleet.page.context import Context
from edge_agender.fleet.page.server import PageServer
from edge_agender.fleet.progress import rollouts
from edge_agender.fleet.publish import Rules, publish
from edge_agender.fleet.rollouts import Changes, Scope, begin
from edge_agender.fleet.rollup import roll_up_all
from edge_agender.fleet.settings import FleetConfig
from edge_agender.fleet.store import Database
from tests.fleet.conftest import MORNING_S, PASSWORD
from tests.fleet.messages import MIDNIGHT_S, record, window
from tests.support.webdriver import CHROMIUM, DRIVER, MISSING, Browser, browser, eventually

YESTERDAY = "2026-11-22"


@pytest.fixture
def context(day: Database) -> Context:
    return Context(FleetConfig(page={"port": 0}), day, clock=lambda: MORNING_S)


@pytest.fixture
def client(context: Context) -> Iterator[TestClient]:
    with TestClient(make_app(context)) as made:
        yield made


def log_in(client: TestClient, name: str = "ann") -> TestClient:
    assert client.post("/api/login", json={"name": name, "password": PASSWORD}).status_code == 200
    return client


def rows(client: TestClient, path: str) -> list[dict[str, Any]]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


@pytest.mark.parametrize("path", ["me", "audience", "people", "openrtb", "devices", "gaps", "rollouts", "rollouts/1"])
def test_without_a_login_there_is_nothing(client: TestClient, path: str) -> None:
    assert client.get(f"/api/{path}").status_code == 401


def test_passwords_cannot_be_tried_for_long(client: TestClient) -> None:
    wrong = {"name": "ann", "password": "wrong-password"}
    assert [client.post("/api/login", json=wrong).status_code for _ in range(TRIES + 1)] == [401] * TRIES + [429]
    assert client.post("/api/login", json={"name": "ann", "password": PASSWORD}).status_code == 429


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client: TestClient) -> None:
    cookie = client.post("/api/login", json={"name": "ann", "password": PASSWORD}).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie  # until page.https


def test_a_session_ends_by_logging_out_by_time_and_with_a_new_password(client: TestClient, context: Context) -> None:
    word = dict(log_in(client).cookies)
    client.post("/api/logout")
    client.cookies.update(word)
    assert client.get("/api/me").status_code == 401
    log_in(client)
    put_account(context.database, "ann", "another-password", "operator", "acme", MORNING_S)
    assert client.get("/api/me").status_code == 401
    log_in(client, "vic")
    context.clock = lambda: MORNING_S + 13 * 3600
    assert client.get("/api/me").status_code == 401


def test_viewers_see_the_audience_and_operators_the_devices(client: TestClient) -> None:
    log_in(client, "vic")
    assert rows(client, "/api/audience")[0]["viewers"] == 3 * 360
    assert client.get("/api/devices").status_code == client.get("/api/gaps").status_code == 403
    log_in(client, "ann")
    assert [device["name"] for device in client.get("/api/devices").json()] == ["bakery", "lobby", "station"]


def takes_from_afar(context: Context, *names: str) -> None:
    for name in names:
        payload = {
            "boot_id": "b" * 16,
            "state": "local",
            "reasons": [],
            "applied_revision": 0,
            "desired_revision": None,
        }
        with context.database.writing() as transaction:
            transaction.run(
                "UPDATE device SET reported = :text, reported_s = :now_s WHERE name = :name",
                {"text": json.dumps(payload), "now_s": MORNING_S, "name": name},
            )


def test_operators_begin_rollouts_over_their_own_devices_and_take_them_back(
    client: TestClient, context: Context
) -> None:
    takes_from_afar(context, "lobby", "bakery", "pub")
    wanted = {"options": {"window.length_s": 300}, "canary_percent": 50}
    log_in(client, "vic")
    for answer in (
        client.get("/api/rollouts"),
        client.get("/api/rollouts/1"),
        client.post("/api/rollouts", json=wanted),
        client.post("/api/rollouts/1/rollback"),
    ):
        assert answer.status_code == 403
    log_in(client, "ann")
    assert client.post("/api/rollouts", json=wanted | {"devices": ["pub"]}).status_code == 422
    assert client.post("/api/rollouts", json={"options": {"mqtt.host": "evil"}}).status_code == 422
    begun = client.post("/api/rollouts", json=wanted).json()
    assert (begun["devices"], begun["without"], len(begun["canaries"])) == (["bakery", "lobby"], ["station"], 1)
    (shown,) = client.get("/api/rollouts").json()
    assert (shown["state"], shown["changes"], shown["made_by"]) == ("canary", "window.length_s=300", "ann")
    assert {one["device"] for one in client.get("/api/rollouts/1").json()} == {"bakery", "lobby"}
    log_in(client, "root")
    assert client.post("/api/rollouts", json=wanted | {"devices": ["pub"]}).status_code == 200
    log_in(client, "ann")
    assert client.get("/api/rollouts/2").json() == []
    assert client.post("/api/rollouts/2/rollback").status_code == 422
    assert client.post("/api/rollouts/1/rollback").json() == {"revision": 3}


NOTHING_TO_BEGIN = (
    "{}",
    '{"options": {"privacy": 5, "privacy.level": "frame"}}',
    '{"options": {"privacy": {"level": "frame"}}}',
    '{"options": {"window.length_s": 1e400}}',
    '{"options": {"window.length_s": NaN}}',
    '{"options": {"window.length_s": %s}}' % ("9" * 4000),
    '{"options": {"schedule.hours": %s}}' % ("[" * 900 + "]" * 900),
    '{"unset": ["no.such"]}',
    '{"site": NaN, "options": {}}',
    '{"canary_percent": NaN, "options": {"window.length_s": 300}}',
    '{"minutes": Infinity, "options": {"window.length_s": 300}}',
)


@pytest.mark.parametrize("body", NOTHING_TO_BEGIN)
def test_a_rollout_that_cannot_be_is_refused_in_words(client: TestClient, context: Context, body: str) -> None:
    takes_from_afar(context, "lobby")
    log_in(client, "ann")
    answer = client.post("/api/rollouts", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["detail"]


def test_a_tenant_sees_its_own_alone(client: TestClient) -> None:
    log_in(client, "ann")
    assert {row["device"] for row in rows(client, "/api/audience?by=device")} == {"bakery", "lobby", "station"}
    assert rows(client, "/api/audience?device=pub") == [dict.fromkeys(rows(client, "/api/audience")[0])]
    assert rows(client, "/api/people?device=pub&by=gender") == []
    assert client.get("/api/me").json()["devices"] == ["bakery", "lobby", "station"]
    log_in(client, "root")
    assert "pub" in {row["device"] for row in rows(client, "/api/audience?by=device")}


def test_the_question_of_every_customer(client: TestClient) -> None:
    """How many women of 25 to 34 saw the spring sale yesterday, on each of my screens?"""
    asked = "/api/people?by=device&gender=female&age_band=25-34&content=spring-sale"
    assert rows(log_in(client), asked) == [
        {"device": "bakery", "viewers": 15, "sd": 1.5},
        {"device": "lobby", "viewers": 10, "sd": 1.5},
        {"device": "station", "viewers": 20, "sd": 1.5},
    ]


def test_hours_of_few_are_left_out_and_that_is_said(client: TestClient) -> None:
    log_in(client)
    hours = rows(client, "/api/audience?by=hour&device=lobby")
    assert [(row["hour"], row["viewers"]) for row in hours] == [(MIDNIGHT_S, 360)]
    assert client.get("/api/audience?device=lobby").json()["about"]["hours_of_few"] == 1


def test_means_are_sums_divided_by_what_was_covered(client: TestClient) -> None:
    row = rows(log_in(client), "/api/audience")[0]
    assert (row["dwell_mean_s"], row["attention_mean_s"], row["covered_h"]) == (4.0, 2.0, 3.0)
    assert row["mean_count"] == 0.4


def test_csv_and_parquet_hold_the_same_as_json(client: TestClient) -> None:
    path = "/api/audience?by=site&by=device"
    wanted = rows(log_in(client), path)
    text = client.get(f"{path}&format=csv")
    assert text.headers["content-disposition"] == f'attachment; filename="audience-{YESTERDAY}-{YESTERDAY}.csv"'
    read = list(csv.DictReader(io.StringIO(text.text)))
    assert [(row["device"], int(row["viewers"])) for row in read] == [(row["device"], row["viewers"]) for row in wanted]
    table = pq.read_table(io.BytesIO(client.get(f"{path}&format=parquet").content))
    assert table.to_pylist() == wanted


def test_openrtb_counts_viewers_of_a_play(client: TestClient) -> None:
    found = log_in(client).get("/api/openrtb?device=lobby&play_s=10").json()["imp"]
    assert found == [{"device": "lobby", "hour": 0, "qty": {"multiplier": 1.0, "sourcetype": 2}}]


@pytest.mark.parametrize("asked", ["first=yesterday", "first=2026-11-22&last=2026-11-21", "by=face", "format=xml"])
def test_a_question_that_makes_no_sense_is_refused(client: TestClient, asked: str) -> None:
    assert log_in(client).get(f"/api/audience?{asked}").status_code == 422


def test_the_api_describes_itself(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert {"/api/audience", "/api/people", "/api/devices", "/api/openrtb"} <= set(described["paths"])


def test_pages_come_with_their_headers_and_load_nothing_from_elsewhere(client: TestClient) -> None:
    answer = client.get("/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "Permission is hereby granted" in client.get("/uplot-LICENSE.txt").text


def test_the_tables_tell_no_difference_of_few(client: TestClient, day: Database) -> None:
    """Every total less every part of it, and every figure less its former self, is none or at least k."""
    log_in(client, "root")
    before = _everything(client)
    late = [window(number, 2, number=number, historical=True, content={"news": 2}) for number in range(200, 203)]
    keep(day, [record(one) for one in late], MORNING_S)
    keep(day, [record(window(120, 3, number=30 * 60 + 1, historical=True))], MORNING_S)
    roll_up_all(day, Rules(), MORNING_S)
    while publish(day, Rules(), MORNING_S):
        pass
    after = _everything(client)
    for found in (before, after):
        assert all(_none_or_many(value) for value in found.values())
        for one, other in itertools.combinations(sorted(found, key=str), 2):
            if found[one] and found[other] and (one <= other or other <= one):
                assert _none_or_many(found[one] - found[other]), (one, other)
    assert all(_none_or_many(after.get(key, 0) - value) for key, value in before.items())
    assert before != after


def _everything(client: TestClient) -> dict[frozenset[tuple[str, Any]], int]:
    """Viewers by every set of filters and groups that the API knows, as far as it shows any."""
    found = {}
    for path, names in (
        ("audience", ("hour", "site", "device", "content")),
        ("people", ("hour", "site", "device", "content", "gender", "age_band")),
    ):
        for size in range(len(names) + 1):
            for by in itertools.combinations(names, size):
                for row in rows(client, f"/api/{path}?{'&'.join(f'by={name}' for name in by)}"):
                    if row["viewers"] is not None:
                        found[frozenset({("of", path), *((name, row[name]) for name in by)})] = row["viewers"]
    return found


def _none_or_many(people: int) -> bool:
    return people == 0 or abs(people) >= 5


def log_in_by_form(window_: Browser) -> None:
    eventually(lambda: window_.run("return !document.getElementById('login').hidden"))
    window_.run(
        "document.getElementById('name').value = 'ann';"
        "document.getElementById('password').value = arguments[0];"
        "document.querySelector('#login button').click()",
        PASSWORD,
    )


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
def test_a_rollout_is_shown_and_taken_back_by_a_click(context: Context, tmp_path: Path) -> None:
    takes_from_afar(context, "lobby", "bakery")
    how = {"canary_percent": 50, "soak_s": 60, "offline_after_s": 300, "by": "ann", "now_s": MORNING_S}
    begin(context.database, Scope("acme"), Changes({"window.length_s": 300}), **how)  # type: ignore[arg-type]
    with PageServer(context) as server, browser(tmp_path) as window_:
        window_.size(1200, 900)
        window_.open(f"http://127.0.0.1:{server.port}/#devices")
        log_in_by_form(window_)
        window_.run("confirm = () => true")
        eventually(lambda: "window.length_s=300" in window_.text("table-rollouts"))
        assert "canary" in window_.text("table-rollouts")
        window_.run("document.querySelector('#table-rollouts button').click()")
        eventually(lambda: "back from 1" in window_.text("table-rollouts"))
        assert "stopped" in window_.text("table-rollouts")
        assert not [text for text in window_.console() if "/api/me" not in text]
    assert [one["state"] for one in rollouts(context.database, "acme")] == ["returning", "stopped"]


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason=MISSING)
def test_four_clicks_answer_the_question(context: Context, tmp_path: Path) -> None:
    click = "[...document.querySelectorAll(arguments[0])].find(one => one.textContent.includes(arguments[1])).click()"
    with PageServer(context) as server, browser(tmp_path) as window_:
        window_.size(1200, 900)
        window_.open(f"http://127.0.0.1:{server.port}/")
        log_in_by_form(window_)
        eventually(lambda: window_.run("return document.body.dataset.shown === 'audience'"))
        assert "1,080" in window_.text("cards")
        for place, text, awaited in (
            ("nav a", "Gender and age", "60"),
            ("#pyramid tr:first-child button", "45", "women of 25-34"),
            ("#contents-people button", "spring-sale", "saw spring-sale"),
            ("#by-people button", "device", "45"),
        ):
            window_.run(click, place, text)
            eventually(lambda awaited=awaited: awaited in window_.text("answer"))  # type: ignore[misc]
        eventually(lambda: "station" in window_.text("table-people"))
        assert window_.text("answer").startswith("45 ± 3 women of 25-34 saw spring-sale on 2026-11-22")
        assert "20 ± 2" in window_.text("table-people")
        # Before the login it has been told that there is none.
        assert not [text for text in window_.console() if "/api/me" not in text]
        window_.size(390, 800)
        assert window_.run("return document.documentElement.scrollWidth") <= 390
