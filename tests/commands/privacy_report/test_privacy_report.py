"""The report follows the configuration, keeps its secrets, and can be read, printed and checked without a network."""

from __future__ import annotations

import json
import platform
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs_tools.json_schemas import json_schemas
from edge_agender import __version__
from edge_agender.cli import main
from edge_agender.commands.privacy_report.blocks import (
    Bullets,
    Code,
    Document,
    Paragraph,
    Section,
    Strong,
    Table,
    bullets,
    say,
    table,
    text,
)
from edge_agender.commands.privacy_report.cards import read_card
from edge_agender.commands.privacy_report.facts import _card, facts_of
from edge_agender.commands.privacy_report.proof import ProofResult, find_proof, read_proof
from edge_agender.commands.privacy_report.render import to_html, to_markdown
from edge_agender.commands.privacy_report.write import write_report
from edge_agender.config.load import load
from edge_agender.errors import UsageError
from edge_agender.inference import catalogue as models
from edge_agender.messages.contract import PAYLOADS

NAMES = ("data-flow", "notice", "dpia")
SECRET = "pl4nted-s3cret"
HERE = "here"
PROOF = ProofResult(True, "2026-11-22T08:00:00Z", __version__, HERE, (("pictures", True, "9 bytes in 1 channels"),))
SUMS = {"window", "demographics"}


def report(folder: Path, *overrides: str, proof: ProofResult | None = None) -> dict[str, str]:
    """Write the report for options beside the defaults; return the texts by file name."""
    config = load(None, ["device.name=lobby", *overrides])
    facts = facts_of(config, software=__version__, fingerprint="abc123", origin="test.yaml")
    paths = write_report(facts, proof, folder, made="today", machine=HERE)
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


def sheet(folder: Path, *overrides: str, proof: ProofResult | None = None) -> str:
    return report(folder, *overrides, proof=proof)["data-flow.md"]


