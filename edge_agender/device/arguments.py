"""Hides addresses in this process's own command line, which every user of the machine can read (ps, /proc).

The kernel shows the memory in which the arguments were handed over, so they are overwritten there, each in its place.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

from edge_agender.common.masking import scrubbed, shown

# Fields of /proc/self/stat (proc(5)): where the arguments begin and end.
_ARG_START, _ARG_END = 48, 49


def hide_addresses() -> bool:
    """Overwrite what may hold a password with what may be shown, filled up to its length; False if that failed."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = (int(fields[number - 3]) for number in (_ARG_START, _ARG_END))
        listed = Path("/proc/self/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return False
    if not start or end - start != len(listed) or ctypes.string_at(start, len(listed)) != listed:
        return False
    words = listed.split(b"\0")
    texts = public_words([os.fsdecode(word) for word in words])
    made = b"\0".join(_fitted(word, text) for word, text in zip(words, texts, strict=True))
    ctypes.memmove(start, made, len(listed))
    return True


def public_words(words: Sequence[str]) -> list[str]:
    """Return the words of a command line as everybody may read them."""
    return [_public(word, before) for word, before in zip(words, ["", *words], strict=False)]


def _public(word: str, before: str) -> str:
    if before == "--source":
        return shown(word)
    # Of --set source.opencv.uri=ADDRESS, of --set=source.opencv.uri=ADDRESS and of --source=ADDRESS.
    prefix = "--set=" if word.startswith("--set=") else ""
    option, equals, value = word.removeprefix("--set=").partition("=")
    if equals and (option == "--source" or option.startswith("source")):
        return f"{prefix}{option}={shown(value)}"
    return scrubbed(word)


def _fitted(word: bytes, text: str) -> bytes:
    made = os.fsencode(text)
    return word if made == word else made[: len(word)].ljust(len(word), b"*")
