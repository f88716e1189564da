"""Addresses, and configurations, without the passwords in them."""

from __future__ import annotations

import re

from edge_agender.config.settings import Config


def without_secrets(uri: str) -> str:
    """Return the URI with user, password, query and fragment masked, fit for logs and errors."""
    url = re.fullmatch(r"(?s)([A-Za-z][A-Za-z0-9+.-]*://)([^?#]*)([?#]?)(.*)", uri)
    if url is None:
        # No URL, or one whose scheme was forgotten.
        return re.sub(r"(?s)^[^/]+:.*@", "***@", uri)
    scheme, address, mark, rest = url.groups()
    if "@" in rest:
        # In a query, or in a password that holds a ? or # unescaped: nobody can tell, so that nothing is shown.
        return f"{scheme}***"
    # Greedy on purpose: a password may hold a slash or an at sign that should have been escaped.
    return scheme + re.sub(r"(?s)^.*@", "***@", address) + (f"{mark}..." if mark else "")


def has_secrets(uri: str | None) -> bool:
    return uri is not None and without_secrets(uri) != uri


def masked(config: Config) -> Config:
    """The configuration as it may be shown."""
    uri = config.source.opencv.uri
    if uri is None:
        return config
    opencv = config.source.opencv.model_copy(update={"uri": without_secrets(uri)})
    return config.model_copy(update={"source": config.source.model_copy(update={"opencv": opencv})})
