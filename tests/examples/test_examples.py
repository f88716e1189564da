"""The examples that a subscriber starts from, run against a real Mosquitto or read as what they are."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paho.mqtt.publish as publish
import pytest

from edge_agender.messages.inbound import parse_content, parse_enabled
from examples.demo_view import Heard, Lines, summary, truth
from examples.demo_view import table as demo_table
from tests.messages.test_build import EVERY
from tests.support.broker import Broker, needs_mosquitto, running, wait_until
from tests.support.paths import ROOT

EXAMPLES = ROOT / "examples"
TOPIC = "edge-agender/lobby/"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that holds one message of every kind, as if it had just been sent."""
    with running(Broker(tmp_path)) as one:
        told = [replace(message, topic=TOPIC + kind) for kind, message in EVERY.items()]
        publish.multiple(
            [{"topic": m.topic, "payload": m.payload, "qos": 1, "retain": True} for m in told],
            hostname="127.0.0.1",
            port=one.port,
        )
        yield one


@needs_mosquitto
def test_the_subscriber_prints_frames_and_windows(broker: Broker, tmp_path: Path) -> None:
    output = tmp_path / "output"
    command = [sys.executable, str(EXAMPLES / "subscriber.py"), "127.0.0.1", "--port", str(broker.port)]
    with output.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: len(output.read_text().splitlines()) >= 3, what="three lines of the subscriber")
    finally:
        process.terminate()
        process.wait(60)
    lines = sorted(output.read_text().splitlines())
    assert lines[0].startswith("lobby: 3 here: 1 female 25-34, 1 unknown 0-12, 1 unknown unknown")
    assert lines[1].startswith("lobby: 8 viewers from 2023-11-15T12:00:00.000Z")
    assert lines[2] == "lobby: viewers from 2023-11-15T12:00:00.000Z: female 25-34: 10 ± 2.9"


