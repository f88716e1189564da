"""Puts the API, the page's files and the headers together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse

from edge_agender import __version__
from edge_agender.fleet.page.api import routes
from edge_agender.fleet.page.context import Context, Here
from edge_agender.fleet.store import StoreBusyError

_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_TYPES |= {".js": "text/javascript; charset=utf-8", ".txt": "text/plain; charset=utf-8"}
_FILES = (
    "index.html", "style.css", "page.js", "views.js", "icon.svg",
    "uplot-1.6.32.min.js", "uplot-1.6.32.min.css", "uplot-LICENSE.txt",
)  # fmt: skip
HEADERS = {
    # uPlot sizes its canvases by style attributes.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def make_app(context: Context) -> FastAPI:
    """Return the application. Its documentation pages are left out: they would load scripts from elsewhere."""
    app = FastAPI(title="edge-agender fleet", version=__version__, docs_url=None, redoc_url=None)
    app.state.context = context
    app.include_router(routes)
    app.middleware("http")(_with_headers)
    app.exception_handler(StoreBusyError)(_busy)
    app.exception_handler(RequestValidationError)(_refused)
    for name in _FILES:
        _add_file(app, name)
    app.get("/healthz", include_in_schema=False)(_healthz)
    app.get("/metrics", include_in_schema=False)(_metrics)
    return app


def _add_file(app: FastAPI, name: str) -> None:
    path = files("edge_agender.fleet.page") / "static" / name
    kind = next(kind for ending, kind in _TYPES.items() if name.endswith(ending))

    def send() -> Response:
        return Response(path.read_bytes(), media_type=kind)

    for route in (f"/{name}", *(("/",) if name == "index.html" else ())):
        app.get(route, include_in_schema=False)(send)


async def _with_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


async def _busy(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": "5"})


async def _refused(_request: Request, error: RequestValidationError) -> JSONResponse:
    """What was sent is not sent back: it may be a password, or a number that JSON does not have."""
    detail = [{name: one[name] for name in ("type", "loc", "msg")} for one in error.errors()]
    return JSONResponse({"detail": detail}, 422)


def _healthz(here: Here) -> dict[str, Any]:
    troubles = here.troubles()
    if troubles:
        raise HTTPException(503, "failing")
    return {"status": "ok"}


def _metrics(here: Here) -> PlainTextResponse:
    """Counts of messages, not of people; without a session, as Prometheus comes."""
    return PlainTextResponse(here.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")
