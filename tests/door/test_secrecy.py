"""Logs never contain the contents of requests and frames, at any level."""

import logging
from base64 import b64encode

import pytest
from rest_framework.test import APIClient

from project import banner
from sync_streams import operations
from tests.clients.json_socket import LocalSocket
from tests.programs import Program
from tests.secrecy import MESSAGE, Watch, watching
from tests.settings import ACCOUNT_SID, AUTH_TOKEN

pytestmark = pytest.mark.django_db(transaction=True)

MARK = "what-was-published-to-those-who-may-hear-it"
MESSAGES = "/v1/Services/default/Streams/news/Messages"

BODIES = [
    f'{{"text": "{MARK}"}}',
    f'{{"text": "{MARK}"',
    f'["{MARK}"]',
    f'{{"text": "{MARK}{"x" * 5000}"}}',
    f'{{"text": "{MARK}\\ud800"}}',
]


def describe(watch: Watch) -> list[str]:
    return [line[:200] for line in watch.found]


@pytest.mark.parametrize("name", ["default", "unknown"])
def test_nothing_of_a_request_is_logged(name: str) -> None:
    basic = b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
    client = APIClient(raise_request_exception=False)
    client.credentials(HTTP_AUTHORIZATION=f"Basic {basic}")
    service = operations.get_service(ACCOUNT_SID, "default")
    operations.create_stream(service, unique_name="news")
    path = MESSAGES.replace("default", name)

    with watching("", MARK, basic, level=logging.DEBUG) as watch:
        for body in BODIES:
            client.post(path, {"Data": body})
            client.post(path, body, content_type="application/json")

    assert describe(watch) == []


async def test_nothing_of_a_frame_is_logged() -> None:
    with watching("", MARK, level=logging.DEBUG) as watch:
        async with LocalSocket() as socket:
            await socket.ask("subscribe", stream="news", mode="open_or_create")
            for data in ({"text": MARK}, [MARK], MARK, {"text": MARK + "x" * 5000}):
                await socket.ask("publish", stream="news", data=data)
            await socket.wire.send(f'{{"type": "publish", "data": "{MARK}')
            await socket.receive()
        async with LocalSocket(token=f"{MARK}.{MARK}.{MARK}"):
            pass

    assert describe(watch) == []


@pytest.mark.parametrize(
    "text",
    [AUTH_TOKEN, "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJTSyJ9.c2lnbmF0dXJlMTIz", MARK],
    ids=["secret", "token", "Message"],
)
def test_the_watch_finds_secrets(text: str) -> None:
    logger = logging.getLogger("sync_streams.watched")
    with watching("sync_streams.watched", MARK) as watch:
        logger.propagate = False
        logger.warning("refused: %s", text)
        logger.propagate = True

    assert len(watch.found) == 1


SHOWN = {
    "auth token": "auth-token-of-a-server",
    "API key": "api-key-secret-of-a-server",
    "signing key": "secret-key-of-django",
    "login": b64encode(b"AC1:auth-token-of-a-server").decode(),
    "Redis password": "password/of-redis",
    "database password": "password-of-the-database",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJTSyJ9.c2lnbmF0dXJlMTIz",
    "Message": MESSAGE,
}
ENVIRON = {
    "SYNC_ACCOUNT_SID": "AC1",
    "SYNC_AUTH_TOKEN": SHOWN["auth token"],
    "SYNC_API_KEY_SID": "SK1",
    "SYNC_API_KEY_SECRET": SHOWN["API key"],
    "SECRET_KEY": SHOWN["signing key"],
    "REDIS_URL": f"redis://:{SHOWN['Redis password'].replace('/', '%2F')}@redis:6379/0",
    "DATABASE_URL": f"postgres://sync:{SHOWN['database password']}@db/sync",
}


def _says(text: str) -> Program:
    command = 'echo "$TEXT"; exec sleep 60'
    environ = {**ENVIRON, "TEXT": text}
    return Program("sh", "-c", command, ready="refused", environ=environ)


@pytest.mark.parametrize("name", SHOWN)
def test_a_server_that_logs_a_secret_fails_its_test(name: str) -> None:
    server = _says(f"refused: {SHOWN[name]}")

    with pytest.raises(pytest.fail.Exception, match="not for a log") as failure:
        server.stop()
    assert SHOWN[name] not in str(failure.value)


def test_the_demo_site_shows_its_credentials_at_its_start() -> None:
    text = banner.render("http://localhost", admin="admin", credentials=ENVIRON)
    server = _says(f"{text}refused: a login of AC1")

    server.stop()
    assert SHOWN["auth token"] in server.output
