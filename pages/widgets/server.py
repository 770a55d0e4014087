"""What the server does besides the pages: it says whether the app works and what has changed in a class,
refuses some requests, and prepares the first page.

Imported when the server starts, so it must not import the engine, which takes seconds.
"""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.web.server.starlette.starlette_websocket import is_host_allowed

from engine.jobs.health import NOT_STARTED, Health
from pages.widgets.deferred_import import defer
from pages.widgets.kept_files import keep_files
from pages.widgets.public_mode import policy

if TYPE_CHECKING:
    from engine.jobs.service import BackgroundEngine

HEALTH = "/healthz"
CLASS_STATE, DRAWN = "class-state", "drawn"
"""Next to the pages, which ask for them by these names."""
PREFIX = f"/{(st.get_option('server.baseUrlPath') or '').strip('/')}".rstrip("/")
"""What the paths of the pages begin with, such as `/prunescope`; usually nothing."""
FRESH = 2.0
"""Seconds for which an answer about the engine is repeated, so that many polls cost no more than one."""
REFUSED = (
    "This app does not answer to the name in this address. If it is the app's name, restart the app with "
    "--server.allowedHosts and this name."
)
UPLOAD = "/_stcore/upload_file/"
NO_UPLOADS = "This app is public and takes no files. Run Prunescope on your own machine to use your own."


class KnownHosts:
    """Refuses requests that name another host than `server.allowedHosts`, as a page does whose own name was
    made to resolve to this machine (DNS rebinding). Streamlit itself checks the pages' connections only.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _may_ask(scope["path"], Headers(scope=scope).get("host")):
            await PlainTextResponse(REFUSED, 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class NoUploads:
    """Refuses files in public mode: no page takes any there, and the server would hold them in memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and UPLOAD in scope["path"] and scope["method"] == "PUT" and policy():
            await PlainTextResponse(NO_UPLOADS, 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _may_ask(path: str, host: str | None) -> bool:
    # Container platforms poll the health check by address. A rebinding page has a name.
    return is_host_allowed(host) or (
        path in (HEALTH, PREFIX + HEALTH) and host is not None and _is_address(host)
    )


def _is_address(host: str) -> bool:
    """Whether a Host header is an IP address, or this machine's name for itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return "@" not in host and (name == "localhost" or bool(ipaddress.ip_address(name)))
    except ValueError:
        return False


class HealthCheck:
    """Answers whether the engine works: 200 if it does or can be started, else 503, with a sentence.

    Attributes:
        engine: the app's engine, once a visit has started it.
    """

    def __init__(self) -> None:
        self.engine: BackgroundEngine | None = None
        self._asking = asyncio.Lock()
        self._health = NOT_STARTED
        self._asked_at = -FRESH

    async def answer(self, request: Request) -> JSONResponse:
        """Answer a poll. Polls that arrive together wait for one question to the engine."""
        async with self._asking:
            if time.monotonic() - self._asked_at >= FRESH:
                self._health = await self._ask()
                self._asked_at = time.monotonic()
        status = 503 if self._health.state == "failed" else 200
        return JSONResponse(asdict(self._health), status, {"Cache-Control": "no-store"})

    async def _ask(self) -> Health:
        # In a thread: a worker that does not answer must not hold up the pages.
        return NOT_STARTED if self.engine is None else await asyncio.to_thread(self.engine.health)


FIRST_PAGE = (
    "pages.widgets.frame",
    "pages.widgets.explore.recipe_form",
    "pages.widgets.explore.cost",
    "pages.widgets.explore.formula_editor",
    "pages.widgets.explore.allocation_editor",
    "pages.widgets.explore.allocation_trials",
    "pages.widgets.explore.welcome",
    "pages.widgets.explore.run_view",
    "pages.widgets.explore.finished_run",
    "engine.jobs.service",
)
"""What Explore imports."""
SWITCH = 0.0005
"""Seconds after which the preparation lets another thread run, ten times as often as usual: the server sends
the app's scripts meanwhile, and waits for its turn before each piece.
"""


@asynccontextmanager
async def warm_up(app: object) -> AsyncIterator[None]:
    """Prepare Explore while the browser still loads the app's scripts: its imports take two seconds. Called
    when the server starts, and left when it ends.
    """
    keep_files()
    defer("torch")  # importing it takes as long as all that Explore needs
    threading.Thread(target=_prepare, name="prunescope-first-page", daemon=True).start()
    yield
    if health_check.engine is not None:
        health_check.engine.classes.save()  # here: the server then ends by its signal and waits for no thread


def _prepare() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    gc.disable()  # looking for garbage among so many new objects would take a sixth of the time
    try:
        for name in FIRST_PAGE:
            import_module(name)
        _draw_once()
    finally:
        gc.freeze()  # what was imported stays: no later collection needs to look through it
        gc.enable()
        sys.setswitchinterval(interval)


def _draw_once() -> None:
    """Build the charts that Explore shows first, without showing them: Plotly keeps what it looks up for the
    first chart of a kind.
    """
    from engine.charts.run_charts import chart_parts
    from engine.recipe import Recipe, pin
    from engine.store.runs import Store

    folder = Store().find(pin(Recipe.build()).key)
    if folder.recorded:
        record = folder.record()
        for makers in chart_parts(record, None, clickable=True).values():
            for make in makers.values():
                make(record)


health_check = HealthCheck()


async def answer_class(request: Request) -> JSONResponse:
    """Answer the poll of a page that is open in a class: what has changed, without a run of its script."""
    asked = request.query_params.get
    engine = health_check.engine
    view = engine.classes.follow(asked("class", ""), asked("ticket", "")) if engine is not None else None
    if view is None:
        return JSONResponse({}, 404)
    found = {"version": view.version, "changes": view.changes, "text": view.describe(asked("question", ""))}
    return JSONResponse(found, headers={"Cache-Control": "no-store"})


async def begin(request: Request) -> Response:
    """Let the engine begin its work: a browser has drawn a page. Any visitor may say so."""
    if health_check.engine is not None:
        health_check.engine.begun.set()
    return Response(status_code=204)


def routes() -> list[Route]:
    """Return what the server answers besides Streamlit's pages. The health check is below the prefix, for who
    reaches the app through a proxy, and at the root, for the container.
    """
    checks = dict.fromkeys((HEALTH, PREFIX + HEALTH))
    return [
        *(Route(path, health_check.answer) for path in checks),
        Route(f"{PREFIX}/{CLASS_STATE}", answer_class),
        Route(f"{PREFIX}/{DRAWN}", begin, methods=["POST"]),
    ]


MIDDLEWARE = [Middleware(KnownHosts), Middleware(NoUploads)]
