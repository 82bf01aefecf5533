"""Commands as people type them: real processes, a real server."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from io import StringIO
from socket import create_server

import jwt
import pytest
from django.core.management import CommandError, call_command, get_commands
from twilio.rest import Client
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from sync_streams.management import sockets
from sync_streams.management.commands.sync_bench import histogram
from sync_streams.management.commands.sync_tail import Command as Tail
from sync_streams.management.destination import Destination
from sync_streams.management.subscription import MAX_PAUSE_SECONDS, follow, pause
from sync_streams.tokens import MAX_LIFETIME_SECONDS
from sync_streams.websocket.protocol import SUBPROTOCOL
from tests.clients.json_socket import SiteSocket
from tests.clients.rest import WAIT_SECONDS, post, publish
from tests.commands.manage import environ_of, manage, running
from tests.conftest import StartSite
from tests.overrides import Override, overrides
from tests.programs import ROOT, DemoSite
from tests.proxy import Proxy
from tests.waiting import wait_until

override = pytest.fixture(overrides)


@pytest.fixture
def stream(embedded: DemoSite) -> str:
    return str(post(embedded, "/default/Streams", Ttl=600)["sid"])


async def test_publish_reaches_subscribers_of_a_server(
    embedded: DemoSite, stream: str
) -> None:
    async with SiteSocket(embedded) as socket:
        await socket.ask("subscribe", stream=stream)

        done = manage(
            *("sync_publish", stream, '{"é": [1.5, null]}', "--url", embedded.base_url),
            environ=environ_of(embedded),
        )

        message = (await socket.receive())["message"]
    assert done.returncode == 0
    assert done.stdout.strip() == message["sid"]
    assert message["data"] == {"é": [1.5, None]}


def test_publish_reads_standard_input(embedded: DemoSite, stream: str) -> None:
    done = manage(
        *("sync_publish", stream, "-", "--url", embedded.base_url),
        environ=environ_of(embedded),
        text='{"n": 1}',
    )

    assert done.stdout.startswith("TZ")


@pytest.mark.parametrize(
    ("data", "error"),
    [("[1]", "54008"), ("{", "54008"), (json.dumps({"x": "x" * 4090}), "54006")],
)
def test_publish_explains_its_errors(
    embedded: DemoSite,
    stream: str,
    monkeypatch: pytest.MonkeyPatch,
    data: str,
    error: str,
) -> None:
    monkeypatch.setenv("SYNC_ACCOUNT_SID", embedded.account_sid)
    monkeypatch.setenv("SYNC_AUTH_TOKEN", embedded.auth_token)

    with pytest.raises(CommandError, match=f"^{error}: "):
        call_command("sync_publish", stream, data, "--url", embedded.base_url)


def test_error_of_a_command_is_one_line(embedded: DemoSite, stream: str) -> None:
    done = manage(
        *("sync_publish", stream, "[1]", "--url", embedded.base_url),
        environ=environ_of(embedded),
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("CommandError: 54008: ")
    assert done.stderr.count("\n") == 1


def test_publish_uses_the_credentials_of_the_environment(
    embedded: DemoSite, stream: str
) -> None:
    environ = environ_of(embedded, DJANGO_SETTINGS_MODULE="tests.settings")
    arguments = ["sync_publish", stream, "{}", "--url", embedded.base_url]
    stranger = manage(*arguments, environ=environ)
    known = manage(
        *arguments,
        environ={
            **environ,
            "SYNC_ACCOUNT_SID": embedded.account_sid,
            "SYNC_AUTH_TOKEN": embedded.auth_token,
        },
    )

    assert stranger.stderr == "CommandError: 20003: Authenticate\n"
    assert known.returncode == 0


@pytest.fixture
def no_accounts(override: Override) -> None:
    """Leave a project that has no account of its own."""
    override(ACCOUNTS={})


@pytest.mark.usefixtures("no_accounts")
@pytest.mark.parametrize("command", ["sync_bench", "sync_publish x {}"])
def test_access_token_does_not_replace_an_auth_token(
    embedded: DemoSite, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("SYNC_ACCOUNT_SID", embedded.account_sid)
    monkeypatch.setenv("SYNC_TOKEN", embedded.account.token())

    with pytest.raises(CommandError) as refusal:
        call_command(*command.split(), "--url", embedded.base_url)

    assert str(refusal.value) == "No auth token is known. Set SYNC_AUTH_TOKEN."


@pytest.mark.usefixtures("no_accounts")
def test_tail_needs_only_an_access_token(
    embedded: DemoSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNC_TOKEN", embedded.account.token())

    # It has got as far as the Stream.
    with pytest.raises(CommandError, match="54300"):
        call_command("sync_tail", "nowhere", "--url", embedded.base_url)


@pytest.mark.usefixtures("no_accounts")
@pytest.mark.parametrize("command", ["sync_tail x", "issue_sync_token alice"])
def test_command_that_needs_an_account_says_so(
    embedded: DemoSite, command: str
) -> None:
    with pytest.raises(CommandError, match=r'SYNC_STREAMS\["ACCOUNTS"\] is empty'):
        call_command(*command.split(), "--url", embedded.base_url)


@pytest.mark.redis
async def test_publish_and_tail_work_here_with_redis(
    start_site: StartSite, redis_url: str
) -> None:
    site = start_site(REDIS_URL=redis_url)
    environ = environ_of(site, REDIS_URL=redis_url)
    async with SiteSocket(site) as socket:
        await socket.ask("subscribe", stream="demo")
        with running("sync_tail", "demo", "--json", environ=environ) as tail:
            tail.wait_until_told("Subscribed to TO")

            done = manage("sync_publish", "demo", '{"n": 1}', environ=environ)

            frame = await socket.receive()
            assert done.stdout.strip() == frame["message"]["sid"]
            assert json.loads(tail.line()) == frame
            assert tail.interrupt() == 0


def test_tail_prints_messages_for_people(embedded: DemoSite, stream: str) -> None:
    environ, url = environ_of(embedded), embedded.base_url
    with running("sync_tail", stream, "--url", url, environ=environ) as tail:
        tail.wait_until_told(f"Subscribed to {stream}.")

        sid = publish(embedded, stream, {"é": 1})

        _, printed_sid, data = tail.line().split(" ", 2)
        assert (printed_sid, data) == (sid, '{"é":1}')
        assert tail.interrupt() == 0
        assert tail.stderr.empty()


def test_tail_survives_a_restart_of_the_server(start_site: StartSite) -> None:
    site = start_site()
    environ, url = environ_of(site), site.base_url
    with running("sync_tail", "demo", "--json", "--url", url, environ=environ) as tail:
        tail.wait_until_told("Subscribed")
        site.stop()
        tail.wait_until_told("Disconnected")
        site.start()
        tail.wait_until_told("Subscribed")

        publish(site, "demo", {"n": 2})

        assert json.loads(tail.line())["message"]["data"] == {"n": 2}
        assert tail.interrupt() == 0


async def test_tail_reconnects_when_the_path_dies_silently(
    embedded: DemoSite, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setenv("SYNC_TOKEN", embedded.account.token())
    told = asyncio.Queue[str]()

    async with Proxy(int(embedded.base_url.rpartition(":")[2])) as proxy:
        there = Destination(url=proxy.base_url, service="default", account_sid="")
        frames = follow(there, stream, "tail", told.put_nowait)
        reading = asyncio.ensure_future(anext(frames))
        async with asyncio.timeout(WAIT_SECONDS):
            assert (await reading)["type"] == "subscribed"
            proxy.is_silent = True
            reading = asyncio.ensure_future(anext(frames))
            while "Disconnected" not in await told.get():
                continue
            proxy.is_silent = False
            assert (await reading)["type"] == "subscribed"
        await frames.aclose()


@pytest.fixture
def mute() -> Iterator[str]:
    """Return the URL of a server that accepts connections and never answers."""
    with create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def unanswering(connection: ServerConnection) -> None:
    await connection.wait_closed()


@pytest.fixture
async def taciturn() -> AsyncIterator[str]:
    """Return the URL of a WebSocket server that answers no frame."""
    protocols = [Subprotocol(SUBPROTOCOL)]
    async with serve(unanswering, "127.0.0.1", 0, subprotocols=protocols) as server:
        [listener] = server.sockets
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_server_that_answers_no_handshake_is_reported(
    mute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "CONNECT_SECONDS", 0.2)

    with pytest.raises(CommandError, match="does not answer in time"):
        call_command("issue_sync_token", "alice", "--url", mute)


async def test_server_that_answers_no_frame_is_reported(
    taciturn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "ANSWER_SECONDS", 0.2)

    with pytest.raises(CommandError, match="does not answer 'connect' in time"):
        await asyncio.to_thread(
            call_command, "issue_sync_token", "alice", "--url", taciturn
        )


def test_tail_ends_with_its_stream(embedded: DemoSite) -> None:
    stream = post(embedded, "/default/Streams")["sid"]
    environ, url = environ_of(embedded), embedded.base_url
    with running("sync_tail", stream, "--url", url, environ=environ) as tail:
        tail.wait_until_told("Subscribed")
        post(embedded, f"/default/Streams/{stream}", Ttl=1)
        tail.wait_until_told("The Stream was removed.")

        assert tail.process.wait(30) == 0


def test_tail_of_an_unknown_stream_is_an_error(embedded: DemoSite) -> None:
    done = manage(
        *("sync_tail", "nowhere", "--url", embedded.base_url),
        environ=environ_of(embedded),
    )

    assert done.returncode == 1
    assert "54300" in done.stderr


def test_tail_ends_quietly_when_its_reader_closes_the_pipe(
    embedded: DemoSite, stream: str
) -> None:
    command = f"{sys.executable} manage.py sync_tail {stream}"
    with subprocess.Popen(
        f"({command} --url {embedded.base_url}; echo $? >&2) | head -n 1",
        shell=True,
        cwd=ROOT,
        env=environ_of(embedded),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as pipe:
        assert pipe.stderr is not None
        told = [pipe.stderr.readline()]
        while pipe.returncode is None:
            publish(embedded, stream, {})
            with suppress(subprocess.TimeoutExpired):
                pipe.wait(0.1)
        told += pipe.stderr.readlines()

    assert told == [f"Subscribed to {stream}.\n", "0\n"]


def test_token_is_all_that_is_printed(embedded: DemoSite) -> None:
    done = manage(
        *("issue_sync_token", "alice", "--url", embedded.base_url),
        environ=environ_of(embedded),
    )

    assert done.returncode == 0
    assert done.stdout.count(".") == 2
    assert len(done.stdout.split()) == 1


def test_token_that_the_server_refuses_is_an_error(embedded: DemoSite) -> None:
    done = manage(
        *("issue_sync_token", "alice", "--url", embedded.base_url),
        environ=environ_of(embedded, DJANGO_SETTINGS_MODULE="tests.settings"),
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "20103" in done.stderr


@pytest.mark.parametrize("ttl", [1, MAX_LIFETIME_SECONDS])
def test_token_lives_as_long_as_it_may(ttl: int) -> None:
    out = StringIO()

    call_command("issue_sync_token", "alice", "--ttl", str(ttl), stdout=out)

    token = out.getvalue().strip()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == ttl


def test_expire_streams_says_how_many(embedded: DemoSite) -> None:
    done = manage("expire_streams", environ=environ_of(embedded))

    assert re.fullmatch(r"Removed \d+ Streams\.\n", done.stdout)


def test_expire_streams_goes_on_until_interrupted(embedded: DemoSite) -> None:
    environ = environ_of(embedded)
    with running("expire_streams", "--interval", "0.1", environ=environ) as sweeper:
        lines = [sweeper.line() for _ in range(3)]

        assert all(line.startswith("Removed ") for line in lines)

        assert sweeper.interrupt() == 0
        assert sweeper.stderr.empty()


@pytest.mark.parametrize("where", ["here", "there"])
def test_bench_loses_nothing_and_cleans_up(embedded: DemoSite, where: str) -> None:
    url = ["--url", embedded.base_url] if where == "there" else []

    done = manage(
        *("sync_bench", "--streams", "2", "--subscribers", "5", "--seconds", "1", *url),
        environ=environ_of(embedded),
    )

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "20 published, 50 of 50 delivered, 0 lost"
    assert lines[1].startswith("latency p50 ")
    assert "100%" in done.stderr


def test_bench_that_exceeds_a_limit_says_so(embedded: DemoSite) -> None:
    done = manage(
        *("sync_bench", "--rate", "40", "--seconds", "2", "--subscribers", "1"),
        environ=environ_of(embedded),
    )

    assert done.returncode == 1
    assert "54009" in done.stderr


REFUSED = "Cannot connect to 127.0.0.1 port 1: connection refused."


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("sync_bench --service nowhere", "54050: "),
        ("sync_bench --streams 0", "above 0"),
        ("sync_bench --subscribers 0", "above 0"),
        ("sync_bench --rate nan", "above 0"),
        ("sync_bench --seconds inf", "above 0"),
        ("issue_sync_token alice --account-sid ACx", "ACx has no API key"),
        ("issue_sync_token alice --ttl 0", "ttl must be"),
        (f"issue_sync_token alice --ttl {MAX_LIFETIME_SECONDS + 1}", "ttl must be"),
        ("issue_sync_token alice --url http://127.0.0.1:1", REFUSED),
        ("sync_publish x {} --url http://127.0.0.1:1", REFUSED),
        ("sync_bench --url http://127.0.0.1:1", REFUSED),
        (
            "sync_publish x {} --url http://nowhere.invalid",
            "No address is known for the host nowhere.invalid.",
        ),
        ("sync_publish x {}", "The in-memory channel layer"),
        ("sync_tail x", "The in-memory channel layer"),
        ("sync_tail x --url example.com", "--url"),
        ("sync_tail x --url ftp://example.com", "--url"),
        ("sync_publish x {} --url http:", "--url"),
        ("sync_publish x {} --url http://[", "--url"),
        ("expire_streams --interval 0", "above 0"),
        ("expire_streams --interval nan", "above 0"),
    ],
)
def test_a_refusal_is_an_error_of_the_command(arguments: str, error: str) -> None:
    with pytest.raises(CommandError, match=re.escape(error)):
        call_command(*arguments.split())


def test_invalid_json_is_reported_with_its_position(
    embedded: DemoSite, stream: str
) -> None:
    done = manage(
        *("sync_publish", stream, '{"a": 1,\n"b" 2}', "--url", embedded.base_url),
        environ=environ_of(embedded),
    )

    assert done.stderr == (
        "CommandError: 54008: not valid JSON: Expecting ':' delimiter "
        "(line 2, column 5).\n"
    )


def test_server_without_our_socket_is_reported(embedded: DemoSite) -> None:
    environ = environ_of(embedded)
    url = f"{embedded.base_url}/elsewhere"

    done = manage("issue_sync_token", "alice", "--url", url, environ=environ)

    assert "is not a Sync Streams WebSocket: it answered 403." in done.stderr


def test_unreachable_redis_is_reported_with_host_and_port(embedded: DemoSite) -> None:
    environ = environ_of(embedded, REDIS_URL="redis://127.0.0.1:1/0")

    done = manage("sync_publish", "demo", "{}", environ=environ)

    logged, error = done.stderr.splitlines()
    assert "Redis 127.0.0.1:1 unreachable for 0.0 s: connection refused" in logged
    assert error.startswith("CommandError: 20503: ")


def test_terminal_without_utf_8_gets_all_messages(
    embedded: DemoSite, stream: str
) -> None:
    environ = {**environ_of(embedded), "PYTHONIOENCODING": "ascii"}
    with running(
        "sync_tail", stream, "--url", embedded.base_url, environ=environ
    ) as tail:
        tail.wait_until_told("Subscribed")
        publish(embedded, stream, {"é": "☕"})

        data = tail.line().split(" ", 2)[2]

        assert json.loads(data) == {"é": "☕"}
        assert tail.interrupt() == 0


OURS = sorted(name for name, app in get_commands().items() if app == "sync_streams")


@pytest.mark.parametrize("command", OURS)
def test_help_has_examples_on_every_terminal(command: str) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = manage(command, "--help", environ=environ)

    assert done.returncode == 0
    assert f"examples:\n  manage.py {command}" in done.stdout


def test_bench_shows_its_figures_on_every_terminal(embedded: DemoSite) -> None:
    done = manage(
        *("sync_bench", "--subscribers", "1", "--seconds", "1"),
        environ={**environ_of(embedded), "PYTHONIOENCODING": "ascii"},
    )

    assert done.returncode == 0
    assert re.search(r"<= +\d+\.\d\d ms +\d+ #+", done.stdout)


async def test_bench_keeps_its_figures_when_it_is_interrupted(
    embedded: DemoSite,
) -> None:
    url = embedded.base_url
    arguments = "--subscribers", "3", "--rate", "20", "--seconds", "60", "--url", url
    with running("sync_bench", *arguments, environ=environ_of(embedded)) as bench:
        async with SiteSocket(embedded) as socket:
            found = await asyncio.to_thread(first_stream_of_a_bench, embedded)
            await socket.ask("subscribe", stream=found)
            for _ in range(3):
                await socket.receive()
        code = bench.interrupt()

        published, *_, lost, _ = bench.line().split()
    assert int(published) >= 2
    assert lost == "0"
    assert code == 130
    assert not streams_of_benches(embedded)


def first_stream_of_a_bench(site: DemoSite) -> str:
    return wait_until(lambda: streams_of_benches(site), WAIT_SECONDS)[0]


def streams_of_benches(site: DemoSite) -> list[str]:
    client = Client(site.account_sid, site.auth_token)
    client.sync.base_url = site.base_url
    return [
        str(stream.sid)
        for stream in client.sync.v1.services("default").sync_streams.stream()
        if (stream.unique_name or "").startswith("sync-bench-")
    ]


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_not_red() -> None:
    terminal = Terminal()
    command = Tail(stderr=terminal, force_color=True)

    command.tell("Subscribed.")
    told = terminal.getvalue()
    command.stderr.write("Failed.")

    assert told == "Subscribed.\n"
    assert command.style.ERROR("Failed.\n") == terminal.getvalue()[len(told) :]


def test_histogram_has_a_line_for_each_doubling() -> None:
    lines = histogram([0.0009, 0.001, 0.0031, 0.0039])

    assert [line.split()[:4] for line in lines] == [
        ["≤", "1.00", "ms", "2"],
        ["≤", "2.00", "ms", "0"],
        ["≤", "4.00", "ms", "2"],
    ]


@pytest.mark.parametrize("failures", [1, 2, 100])
def test_pauses_grow_and_stay_bounded(failures: int) -> None:
    longest = min(MAX_PAUSE_SECONDS, 2 ** (failures - 1))

    assert longest / 2 <= pause(failures) <= longest