@needs_mosquitto
def test_the_demo_runs_whatever_this_machine_is_configured_for_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mqtt: {username: entrance, tls: {}}\n")
    home, output = tmp_path / "home", tmp_path / "output"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    environment |= {"EDGE_AGENDER_CONFIG": str(tmp_path / "config.yaml"), "HOME": str(home)}
    with output.open("w") as file:
        words = [sys.executable, str(EXAMPLES / "demo.py"), "--json"]
        process = subprocess.Popen(
            words, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    try:
        wait_until(lambda: "edge-agender/demo/frame" in output.read_text(), what="a frame of the demo")
        (page,) = re.findall(r"^# status page and aim view: (http://127\.0\.0\.1:\d+/)$", output.read_text(), re.M)
        with urllib.request.urlopen(page, timeout=60) as answer:
            assert b"<title>" in answer.read()
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: whoever is in the demo's session gets it
        process.wait(60)
    assert re.search(r'"state": "stopped"', output.read_text())
    assert list(home.iterdir()) == []


def reader_leaves(*words: str) -> subprocess.Popen[str]:
    """Start an example, read its first line and leave."""
    command = [sys.executable, str(EXAMPLES / words[0]), *words[1:]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() != ""
    process.stdout.close()
    return process


@needs_mosquitto
def test_the_demo_ends_when_its_reader_leaves() -> None:
    process = reader_leaves("demo.py")
    assert process.wait(120) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


@needs_mosquitto
def test_the_subscriber_ends_when_its_reader_leaves(broker: Broker) -> None:
    process = reader_leaves("subscriber.py", "127.0.0.1", "--port", str(broker.port))
    payload, sent = json.loads(EVERY["frame"].payload), itertools.count(1000)

    def ends() -> bool:
        news = json.dumps({**payload, "sequence": next(sent)})
        publish.single(f"{TOPIC}frame", news, hostname="127.0.0.1", port=broker.port)
        return process.poll() is not None

    wait_until(ends, what="the subscriber's end")
    assert process.stderr is not None
    assert (process.returncode, process.stderr.read()) == (0, "")


@needs_mosquitto
@pytest.mark.slow
def test_the_demo_shows_gender_and_age_within_45_seconds_in_short_lines_and_ends_with_the_truth(tmp_path: Path) -> None:
    words = [sys.executable, str(EXAMPLES / "demo.py"), "--seconds", "45"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    lines = done.stdout.splitlines()
    tables = [line for line in lines if "demographics of" in line]
    assert any(re.search(r": \d+ (fe)?male \d", line) for line in tables), done.stdout + done.stderr
    assert max(map(len, lines)) <= 160
    (result,) = re.findall(
        r"^(\d+) people walked by, (\d+) were counted.*, (\d+) of them are published", done.stdout, re.M
    )
    walked, counted, published = map(int, result)
    assert published > 0
    assert counted == pytest.approx(walked, abs=0.2 * walked)


@pytest.mark.slow
def test_the_embedded_broker_of_the_demo_disturbs_nobody() -> None:
    pytest.importorskip("amqtt")
    without_mosquitto = "import sys, examples.demo as demo; demo.find_mosquitto = lambda: None; sys.exit(demo.main())"
    words = [sys.executable, "-c", without_mosquitto, "--seconds", "3"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "people walked by" in done.stdout


def demographics(viewers: int, *cells: tuple[str, str, int]) -> dict[str, Any]:
    rows = [{"content": None, "gender": gender, "age_band": band, "viewers": n, "sd": 1.0} for gender, band, n in cells]
    return {"viewers": viewers, "length_s": 20, "cells": rows}


def test_the_demos_table_adds_published_tables_up() -> None:
    heard = Heard()
    heard.hear("demographics", demographics(12, ("female", "25-34", 5), ("male", "65+", 0)), 1.0)
    line = heard.hear("demographics", demographics(9, ("female", "25-34", 10)), 2.0)
    assert line == "demographics of 9 viewers in 20 s: 10 female 25-34"
    shown = "\n".join(demo_table(heard, "http://x/", colours=False))
    assert re.search(r"^25-34 .* 15", shown, re.M)
    assert "2 tables of 20 s published, of 21 viewers" in shown
    assert max(map(len, shown.splitlines())) <= 100


def test_the_demos_lines_say_changes_only_and_stay_short() -> None:
    heard, stream = Heard(), io.StringIO()
    frame = {"audience": {"count": 1, "cells": [{"gender": "male", "age_band": "65+", "count": 1}]}}
    assert heard.hear("frame", frame, 1.0) == "frame: 1 in view: 1 male 65+"
    assert heard.hear("frame", frame, 2.0) is None
    Lines(stream).line("x" * 500)
    assert len(stream.getvalue()) <= 161


def test_the_demos_truth_is_the_crowd_that_is_painted() -> None:
    walked = truth({"width_px": 1280, "height_px": 960, "people": 3, "seed": 7}, 23.0)
    assert walked.total() == 6
    assert "6 people walked by, 2 were counted" in "\n".join(
        summary(Heard(), walked, Counter({("female", "65+"): 2.0}))
    )


def commands() -> list[str]:
    block = re.findall(r"```sh\n(.*?)```", (EXAMPLES / "README.md").read_text(), re.S)[0]
    return [line for line in block.splitlines() if line and not line.startswith("#")]


@needs_mosquitto
@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("mosquitto_sub")])
def test_the_one_liners_show_something(command: str, broker: Broker) -> None:
    for program in ("mosquitto_sub", *(["jq"] if "jq" in command else [])):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} is installed here")
    once = command.replace("mosquitto_sub", f"mosquitto_sub -p {broker.port} -C 1 -W 60")
    shown = subprocess.run(["bash", "-c", once], capture_output=True, text=True, timeout=120)
    assert shown.stdout.strip(), shown.stderr


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("mosquitto_pub")])
def test_the_commands_are_understood(command: str) -> None:
    topic = re.search(r"-t '([^']+)'", command)
    payload = re.search(r"-m (?:'([^']+)'|(\S+))", command)
    assert topic
    assert payload
    text = (payload[1] or payload[2]).encode()
    if topic[1].endswith("/content"):
        assert parse_content(text).id == "spring-sale"
    else:
        assert parse_enabled(text) is (text == b"on")
        assert " -r " in command


def at(data: Any, path: str) -> Any:
    for part in path.split("."):
        data = data[part]
    return data


def test_telegraf_reads_fields_that_exist() -> None:
    inputs = tomllib.loads((EXAMPLES / "telegraf.conf").read_text())["inputs"]["mqtt_consumer"]
    assert len(inputs) == 3
    for consumer in inputs:
        (topic,) = consumer["topics"]
        assert consumer["topic_parsing"][0]["topic"] == topic
        data = json.loads(EVERY[topic.rsplit("/", 1)[1]].payload)
        (parser,) = consumer["json_v2"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", at(data, parser["timestamp_path"]))
        for field in parser["field"]:
            value = at(data, field["path"])
            kinds = {"int": int, "float": (int, float)}[field["type"]]
            assert isinstance(value, kinds) or (value is None and field["optional"])
        for table in parser.get("object", []):
            for row in at(data, table["path"]):
                assert set(table["tags"]) | set(table["fields"]) == row.keys()


def test_the_node_red_flow_hangs_together() -> None:
    nodes = {node["id"]: node for node in json.loads((EXAMPLES / "node-red-flow.json").read_text())}
    for node in nodes.values():
        assert all(target in nodes for wire in node.get("wires", []) for target in wire)
        assert node.get("broker") in (None, "localhost", *nodes)
        if node["type"] == "mqtt in":
            assert node["topic"].rsplit("/", 1)[1] in EVERY
        if node["type"] == "inject":
            assert parse_enabled(node["payload"].encode()) is (node["name"] == "on")
    somebody = nodes["agender-somebody"]["property"].removeprefix("payload.")
    assert at(json.loads(EVERY["frame"].payload), somebody) == 3