class Strict(HTMLParser):
    """Fails on a tag that is not closed in order; collects what a browser would fetch."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.references: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.references += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parsed(html: str) -> Strict:
    parser = Strict()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def squeezed(words: str) -> str:
    return re.sub(r"[\s\\*`|>-]+", "", words)


@pytest.mark.parametrize("level", ["aggregate", "frame", "viewer"])
def test_every_document_is_sound_html_that_asks_for_nothing(tmp_path: Path, level: str) -> None:
    told = report(tmp_path, f"privacy.level={level}", proof=PROOF)
    assert set(told) == {f"{name}.{suffix}" for name in NAMES for suffix in ("md", "html")}
    for name in NAMES:
        html = told[f"{name}.html"]
        parser = parsed(html)
        assert parser.references == []
        assert not {"script", "img", "link", "iframe", "object"} & set(parser.seen)
        assert "url(" not in html
        assert "@import" not in html
        assert html.startswith("<!DOCTYPE html>")
        assert '<html lang="en">' in html


@pytest.mark.parametrize("name", NAMES)
def test_both_formats_say_the_same(tmp_path: Path, name: str) -> None:
    told = report(tmp_path, proof=PROOF)
    body = told[f"{name}.html"].partition("<body")[2].partition(">")[2]
    in_html = squeezed(" ".join(parsed(body.partition("</body>")[0]).words))
    in_markdown = squeezed(re.sub(r"(?m)^#+ |^\|( --- \|)+$", "", told[f"{name}.md"]))
    assert in_html == in_markdown


@pytest.mark.parametrize(
    ("level", "released"),
    [("aggregate", SUMS), ("frame", SUMS | {"frame"}), ("viewer", SUMS | {"frame", "viewer"})],
)
def test_the_level_decides_which_messages_and_fields_are_listed(tmp_path: Path, level: str, released: set[str]) -> None:
    told = sheet(tmp_path, f"privacy.level={level}")
    listed = {kind for kind in PAYLOADS if f"`edge-agender/lobby/{kind}`" in told}
    assert listed - {"status", "health", "enabled"} == released
    fields = told.partition("## Every field")[2].partition("## What is not processed")[0]
    assert set(re.findall(r"^### (\w+)$", fields, re.MULTILINE)) == released
    for kind in released:
        for field in json_schemas()[kind]["properties"]:
            assert re.search(rf"^\| `{field}[`.\[]", fields, re.MULTILINE), field


def test_the_notice_says_what_the_level_sends(tmp_path: Path) -> None:
    notices = {
        level: report(tmp_path, f"privacy.level={level}")["notice.md"] for level in ("aggregate", "frame", "viewer")
    }
    assert "Only sums leave" in notices["aggregate"]
    assert "how many people of which gender and age band" in notices["frame"]
    assert "for each visit" in notices["viewer"]
    assert len({*notices.values()}) == 3


@pytest.mark.parametrize(
    ("option", "present", "absent"),
    [
        ("privacy.min_cell=7", "in multiples of `7` viewers", "`5` viewers"),
        ("privacy.min_cell=1", "Nothing is rounded", "is published in multiples of"),
        ("privacy.min_cell=3", "Cells are published in multiples of `3` viewers", "`5` viewers are"),
        ("mqtt.host=broker.shop", "To the MQTT broker `broker.shop`, port `1883`; the connection is **not encrypted**",
         "this device itself"),
        ("mqtt.host=broker.shop", "without TLS", "Nothing in this configuration"),
        ("mqtt.tls.enabled=true", "port `8883`; the connection is encrypted (TLS 1.2", "not encrypted"),
        ("mqtt.tls={enabled: true, insecure: true}", "may pose as the broker", "certificate is checked"),
        ("home_assistant.enabled=true", "`homeassistant/device/.../config`", "no such words"),
        ("outbox.frames_durable=true", "(`frame, window, demographics`)", "(`window, demographics`)"),
        ("outbox.max_age_h=12", "at most `12` hours", "`168` hours"),
        ("outbox.path=/srv/state", "`/srv/state`", "/var/lib"),
        ("web.enabled=false", "There is no status page", "aim view"),
        ("web={host: 0.0.0.0, password_file: /x}", "for the network (port `8080`, plain HTTP, with a password)",
         "this device only"),
        ("web.aim=false", "shows released figures. ", "aim view"),
        ("schedule.off_pin=17", "a switch at GPIO line `17`", "no switch at the device"),
        ("schedule.off_file=null", "There is no switch at the device", "the file `/etc"),
        ("schedule.hours=['mon-fri 08:00-20:00']", "mon-fri 08:00-20:00", "around the clock"),
        ("fleet.remote_config=true", "may set options **from afar**", "no such words"),
        ("fleet.remote_config=true", "`remote.json`", "no such words"),
        ("window.length_s=10", "Windows of `10` seconds", "every 60 seconds |\n| health"),
        ("audience.age_bands=[18, 40]", "`0-17, 18-39, 40+, unknown`", "`0-12"),
        ("source.kind=demo", "watches no camera", "the Raspberry Pi's camera"),
        ("source={kind: opencv, opencv: {uri: 'rtsp://cam/1'}}", "pictures over the network", "watches no camera"),
        ("source.region={x: 0.0, y: 0.5, width: 1.0, height: 0.5}", "100 % of its width, 50 % of its height",
         "| all of it |"),
        ("log.level=debug", "level `debug`", "level `info`"),
        ("publish.frames=rate", "at most 5 times a second", "for every processed picture"),
        ("detector.kind=haar", "OpenCV's haar cascade", "`face-ssd`"),
        ("estimator.model=ssrnet", "`ssrnet` cannot be described", "agender-ssrnet"),
    ],
)  # fmt: skip
def test_an_option_changes_the_sheet(tmp_path: Path, option: str, present: str, absent: str) -> None:
    before, after = sheet(tmp_path), sheet(tmp_path, option)
    assert present in after
    assert present not in before or option.startswith("web.aim")
    assert absent not in after


def test_a_careful_configuration_leaves_little_to_look_at(tmp_path: Path) -> None:
    told = sheet(
        tmp_path, "privacy.level=aggregate", "audience.age_bands=[18, 40]", "web.enabled=false",
        "schedule.hours=['08:00-20:00']", "mqtt.host=broker.shop", "mqtt.username=x", "mqtt.tls.enabled=true",
    )  # fmt: skip
    concerns = told.partition("## What to look at")[2].partition("## What enters")[0]
    assert all("research only" in line for line in concerns.strip().splitlines()), concerns


def test_a_planted_secret_is_in_no_document(tmp_path: Path) -> None:
    password = tmp_path / SECRET
    password.write_text(SECRET)
    uris = [f"rtsp://user:{SECRET}@cam/x?y={SECRET}", f"http://cam/?token=a@{SECRET}", f"rtsp://u:a/{SECRET}@cam/"]
    for number, uri in enumerate(uris):
        told = report(
            tmp_path / str(number), "source.kind=opencv", f"source.opencv.uri={json.dumps(uri)}",
            "mqtt.host=broker", f"mqtt.username={SECRET}", f"mqtt.client_id={SECRET}",
            f"mqtt.password_file={password}", f"mqtt.tls.ca_file={password}", f"mqtt.tls.key_file={password}",
            f"mqtt.tls.certificate_file={password}", f"web.password_file={password}", f"web.hostnames=[{SECRET}]",
            f"source.images.paths=[{password}]", "privacy.level=viewer",
        )  # fmt: skip
        assert "`broker`" in told["data-flow.md"]
        assert [name for name, content in told.items() if SECRET in content] == []


def test_a_link_in_the_folder_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notice.md").symlink_to(tmp_path / "precious")
    report(tmp_path / "out")
    assert (tmp_path / "precious").read_text() == "mine"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{name}.{suffix}" for name in NAMES for suffix in ("html", "md")
    )


def test_markup_in_the_configuration_stays_text(tmp_path: Path) -> None:
    nasty = "<script>|`x`**b**[[c]]{d}"
    told = report(tmp_path, f"device.name={json.dumps(nasty)}", "mqtt.prefix='a`|`b <i>'")
    for name in NAMES:
        assert not {"script", "i"} & set(parsed(told[f"{name}.html"]).seen)
    assert "&lt;script&gt;" in told["data-flow.html"]
    assert re.search(r"^\| \*\*window\*\* \| ``a`\\\|`b <i>/", told["data-flow.md"], re.MULTILINE)


@pytest.mark.parametrize("name", NAMES)
def test_what_needs_a_lawyer_or_an_answer_is_marked(tmp_path: Path, name: str) -> None:
    told = report(tmp_path)
    assert "> **For a lawyer:**" in told[f"{name}.md"]
    assert "<aside><strong>For a lawyer:</strong>" in told[f"{name}.html"]
    assert "[FILL IN: " in told[f"{name}.html"]
    for law in {"data-flow": ["Art. 9(1)"], "notice": ["Art. 50(3)", "Art. 13"], "dpia": ["Art. 35", "Art. 50(3)"]}[
        name
    ]:
        assert law in told[f"{name}.md"]


def test_the_proof_is_told_as_it_went(tmp_path: Path) -> None:
    assert "**Not run on this machine**: no result" in sheet(tmp_path)
    passed = sheet(tmp_path, proof=PROOF)
    assert "Run on this machine, `2026-11-22T08:00:00Z`, version `" in passed
    assert "**passed**" in passed
    assert "run it again" not in passed
    foreign = ProofResult(False, "then", "0.0.1", "elsewhere", (("live demo", False, "encoded picture in a file"),))
    told = sheet(tmp_path, proof=foreign)
    for words in (
        "but on `elsewhere`",
        "**NOT PASSED**",
        "**run it again.**",
        "**FAILED** | encoded picture in a file",
    ):
        assert words in told


def written_proof(folder: Path, **changes: object) -> Path:
    row = {"name": "pictures", "passed": True, "detail": "fine"}
    data = {"passed": True, "at": "then", "software": "1", "machine": HERE, "rows": [row]} | changes
    path = folder / "no-images.json"
    path.write_text(json.dumps(data))
    return path


def test_a_result_file_is_read_and_not_believed_beyond_its_rows(tmp_path: Path) -> None:
    assert read_proof(written_proof(tmp_path)).passed
    assert find_proof([tmp_path / "nowhere", tmp_path]) == read_proof(tmp_path / "no-images.json")
    assert not read_proof(written_proof(tmp_path, rows=[])).passed
    assert not read_proof(written_proof(tmp_path, passed="yes")).passed
    failed = [{"name": "pictures", "passed": False, "detail": "a picture"}]
    assert not read_proof(written_proof(tmp_path, rows=failed)).passed


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"rows": 1}', '{"rows": [1], "passed": true, "at": ""}', "[" * 5000]
)
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "no-images.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="prove-no-images"):
        read_proof(path)
    assert find_proof([tmp_path]) is None


def test_the_cards_are_in_the_sheet_whole(tmp_path: Path) -> None:
    told = report(tmp_path)
    flat = squeezed(told["data-flow.md"])
    for name in ("face-ssd", "agender-ssrnet"):
        card = (models.shipped_folder() / f"{name}.md").read_text(encoding="utf-8")
        for line in card.splitlines()[1:]:
            words = re.sub(r"^#+ |\[([^\]]+)\]\([^)]+\)", r"\1", line)
            assert squeezed(words.replace("|", "")) in flat, line


def test_a_model_without_a_card_says_that_its_errors_are_unknown(tmp_path: Path) -> None:
    told = sheet(tmp_path, "detector.kind=haar")
    assert "how wrong it is for which group is not known" in told


def test_a_card_of_strangers_is_shown_or_missing_but_no_trouble(tmp_path: Path) -> None:
    spec = models.find_model("face-ssd").model_copy(update={"folder": tmp_path, "card": "card.md"})
    assert _card(spec) is None
    (tmp_path / "card.md").write_bytes(b"caf\xe9")
    assert _card(spec) == "caf\N{REPLACEMENT CHARACTER}"


def test_a_table_of_rules_alone_is_shown_as_it_is() -> None:
    assert read_card("|---|\n") == (Paragraph(("|---|",)),)


def test_a_card_of_every_kind_of_block() -> None:
    card = "# Title\n\nWords **so** `x|y`\nmore [link](a.md).\n\n- one\n  and on\n- two\n\n"
    card += "## Part\n\n| a | b |\n|---|---|\n| 1 |\n"
    first, listed, part = read_card(card)
    assert first == text("Words **so** `x|y` more link.")
    assert listed == Bullets((("one and on",), ("two",)))
    assert part == Section(("Part",), (Table((("a",), ("b",)), ((("1",), ()),)),))


def test_a_template_never_reads_a_value_as_markup() -> None:
    assert say("a {x} **b**", x="**no** [[no]]") == ("a ", Code("**no** [[no]]"), " ", Strong("b"))
    assert say("{x}!", x=say("`in`")) == (Code("in"), "!")


def test_markdown_escapes_what_would_be_markup() -> None:
    document = Document("d", "T_i|t", (text("- no list"), bullets("a_b <c>"), table("h | i", (("x|y",), say("`p|q`")))))
    assert to_markdown(document) == (
        "# T\\_i\\|t\n\n\\- no list\n\n- a\\_b \\<c\\>\n\n| h | i |\n| --- | --- |\n| x\\|y | `p\\|q` |\n"
    )
    parsed(to_html(document))


def test_the_command_writes_six_files_and_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    config = tmp_path / "config.yaml"
    config.write_text("device: {name: lobby}\nprivacy: {level: aggregate}\n")
    words = ["privacy-report", "--config", str(config), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    said = capsys.readouterr()
    assert [Path(line) for line in said.out.split()] == [
        tmp_path / "out" / f"{name}.{suffix}" for name in NAMES for suffix in ("md", "html")
    ]
    told = (tmp_path / "out" / "data-flow.md").read_text()
    assert f"from `{config}`" in told
    assert "Privacy level `aggregate`" in told
    (tmp_path / "state" / "edge-agender").mkdir(parents=True)
    written_proof(tmp_path / "state" / "edge-agender", machine=platform.node())
    assert main(words) == 0
    assert "Run on this machine" in (tmp_path / "out" / "data-flow.md").read_text()
    assert main([*words, "--proof", str(config)]) == UsageError.exit_code
    assert main([*words[:3], "--out", str(config / "x")]) == UsageError.exit_code
    assert "give another folder with --out" in capsys.readouterr().err
