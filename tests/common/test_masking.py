"""Of an address nothing but scheme and host gets into a text, whatever it is that somebody took for an address."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agender.common.masking import HIDDEN, scrubbed, shown
from edge_agender.device.arguments import public_words

SECRET = "Secret99"
ADDRESSES = {
    "http://admin:Secret99@h/snap.jpg": "http://h",
    "rtsp://h/user=admin_password=Secret99_channel=1": "rtsp://h",
    "http://h/video;token=Secret99": "http://h",
    "http://h;token=Secret99": "http://h",
    "http://h:8080/v?user=a&pwd=Secret99": "http://h",
    "http://h#Secret99": "http://h",
    "http:\\\\h\\Secret99": HIDDEN,
    "rtsp://admin:Sec/ret99@h/x": "rtsp://***",
    "rtsp://admin:Sec?ret99@h/x": "rtsp://***",
    "rtsp://admin:Sec@ret99@h/x": "rtsp://h",
    "rtsp://admin:Secret99%40@h/x": "rtsp://h",
    "http://h/v?mail=a@Secret99": "http://***",
    "http://admin:Secret99": "http://***",
    "http://h:Secret99/": "http://***",
    "rtsp://u:Secret99@[fe80::1]:554/": "rtsp://[fe80::1]",
    "rtsp://u Secret99@h": "rtsp://h",
    "rtsp://u:Secret99@h\n": "rtsp://***",
    "RTSP://u:Secret99@Camera.local.": "rtsp://Camera.local.",
    "rtsp://名.example/Secret99": "rtsp://名.example",
    "admin:Secret99@h:554/x": HIDDEN,
    "h:554/Secret99": HIDDEN,
    "192.168.1.5/Secret99/live": HIDDEN,
    "//u:Secret99@h/x": HIDDEN,
    "//h/Secret99": HIDDEN,
    "rtsp:/u:Secret99@h": HIDDEN,
    "h?password=Secret99": HIDDEN,
    "Secret99://h": HIDDEN,
    "file:///srv/x.mp4?Secret99": "file://***",
    "rtspsrc location=rtsp://u:Secret99@h ! fakesink": HIDDEN,
    "concat:http://u:Secret99@h|x": HIDDEN,
}
HARMLESS = (
    "/dev/video0",
    "/dev/v4l/by-id/usb-046d_HD-index0",
    "0",
    "/srv/lobby.mp4",
    "clip one.mkv",
    "demo",
    "rtsp://h",
)


@pytest.mark.parametrize(("address", "public"), ADDRESSES.items())
def test_of_an_address_scheme_and_host_are_shown_or_less(address: str, public: str) -> None:
    assert shown(address) == public
    assert SECRET not in shown(address)


@pytest.mark.parametrize("address", HARMLESS)
def test_devices_and_files_keep_their_names(address: str) -> None:
    assert shown(address) == address


# What has a meaning in an address, what has none, and a line break.
awkward = st.text("a1:/@?#&=%.\\[]\n é;", max_size=8)


@given(awkward, awkward, awkward, st.booleans())
def test_no_password_is_shown_whatever_is_beside_it(a: str, b: str, c: str, in_query: bool) -> None:
    address = f"rtsp://{a}:{b}{SECRET}@camera/{c}" if not in_query else f"http://camera/?{a}={b}{SECRET}{c}"
    assert SECRET not in shown(address)


@pytest.mark.parametrize("address", [address for address in ADDRESSES if "://" in address or "@" in address])
def test_a_text_loses_the_addresses_in_it(address: str) -> None:
    for text in (f"opening {address}", f"'{address}': no such file", f"--set source.opencv.uri={address}"):
        if " " not in address:
            assert SECRET not in scrubbed(text), text


def test_other_words_of_a_text_stay() -> None:
    text = "http://127.0.0.1:8080 (rtsp://...): mqtts:// means TLS, getty@tty1.service, [rtsp @ 0x55] failed"
    assert scrubbed(text) == text


WAYS = ("--source {}", "--source={}", "--set source.opencv.uri={}", "--set=source.opencv.uri={}")


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("words", WAYS)
def test_command_lines_are_public_without_addresses(address: str, words: str) -> None:
    line = ["edge-agender", "run", *(word.format(address) for word in words.split(" ")), "--sink", "stdout"]
    public = public_words(line)
    assert SECRET not in " ".join(public)
    assert [public[0], public[-1], len(public)] == ["edge-agender", "stdout", len(line)]


def test_the_process_list_shows_no_password() -> None:
    code = (
        "import sys, pathlib; from edge_agender.device.arguments import hide_addresses;"
        "assert hide_addresses(); print(pathlib.Path('/proc/self/cmdline').read_text(), sys.argv[2])"
    )
    address = f"rtsp://admin:{SECRET}é@camera.local/live"
    command = [sys.executable, "-c", code, "--source", address, "--x"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    listed, kept = done.stdout.rsplit("\0", 1)
    assert SECRET not in listed
    assert "rtsp://camera.local*" in listed
    assert kept.strip() == address


def test_log_lines_and_tracebacks_lose_addresses(tmp_path: Path) -> None:
    code = (
        "import logging; from edge_agender.common.logs import configure_logging; configure_logging('debug');"
        f"log = logging.getLogger('library'); log.warning('cannot open %s', 'http://a:{SECRET}@h/x');"
        f"\ntry:\n    raise ValueError('http://h/?{SECRET}')\nexcept ValueError:\n    log.debug('x', exc_info=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cannot open http://h\n" in done.stderr
    assert "ValueError: http://h" in done.stderr
    assert SECRET not in done.stderr.replace(code, "")
    assert logging.getLogger("library").level == logging.NOTSET
