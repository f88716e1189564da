"""What a request has at hand, and who asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, cast

from fastapi import Depends, HTTPException, Request

from edge_agender.common.attempts import Attempts
from edge_agender.fleet.accounts import Account, who
from edge_agender.fleet.settings import FleetConfig
from edge_agender.fleet.store import Database

COOKIE = "edge-agender-fleet"


@dataclass(slots=True)
class Context:
    config: FleetConfig
    database: Database
    metrics: Callable[[], bytes] = lambda: b""
    troubles: Callable[[], list[str]] = list
    attempts: Attempts = field(default_factory=Attempts)
    clock: Callable[[], float] = time.time


def context_of(request: Request) -> Context:
    return cast(Context, request.app.state.context)


Here = Annotated[Context, Depends(context_of)]


def asking(request: Request, here: Here) -> Account:
    """Return whose session this is, or answer 401."""
    word = request.cookies.get(COOKIE)
    account = who(here.database, word, here.clock()) if word else None
    if account is None:
        raise HTTPException(401, "log in first: POST /api/login")
    return account


Asking = Annotated[Account, Depends(asking)]


def operating(account: Asking) -> Account:
    if not account.operates:
        raise HTTPException(403, "only operators see this")
    return account


Operating = Annotated[Account, Depends(operating)]
