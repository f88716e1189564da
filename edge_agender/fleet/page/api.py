"""The API, described by /openapi.json. Everything but the login wants a session; figures are those of query.py."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from edge_agender.errors import ConfigError, UsageError
from edge_agender.fleet import overview, progress, query, rollouts
from edge_agender.fleet.accounts import log_in, log_out
from edge_agender.fleet.export import CSV_TYPE, PARQUET_TYPE, as_csv, as_parquet
from edge_agender.fleet.page.context import COOKIE, Asking, Here, Operating

routes = APIRouter(prefix="/api")

Format = Literal["json", "csv", "parquet"]
Text = Annotated[str | None, Query(max_length=200)]
Revision = Annotated[int, Path(ge=1, lt=2**53)]
Option = bool | int | float | Annotated[str, Field(max_length=200)]
Options = dict[str, Option | list[Option] | None]
Day = Annotated[date | None, Query(description="A day of the fleet's time zone, 2026-01-31; default: yesterday.")]


class Login(BaseModel):
    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=1024)]


class NewRollout(BaseModel):
    """What to change, of whom, and how carefully."""

    options: Annotated[Options, Field(max_length=200, description="By dotted name: {'window.length_s': 300}.")] = {}
    unset: Annotated[list[str], Field(max_length=200, description="Left to the device's own file again.")] = []
    whole: Annotated[bool, Field(description="All other options are left to the device too.")] = False
    site: Annotated[str, Field(max_length=200)] | None = None
    devices: Annotated[list[str], Field(max_length=10_000)] = []
    canary_percent: Annotated[float, Field(gt=0, le=100)] = 5.0
    minutes: Annotated[float, Field(ge=0, le=10_080, description="How long each device is watched.")] = 15.0


@routes.post("/login", summary="Begin a session: its word is in a cookie that scripts cannot read")
def login(body: Login, request: Request, response: Response, here: Here) -> dict[str, str]:
    address = request.client.host if request.client else "?"
    wait_s = here.attempts.wait_s(address)
    if wait_s:
        raise HTTPException(429, f"too many wrong passwords: wait {wait_s:.0f} s", {"Retry-After": f"{wait_s:.0f}"})
    session_s = here.config.page.session_h * 3600
    word = log_in(here.database, body.name, body.password, session_s, here.clock())
    if word is None:
        here.attempts.failed(address)
        raise HTTPException(401, "wrong name or password")
    response.set_cookie(
        COOKIE, word, max_age=int(session_s), httponly=True, samesite="strict", secure=here.config.page.https
    )
    return {"name": body.name}


@routes.post("/logout", summary="End the session")
def logout(request: Request, response: Response, here: Here) -> dict[str, str]:
    if word := request.cookies.get(COOKIE):
        log_out(here.database, word)
    response.delete_cookie(COOKIE)
    return {}


@routes.get("/me", summary="Whose session this is, and what the page starts with")
def me(account: Asking, here: Here) -> dict[str, Any]:
    rules = here.config.publish.rules()
    yesterday = date.fromisoformat(rules.day_of(here.clock())) - timedelta(days=1)
    return {
        **{"name": account.name, "role": account.role, "tenant": account.tenant},
        **{"timezone": here.config.publish.timezone, "min_cell": rules.k, "yesterday": yesterday.isoformat()},
        "troubles": here.troubles() if account.operates else [],
        **overview.choices(here.database, account.tenant),
    }


@routes.get("/audience", summary="Viewers, dwell and attention by hour, day, site, device or content")
def audience(
    account: Asking,
    here: Here,
    first: Day = None,
    last: Day = None,
    by: Annotated[list[query.AudienceBy] | None, Query()] = None,
    site: Text = None,
    device: Text = None,
    content: Text = None,
    format: Format = "json",
) -> Response:
    names = [*dict.fromkeys(by or ())]
    filters = _filters(here, account.tenant, first, last, site=site, device=device, content=content)
    rows = _asked(lambda: query.audience(here.database, filters, names))
    return _answer(rows, [*names, *query.AUDIENCE_COLUMNS], format, "audience", _about(here, filters))


@routes.get("/people", summary="Viewers by gender and age, with one standard deviation")
def people(
    account: Asking,
    here: Here,
    first: Day = None,
    last: Day = None,
    by: Annotated[list[query.PeopleBy] | None, Query()] = None,
    site: Text = None,
    device: Text = None,
    content: Text = None,
    gender: Text = None,
    age_band: Text = None,
    format: Format = "json",
) -> Response:
    names = [*dict.fromkeys(by or ())]
    filters = _filters(
        here, account.tenant, first, last, site=site, device=device, content=content, gender=gender, age_band=age_band
    )
    rows = _asked(lambda: query.people(here.database, here.config.publish.rules(), filters, names))
    return _answer(rows, [*names, *query.PEOPLE_COLUMNS], format, "people", _about(here, filters))


@routes.get("/openrtb", summary="imp.qty of OpenRTB 2.6 by screen and hour of the day")
def openrtb(
    account: Asking,
    here: Here,
    first: Day = None,
    last: Day = None,
    device: Text = None,
    play_s: Annotated[float, Query(gt=0, le=3600, description="How long one play lasts, seconds")] = 10.0,
) -> dict[str, Any]:
    filters = _filters(here, account.tenant, first, last, device=device)
    zone = here.config.publish.rules().zone
    return {"imp": _asked(lambda: query.quantities(here.database, filters, zone, play_s)), "play_s": play_s}


@routes.get("/devices", summary="Every device: state, last message, versions, alarms, what is missing")
def devices(account: Operating, here: Here) -> list[dict[str, Any]]:
    return overview.devices(here.database, account.tenant, here.config.offline_after_s, here.clock())


@routes.get("/gaps", summary="What is missing, and what became of it")
def gaps(account: Operating, here: Here) -> list[dict[str, Any]]:
    return overview.gaps(here.database, account.tenant)


@routes.get("/rollouts", summary="Configuration from afar: the latest rollouts, and how many devices took each over")
def list_rollouts(account: Operating, here: Here) -> list[dict[str, Any]]:
    return progress.rollouts(here.database, account.tenant)


@routes.get("/rollouts/{revision}", summary="What became of each device of a rollout")
def rollout(revision: Revision, account: Operating, here: Here) -> list[dict[str, Any]]:
    return progress.of_devices(here.database, revision, account.tenant)


@routes.post("/rollouts", summary="Begin a rollout over devices of the account's tenant")
def begin_rollout(body: NewRollout, account: Operating, here: Here) -> dict[str, Any]:
    scope = rollouts.Scope(account.tenant, body.site, tuple(body.devices))
    changes = rollouts.Changes(body.options, tuple(body.unset), body.whole)
    begun = _asked(
        lambda: rollouts.begin(
            here.database,
            scope,
            changes,
            canary_percent=body.canary_percent,
            soak_s=60 * body.minutes,
            offline_after_s=here.config.offline_after_s,
            by=account.name,
            now_s=here.clock(),
        )
    )
    return asdict(begun)


@routes.post("/rollouts/{revision}/rollback", summary="Take a rollout back: each device gets what it had before")
def take_rollout_back(revision: Revision, account: Operating, here: Here) -> dict[str, Any]:
    by = account.name
    back = _asked(lambda: rollouts.take_back(here.database, revision, account.tenant, by, f"by {by}", here.clock()))
    return {"revision": back}


def _filters(here: Here, tenant: str, first: date | None, last: date | None, **values: str | None) -> query.Filters:
    yesterday = date.fromisoformat(here.config.publish.rules().day_of(here.clock())) - timedelta(days=1)
    start = first or last or yesterday
    end = last or start
    return query.Filters(start.isoformat(), end.isoformat(), tenant, **values)


def _asked(find: Any) -> Any:
    try:
        return find()
    except (ConfigError, UsageError) as error:
        raise HTTPException(422, str(error)) from None


def _about(here: Here, filters: query.Filters) -> dict[str, Any]:
    return {"first": filters.first_day, "last": filters.last_day} | query.coverage(here.database, filters)


def _answer(rows: list[dict[str, Any]], names: list[str], form: str, what: str, about: dict[str, Any]) -> Response:
    if form == "json":
        return JSONResponse({"rows": rows, "about": about})
    made, kind = (as_csv(rows, names), CSV_TYPE) if form == "csv" else (as_parquet(rows, names), PARQUET_TYPE)
    file = f"{what}-{about['first']}-{about['last']}.{form}"
    return Response(made, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{file}"'})
