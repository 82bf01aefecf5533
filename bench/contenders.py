"""Contenders: how each server is started, and how clients talk to it."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

from project.ports import free_port

from . import accounts, dialects, event_dialects
from .baselines import hubs, peers
from .dialects import Dialect
from .process import ROOT, Server, python, run

TUTORIAL = "bench.baselines.tutorial:application"
PRODUCT = "project.asgi:application"
PROTOCOLS = (
    *("--http", "sync_streams.uvicorn:BoundedHttpProtocol"),
    *("--ws", "sync_streams.uvicorn:FramePathProtocol"),
    *("--lifespan", "on"),
)
"""uvicorn options for the product's own protocol classes, those of ``make serve``."""

EVENTSTREAM = "bench.baselines.eventstream:application"

Make = Callable[[int, dict[str, str]], Server]
"""Creates a server for a port and an environment."""

MakeDialect = Callable[[int, int], Dialect]
"""Creates a dialect for a number of Streams and a size of data."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One design on one server."""

    name: str
    group: str
    """``product``, ``twilsock``, ``tutorial``, ``layer`` (the tutorial over Redis),
    ``peer``, or ``sse`` for those that only this transport compares."""

    make: Make
    dialect: MakeDialect
    """Creates the dialect for a number of Streams and a size of data."""

    http: MakeDialect | None = None
    """Creates the dialect that publishes over HTTP, if the server supports that."""

    env: Callable[[], dict[str, str]] = dict
    needs_redis: bool = False
    missing: Callable[[], str] = lambda: ""
    """Returns why it cannot run here; empty if it can."""

    def start(self, redis_url: str = "", **env: str) -> Server:
        """Return the server, not yet started, on a free port."""
        env = self.env() | env | ({"REDIS_URL": redis_url} if redis_url else {})
        return self.make(free_port(), env)


def daphne(application: str) -> Make:
    """Serve an application with Daphne."""

    def make(port: int, env: dict[str, str]) -> Server:
        arguments = ["-b", "127.0.0.1", "-p", str(port), "-v", "0", application]
        return Server(python("daphne", *arguments), port=port, env=env)

    return make


def uvicorn(application: str, *options: str) -> Make:
    """Serve an application with uvicorn, without compression."""

    def make(port: int, env: dict[str, str]) -> Server:
        arguments = ["--port", str(port), "--log-level", "warning", "--lifespan", "off"]
        arguments += ["--ws-per-message-deflate", "false", *options]
        workers = env.pop("WORKERS", "1")
        command = python("uvicorn", application, *arguments, "--workers", workers)
        return Server(command, port=port, env=env)

    return make


def granian(application: str) -> Make:
    """Serve an application with Granian."""

    def make(port: int, env: dict[str, str]) -> Server:
        arguments = ["--interface", "asginl", "--port", str(port), "--no-log"]
        command = python("granian", *arguments, application)
        return Server(command, port=port, env=env)

    return make


@lru_cache(maxsize=1)
def product_environment() -> dict[str, str]:
    """Create a database for the product once; return the environment that names it."""
    env = accounts.ENVIRONMENT | {
        "DATA_DIR": tempfile.mkdtemp(prefix="bench-product-"),
        "DJANGO_SETTINGS_MODULE": "bench.settings",
        "ALLOWED_HOSTS": "*",
    }
    run(python("django", "migrate", "--verbosity", "0"), env=env)
    run(python("bench.streams"), env=env)
    return env


def _tutorial(server: str, make: Make, layer: str) -> Contender:
    return Contender(
        name=f"tutorial-{server}" + ("" if layer == "memory" else f"-{layer}"),
        group="tutorial" if layer == "memory" else "layer",
        make=make,
        dialect=dialects.tutorial,
        env=lambda: {"LAYER": layer},
        needs_redis=layer != "memory",
    )


def _ours(
    group: str,
    server: str,
    make: Make,
    *,
    dialect: MakeDialect,
    http: MakeDialect | None = None,
) -> Contender:
    return Contender(
        name=f"{group}-{server}",
        group=group,
        make=make,
        dialect=dialect,
        http=http,
        env=product_environment,
    )


_product = partial(_ours, "product", dialect=dialects.product, http=dialects.rest)
_twilsock = partial(_ours, "twilsock", dialect=dialects.twilsock)
_sse = partial(_ours, "sse", dialect=event_dialects.product)


def _node(
    name: str,
    script: str,
    dialect: MakeDialect,
    http: MakeDialect | None = None,
) -> Contender:
    return Contender(
        name=name,
        group="peer",
        make=lambda port, env: peers.node(script, port),
        dialect=dialect,
        http=http,
        missing=peers.node_missing,
    )


def _hub(
    name: str,
    start: Callable[[int], Server],
    *,
    dialect: MakeDialect,
    http: MakeDialect | None = None,
) -> Contender:
    is_sse = name.startswith("sse-")
    return Contender(
        name=name,
        group="sse" if is_sse else "peer",
        make=lambda port, env: start(port),
        dialect=dialect,
        http=http,
        missing=lambda: hubs.missing(name.removeprefix("sse-")),
    )


LAYERS = ("memory", "core", "pubsub")
CONTENDERS = [
    *(_tutorial("daphne", daphne(TUTORIAL), layer) for layer in LAYERS),
    *(_tutorial("uvicorn", uvicorn(TUTORIAL), layer) for layer in LAYERS),
    Contender(
        name="eventstream-uvicorn",
        group="peer",
        make=uvicorn(EVENTSTREAM),
        dialect=event_dialects.django_eventstream,
        env=lambda: {"PYTHONPATH": f"{ROOT}{os.pathsep}{peers.CACHE / 'eventstream'}"},
        missing=peers.eventstream_missing,
    ),
    _product("daphne", daphne(PRODUCT)),
    _product("granian", granian(PRODUCT)),
    _product("uvicorn", uvicorn(PRODUCT)),
    _product("frames", uvicorn(PRODUCT, *PROTOCOLS)),
    _twilsock("daphne", daphne(PRODUCT)),
    _twilsock("uvicorn", uvicorn(PRODUCT)),
    _twilsock("frames", uvicorn(PRODUCT, *PROTOCOLS)),
    _node("node-ws", "ws.js", dialects.tutorial, dialects.tutorial_http),
    _node("node-socket.io", "socketio.js", dialects.socket_io),
    Contender(
        name="nchan",
        group="peer",
        make=lambda port, env: peers.nchan(port),
        dialect=dialects.nchan,
        http=dialects.nchan,
        missing=peers.nchan_missing,
    ),
    _hub(
        "centrifugo",
        hubs.centrifugo,
        dialect=dialects.centrifugo,
        http=dialects.centrifugo_http,
    ),
    _hub("sse-centrifugo", hubs.centrifugo, dialect=event_dialects.centrifugo),
    _hub("sse-mercure", hubs.mercure, dialect=event_dialects.mercure),
    _sse("uvicorn", uvicorn(PRODUCT)),
    _sse("frames", uvicorn(PRODUCT, *PROTOCOLS)),
]
BASELINE = CONTENDERS[0].name
