"""Addresses without the passwords in them."""

from __future__ import annotations

import re


def without_secrets(uri: str) -> str:
    """Return the URI with user, password and query masked, fit for logs and errors."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    # Greedy on purpose: a password may hold a slash or an at sign that should have been escaped.
    return scheme + separator + re.sub(r"(?s)\?.*", "?...", re.sub(r"(?s)^.*@", "***@", rest))


def has_secrets(uri: str | None) -> bool:
    return uri is not None and without_secrets(uri) != uri
