"""The documentation hangs together: links, pages, generated tables, texts of the program, screenshots."""

from __future__ import annotations

import importlib.util
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from docs_tools import rooms
from docs_tools.__main__ import BLOCK, PARTS, fill
from docs_tools.lenses import LENSES, blur_px, face_px, reach_m
from docs_tools.options import explained, fields
from docs_tools.site_hooks import linked_files, links, repository_path, site_path, without_code
from edge_agender import errors
from edge_agender.config.settings import Config
from edge_agender.web.mounting import AimLimits
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples/README.md", *sorted(DOCS.rglob("*.md"))]
PAGES += sorted((ROOT / "models").glob("*.md"))
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

PLACEHOLDER = re.compile(r"test_x\.py|test_$|NAME")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def anchors(name: str) -> set[str]:
    """Return the ids that a code host and MkDocs give to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text(name), flags=re.S), re.M)
    plain = [re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings]
    return {re.sub(r"\s+", "-", heading) for heading in plain}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_files_and_headings(name: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", without_code(text(name)))
    for target, anchor in targets:
        if "://" in target:
            continue
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), f"{name} links to {target}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(str(path.resolve().relative_to(ROOT))), f"{name} links to {target}#{anchor}"


def test_every_page_is_in_the_navigation() -> None:
    def named(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry
        return [name for part in parts for name in named(part)]  # type: ignore[attr-defined]

    config = yaml.safe_load(text("mkdocs.yml"))
    assert sorted(named(config["nav"])) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


@pytest.mark.parametrize("name", [name for name in NAMES if BLOCK.search(text(name))])
def test_the_generated_tables_are_those_of_the_code(name: str) -> None:
    assert fill(text(name)) == text(name), "run python -m docs_tools"


def test_every_generated_part_is_in_a_page() -> None:
    used = [match[2] for name in NAMES for match in BLOCK.finditer(text(name))]
    assert sorted(used) == sorted(PARTS)


def test_the_reference_explains_every_option() -> None:
    comments = explained(text("config.yaml"))
    options = [path for name, field in Config.model_fields.items() for path, _ in fields(field.annotation, f"{name}.")]
    assert set(options) <= comments.keys()
    page = text("docs/configure.md")
    assert [path for path in options if f"| `{path}` |" not in page] == []


class TestMounting:
    """The figures of docs/mount.md, by hand."""

    def test_a_face_at_two_metres(self) -> None:
        # f = 640 / tan(31.1 degrees) = 1061 px; 15 cm at 2 m are 79.6 px.
        assert face_px(2, 62.2, 1280) == pytest.approx(79.6, abs=0.1)

    def test_a_wide_sensor_loses_its_sides_in_a_4_3_picture(self) -> None:
        module_3 = LENSES[0]
        assert module_3.seen_deg(16 / 9) == pytest.approx(66)
        assert module_3.seen_deg(4 / 3) == pytest.approx(51.9, abs=0.1)

    def test_both_reaches(self) -> None:
        estimated, found = reach_m(62.2, 1280, 320)
        assert face_px(estimated, 62.2, 1280) == pytest.approx(AimLimits().min_face_px)
        assert found == pytest.approx(5.3, abs=0.05)

    def test_the_walkers_blur(self) -> None:
        assert f"a face moves {blur_px(1.4, 10, 48):.1f} of its 48 pixels" in text("docs/mount.md")
        assert f"{blur_px(1.4, 5, 48):.1f} in 5 ms" in text("docs/mount.md")

    def test_the_rules_are_those_of_the_code(self) -> None:
        limits, page = AimLimits(), text("docs/mount.md")
        for rule in (
            f"**{limits.min_face_px:.0f} pixels**",
            f"{limits.good_face_px:.0f} pixels wide; {limits.min_face_px:.0f} is just enough",
            f"between {limits.highest:.0%} and {limits.lowest:.0%}".replace("%", " %"),
            f"between {limits.darkest:.0%} and {limits.brightest:.0%} of white".replace("%", " %"),
            f"at least {limits.min_sharpness:.0%}".replace("%", " %"),
        ):
            assert rule in page


# What stands in the page with a name of its own in place of the program's.
SPOKEN = {
    "a picture of a face at the": "a picture of a face at the {part}",
    "it refuses user entrance": "it refuses {_user(config)}",
    "it does not speak MQTT 5, but MQTT 3.1.1": "it does not speak {own}, but {language}",
    "more than the 15 million that are decoded": "million that are decoded",
    "it says 404 Not Found": "it says {error.code} {words}",
    "has acknowledged nothing for 20 s": "has acknowledged nothing for {for_s:g} s",
    "its certificate is not for broker.local": "its certificate is not for {config.host}",
    "the broker refuses edge-agender/entrance/window: change its ACL": "the broker refuses {topic}: change its ACL",
    "there is no camera 0": "there is no camera {number}",
    "there is no camera": "there is no camera {number}",
    "no frame for 5 s after 2 restarts": "no frame for {timeout_s:g} s after",
    "no frame for 5 s: starting the sensor again": "starting the sensor again",
    "no status page: ...: change web.port": "no status page: %s port %d",
    "is not valid yet": "its certificate is not valid yet",
    "connecting, for up to 10 s": "connecting, for up to %g s",
}
# What others say: systemd, NumPy, the shell, messages.
OTHERS = r"status=\d+|numpy\.dtype size changed|.*command not found|\w+: (true|false)|\"\w+\": \w+"


class TestTroubleshooting:
    PAGE = text("docs/troubleshooting.md")

    def test_the_exit_codes_are_those_of_the_program(self) -> None:
        listed = {int(code) for code in re.findall(r"^\| (\d+) \|", self.PAGE, re.M)}
        classes = [value for value in vars(errors).values() if isinstance(value, type)]
        own = {value.exit_code for value in classes if issubclass(value, errors.EdgeAgenderError)}
        assert listed == own | {2}  # argparse's

    def test_what_it_says_is_what_the_program_says(self) -> None:
        sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "edge_agender").rglob("*.py"))
        symptoms = re.findall(r"^\| ([^|]+) \|", self.PAGE, re.M)
        said = [quote for symptom in symptoms for quote in re.findall(r"`([^`]+)`", symptom) if " " in quote]
        assert len(said) > 15
        for quote in said:
            if not re.fullmatch(OTHERS, quote):
                assert SPOKEN.get(quote, quote) in sources, quote


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("docs/configure.md",)])
def test_options_named_in_the_text_exist(name: str) -> None:
    """Words such as `mqtt.host` in a page are options."""
    sections = "|".join(Config.model_fields)
    known = {
        path for section, field in Config.model_fields.items() for path, _ in fields(field.annotation, f"{section}.")
    }
    groups = {path.rpartition(".")[0] for path in known}
    for word in re.findall(rf"`((?:{sections})\.[a-z_.0-9]+)(?::[^`]*)?`", text(name)):
        if not word.endswith((".py", ".md", ".yaml", ".tflite", ".json", ".service")):
            assert word in known | groups, word


@pytest.mark.parametrize("name", NAMES)
def test_named_tests_targets_and_files_exist(name: str) -> None:
    makefile = text("Makefile")
    for code in re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text(name), flags=re.S)):
        for target in re.findall(r"^make ((?:[a-z0-9-]+ ?)+)", code):
            for word in target.split():
                assert re.search(rf"^{word}:", makefile, re.M), f"{name}: make {word}"
        for path in re.findall(r"(?:^|\s)((?:tests|models|training|proofs|docs|systemd|packaging)/[\w./-]+)", code):
            assert (ROOT / path).exists() or "..." in path or PLACEHOLDER.search(path), f"{name}: {path}"


@pytest.mark.parametrize("name", ["status", "aim"])
def test_the_screenshots_are_small_and_of_the_right_size(name: str) -> None:
    data = (DOCS / "images" / f"{name}.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    width, _ = struct.unpack(">II", data[16:24])
    assert len(data) < 60_000
    assert width <= 390 if name == "aim" else width <= 1200


class TestSite:
    def test_paths_of_the_site_and_of_the_repository(self) -> None:
        assert site_path("docs/mount.md") == "mount.md"
        assert site_path("models/face-ssd.md") == "repository/models/face-ssd.md"
        assert repository_path(site_path("config.yaml")) == "config.yaml"
        assert links("[a](../models/x.md#y) `[b](z.md)` [c](https://d.e)", "docs/p.md") == ["models/x.md"]

    def test_files_that_linked_files_link_to_come_along(self) -> None:
        pages = {"docs/p.md": "[a](../CONTRIBUTING.md) [b](messages.md) [c](../config.yaml)"}
        assert {"CONTRIBUTING.md", "config.yaml"} <= linked_files(pages)

    @pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="no MkDocs here: pip install '.[docs]'")
    def test_it_builds_without_a_warning_and_loads_nothing_from_elsewhere(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        for page in (tmp_path / "site").rglob("*.html"):
            loaded = re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="(https?:)?//[^"]*"', page.read_text())
            assert loaded == [], page.name


def test_the_drawing_of_the_folders_is_of_the_code_as_it_is() -> None:
    assert rooms.SVG.read_text(encoding="utf-8") == rooms.drawing()
