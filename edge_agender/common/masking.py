"""What of an address may be shown: of a camera's, scheme and host, and nothing else.

Cameras take passwords before the host, in the query, in the path and behind a semicolon, and people forget schemes,
slashes and escapes. So what is known to be harmless is shown, rather than what looks secret hidden.
"""

from __future__ import annotations

import re
from pathlib import Path

from edge_agender.common.media import PICTURE_SUFFIXES

HIDDEN = "***"
_SCHEMES = frozenset(
    {"file", "http", "https", "rtsp", "rtsps", "rtspu", "rtmp", "rtmps", "rtmpt", "rtp", "srt", "srtp", "tcp", "udp"}
    | {"mms", "mmsh", "mmst", "hls", "ftp", "ftps", "sftp", "mqtt", "mqtts"}
)
_HOST = r"[^\W_](?:[\w.-]{0,252}[^\W_])?\.?|\[[0-9A-Fa-f:.]{2,45}\]"
_AUTHORITY = re.compile(rf"(?:.*@)?({_HOST})(?::[0-9]{{0,5}})?", re.DOTALL)
_NOTHING_SECRET = re.compile(rf"[A-Za-z]+://(?:\.*|(?:{_HOST})(?::[0-9]{{1,5}})?/?)")
_PLAIN_PATH = re.compile(r"[\w ./,()+-]+")
_VIDEO_SUFFIXES = (".mp4", ".m4v", ".mkv", ".avi", ".mov", ".webm", ".ts", ".gif", ".mjpeg", ".mjpg")
# A word of a text that may hold an address, without the marks that a sentence puts round it.
_WORD = re.compile(r"[^\s'\"()<>]*(?:://|@)[^\s'\"<>]*")


def shown(address: str) -> str:
    """Return scheme and host of a URL, the name of a device or of a file as it is, and *** for anything else."""
    scheme, separator, rest = address.partition("://")
    if separator:
        return _shown_url(scheme.lower(), rest)
    if re.fullmatch(r"[0-9]{1,3}|/dev/[\w/.:-]+", address) or _is_plain_file(address):
        return address
    return HIDDEN


def hides(address: str) -> bool:
    """Return whether there is more in an address than may be shown."""
    return shown(address) != address


def scrubbed(text: str) -> str:
    """Return a text with each address in it shown as above: for what libraries say, and as a second look at our own."""
    return _WORD.sub(_scrub, text)


def _scrub(found: re.Match[str]) -> str:
    word = found[0].rstrip(".,:;)")
    if word == "@" or _NOTHING_SECRET.fullmatch(word) or ("@" in word and _is_unit(word)):
        return found[0]
    start = word.rfind("=", 0, word.find("://")) + 1 if "://" in word else 0
    return word[:start] + shown(word[start:]) + found[0][len(word) :]


def _is_unit(word: str) -> bool:
    """systemd's templates are named such as getty@tty1.service."""
    return re.fullmatch(r"[\w-]+@[\w-]*\.(service|socket|timer)", word) is not None


def _shown_url(scheme: str, rest: str) -> str:
    if scheme not in _SCHEMES:
        return HIDDEN
    if scheme == "file":
        return "file://" + (rest if _is_plain_file(rest) else HIDDEN)
    authority, *more = re.split(r"[/?#\\;]", rest, maxsplit=1)
    host = _AUTHORITY.fullmatch(authority)
    # An @ behind the host: a password with a slash in it, or one in the query. Nobody can tell where the host is.
    if host is None or "@" in "".join(more):
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{host[1]}"


def _is_plain_file(text: str) -> bool:
    """A name without a slash, a path from the root or the present folder, or one whose folder is there."""
    if text.startswith("//") or not _PLAIN_PATH.fullmatch(text):
        return False
    path = Path(text)
    if text.startswith(("/", "./", "../")) or len(path.parts) == 1:
        return True
    try:
        return path.exists() or (path.parent.is_dir() and path.suffix.lower() in _VIDEO_SUFFIXES + PICTURE_SUFFIXES)
    except OSError:
        return False
