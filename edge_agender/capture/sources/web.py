"""Cameras behind http and https: what is there (pictures, MJPEG, a snapshot, a video), and reading its pictures.

Certificates are not checked: cameras have none that could be. Credentials stay with the host that they were given for.
"""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from edge_agender.capture.sources.jpegs import SOI, JpegParser
from edge_agender.errors import MediaError

_CHUNK_BYTES = 65536
# What tells a play list or a video from a picture or a page stands at the beginning.
_FEWEST_BYTES = 64
_PAGES = (b"<!doctype", b"<html")
_IMAGES = (SOI, b"\x89PNG", b"RIFF", b"BM", b"GIF8")
MAX_SNAPSHOT_BYTES = 16_000_000
_AGENT = "edge-agender"


class WebCamera:
    """One address. One thread uses it."""

    def __init__(self, address: str, timeout_s: float) -> None:
        """Raises MediaError where the address is none."""
        try:
            parts = urlsplit(address)
            self._host, port = parts.hostname, parts.port
        except ValueError:
            raise MediaError("its address cannot be understood: write http://host:port/path") from None
        if not self._host:
            raise MediaError("its address has no host: write http://host/path")
        name = f"[{self._host}]" if ":" in self._host else self._host
        netloc = name if port is None else f"{name}:{port}"
        self._url = urlunsplit((parts.scheme, netloc, parts.path or "/", parts.query, ""))
        self._timeout_s = timeout_s
        root = urlunsplit((parts.scheme, netloc, "/", "", ""))
        self._opener = _opener(root, unquote(parts.username or ""), unquote(parts.password or ""))

    def open(self) -> WebAnswer:
        """Ask for it. Raises MediaError, in words without the address."""
        request = urllib.request.Request(self._url, headers={"User-Agent": _AGENT, "Accept": "*/*"})
        try:
            return WebAnswer(self._opener.open(request, timeout=self._timeout_s), self._timeout_s)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise MediaError(_reason(error, self._timeout_s)) from None


class WebAnswer:
    """What came back, read no further than its beginning."""

    def __init__(self, response: Any, timeout_s: float) -> None:
        self._response, self._timeout_s = response, timeout_s
        self._kind = str(response.headers.get_content_type()) if "Content-Type" in response.headers else ""
        self._begin = b""
        while len(self._begin) < _FEWEST_BYTES and (chunk := self._read(_CHUNK_BYTES)):
            self._begin += chunk

    @property
    def is_page(self) -> bool:
        return self._begin.lstrip().lower().startswith(_PAGES)

    @property
    def is_pictures(self) -> bool:
        """True for MJPEG and for single pictures, by what they are before what they are said to be."""
        if self._begin.startswith(b"RIFF") and self._begin[8:12] != b"WEBP":
            return False
        begin = self._begin.lstrip()
        return begin.startswith((*_IMAGES, b"--")) or self._kind.startswith(("multipart/", "image/"))

    @property
    def is_jpeg(self) -> bool:
        """True where JPEGs come, one or one after another."""
        return self._begin.startswith(SOI) or not self._begin.startswith(_IMAGES)

    @property
    def length(self) -> int | None:
        """Bytes as announced; None for what has no end, or does not say."""
        text = self._response.headers.get("Content-Length", "")
        return int(text) if text.isdecimal() else None

    def jpegs(self) -> Iterator[bytes]:
        """Yield whole JPEG pictures as they come. Raises MediaError where the other side fails or sends none."""
        parser = JpegParser()
        yield from parser.feed(self._begin)
        while chunk := self._read(_CHUNK_BYTES):
            yield from parser.feed(chunk)

    def body(self) -> bytes:
        """Return all of it. Raises MediaError beyond MAX_SNAPSHOT_BYTES."""
        data = bytearray(self._begin)
        while len(data) <= MAX_SNAPSHOT_BYTES:
            chunk = self._read(_CHUNK_BYTES)
            if not chunk:
                return bytes(data)
            data += chunk
        raise MediaError(f"a picture of more than {MAX_SNAPSHOT_BYTES // 10**6} MB: choose a smaller one")

    def close(self) -> None:
        self._response.close()

    def _read(self, most: int) -> bytes:
        """What has come, at least a byte; empty at the end."""
        try:
            return bytes(self._response.read1(most))
        except http.client.IncompleteRead:
            return b""
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise MediaError(_reason(error, self._timeout_s)) from None


class _BasicAuth(urllib.request.HTTPBasicAuthHandler):
    """Credentials that were asked for once are sent along from then on, instead of being asked for every time."""

    passwd: urllib.request.HTTPPasswordMgrWithPriorAuth

    def __init__(self, passwords: urllib.request.HTTPPasswordMgrWithPriorAuth, host_url: str) -> None:
        super().__init__(passwords)
        self._host_url = host_url

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        answer = super().http_error_401(req, fp, code, msg, headers)
        if answer is not None:
            self.passwd.update_authenticated(self._host_url, True)
        return answer

    def http_response(self, req: Any, response: Any) -> Any:
        # Its parent takes any success for one of its own and would send a digest's password in clear.
        return response

    https_response = http_response


def _opener(host_url: str, user: str, password: str) -> urllib.request.OpenerDirector:
    """Return what opens http and https and nothing else: a redirection must not lead to a file of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.OpenerDirector()
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ]
    if user or password:
        passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
        passwords.add_password(None, host_url, user, password)
        handlers += [urllib.request.HTTPDigestAuthHandler(passwords), _BasicAuth(passwords, host_url)]
    for handler in handlers:
        opener.add_handler(handler)
    return opener


def _reason(error: Exception, timeout_s: float) -> str:
    """Return what failed, in words that hold no address."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, urllib.error.HTTPError):
        if error.code == 401:
            return "it wants another user name or password (401), written before its host as user:password@"
        words = http.client.responses.get(error.code, "an error")
        return f"it says {error.code} {words}: see its web page for the right path"
    if isinstance(cause, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return "it does not speak HTTP as it should" if isinstance(cause, http.client.HTTPException) else "cannot be opened"
