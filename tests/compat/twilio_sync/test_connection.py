"""Checklist C01 to C16: how an SDK connects, and other input on the socket."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from tests.clients.wires import Closed
from tests.compat.twilio_sync.rig import Rig, every_version, new_name
from tests.compat.twilio_sync.sdk import SdkClient, SdkError


async def denied(client: SdkClient) -> dict[str, Any]:
    """Wait until the client gives up, and return the error that it shows."""
    await client.state("denied")
    [error] = await client.wait("connectionError")
    assert error["terminal"] is True
    with pytest.raises(SdkError, match="Unable to connect"):
        await client.stream(new_name())
    return dict(error)


@every_version
async def test_c01_client_connects_without_an_error(rig: Rig) -> None:
    client = await rig.client()

    await client.state("connected")

    assert client.states == ["connecting", "connected"]
    assert client.emitted("connectionError") == []


async def test_c02_default_host_name_is_ignored(rig: Rig) -> None:
    client = await rig.client()

    stream = await client.stream(new_name())

    asked = rig.wire.sent("message")[0].frame.header["http_request"]
    assert asked["host"] == "cds.us1.twilio.com"
    await stream.publish({})


async def test_c03_prefix_in_front_of_the_paths_is_ignored(rig: Rig) -> None:
    client = await rig.client(cdsUri="https://sync.example.org:8443/some/prefix")

    stream = await client.stream(new_name())
    await rig.wire.subscribed()
    sid = await rig.publish(stream.sid, {"x": 1})

    assert (await stream.message(sid))["data"] == {"x": 1}
    await stream.publish({})
    await stream.set_ttl(60)
    await stream.remove()
    assert all(
        path.split(" ")[1].startswith("/some/prefix/v") for path in rig.wire.requests()
    )


async def test_c04_init_confirms_neither_telemetry_nor_offline_storage(
    rig: Rig,
) -> None:
    client = await rig.client()
    await client.stream(new_name())

    [init] = rig.wire.sent("init")
    header = (await rig.wire.replied(init)).frame.header
    assert header["status"] == {"code": 200, "status": "OK"}
    assert header["capabilities"] == ["client_update"]
    assert header["continuation_token"]
    assert header["init_registrations"][0]["product"] == "data_sync"
    assert "offline_storage" not in header
    assert rig.wire.sent("telemetry.v1") == []


@every_version
async def test_c05_bad_signature_is_denied(rig: Rig) -> None:
    client = await rig.client(
        token=rig.token(secret="not the secret of the API key at all")
    )

    error = await denied(client)

    assert (error["httpStatusCode"], error["errorCode"]) == (401, 20107)


async def test_c06_garbage_token_is_denied_after_one_attempt(rig: Rig) -> None:
    client = await rig.client(token="garbage")

    error = await denied(client)

    assert (error["httpStatusCode"], error["errorCode"]) == (401, 20101)
    await rig.wire.wait_until(lambda: rig.wire.closed)
    assert rig.wire.opened == 1


@every_version
async def test_c07_expired_token_is_denied_as_expired(rig: Rig) -> None:
    client = await rig.client(token=rig.token(ttl=-10))

    error = await denied(client)

    assert (error["httpStatusCode"], error["errorCode"]) == (401, 20104)
    await client.wait("tokenExpired")


@pytest.mark.parametrize(
    ("grants", "status", "code"),
    [
        pytest.param({"identity": "alice"}, 401, 20106, id="c08 no Sync grant"),
        pytest.param(
            {"data_sync": {"service_sid": "default"}}, 401, 20106, id="c09 no identity"
        ),
        pytest.param(
            {"identity": "alice", "data_sync": {"service_sid": "IS" + "0" * 32}},
            403,
            54050,
            id="c10 unknown service",
        ),
    ],
)
async def test_c08_to_c10_unusable_grants_are_denied(
    rig: Rig, grants: dict[str, Any], status: int, code: int
) -> None:
    client = await rig.client(token=rig.token(grants=grants))

    error = await denied(client)

    assert (error["httpStatusCode"], error["errorCode"]) == (status, code)


@every_version
async def test_c11_denied_client_recovers_with_a_valid_token(rig: Rig) -> None:
    client = await rig.client(token=rig.token(ttl=-10))
    await client.state("denied")

    await client.update_token(rig.token())

    assert await (await client.stream(new_name())).publish({"x": 1})


@pytest.mark.parametrize("origin", [None, "https://app.example.org", "null"])
async def test_c12_handshake_needs_no_particular_origin(
    rig: Rig, origin: str | None
) -> None:
    async with rig.peer(origin=origin) as peer:
        reply = await peer.ask("init", token=rig.token())

    assert reply.header["status"]["code"] == 200


async def test_c13_close_frame_ends_the_connection(rig: Rig) -> None:
    async with rig.peer() as peer:
        await peer.ask("init", token=rig.token())

        await peer.send("close")

        assert await peer.closed() == 1000


@pytest.mark.parametrize("garbage", [b"garbage", "text", b"TWILSOCK V3.0 2\r\n{}\r\n"])
async def test_c14_garbage_is_not_acceptable_and_ends_the_connection(
    rig: Rig, garbage: bytes | str
) -> None:
    async with rig.peer() as peer:
        await peer.ask("init", token=rig.token())

        await peer.wire.send(garbage)

        close = await peer.receive()
        assert close.method == "close"
        assert close.header["status"]["code"] == 406
        assert close.header["status"]["errorCode"] == 51214
        await peer.closed()

    await (await rig.client()).state("connected")


async def test_c15_frames_that_mean_nothing_here_are_harmless(rig: Rig) -> None:
    async with rig.peer() as peer:
        await peer.ask("init", token=rig.token())

        await peer.send("telemetry.v1", events=[{"start": 1}])
        await peer.send("reply", status={"code": 200})
        unknown = await peer.ask("dance")
        put = await peer.ask("put_notification_ctx", notification_ctx_id="EP1")
        delete = await peer.ask("delete_notification_ctx", notification_ctx_id="EP1")

        codes = [frame.header["status"]["code"] for frame in (unknown, put, delete)]
        assert codes == [400, 200, 200]


@pytest.mark.parametrize("method", ["message", "update"])
async def test_c16_request_before_init_is_refused(rig: Rig, method: str) -> None:
    async with rig.peer() as peer:
        request = {"host": "x", "method": "GET", "path": "/v3/Streams/demo"}

        early = await peer.ask(method, http_request=request, token="x")
        init = await peer.ask("init", token=rig.token())

        assert early.header["status"]["code"] == 401
        assert "http_status" not in early.header
        assert init.header["status"]["code"] == 200


async def test_second_init_is_refused(rig: Rig) -> None:
    async with rig.peer() as peer:
        await peer.ask("init", token=rig.token())

        again = await peer.ask("init", token=rig.token("bob"))

        assert again.header["status"]["code"] == 400
        status, stream = await peer.request("POST", "/v3/Streams", {})
        assert (status, stream["created_by"]) == (201, "alice")


async def test_refused_init_is_answered_well_before_the_socket_ends(rig: Rig) -> None:
    async with rig.peer() as peer:
        refusal = await peer.ask("init", token="garbage")

        refused_at = asyncio.get_running_loop().time()
        await peer.closed()

    assert refusal.header["status"]["code"] == 401
    assert asyncio.get_running_loop().time() - refused_at >= 0.1


async def test_flood_of_acknowledgements_ends_only_its_own_connection(rig: Rig) -> None:
    async with rig.peer() as peer:
        await peer.ask("init", token=rig.token())

        # The server may have ended the connection before the last of them.
        with suppress(Closed):
            for _ in range(5000):
                await peer.send("reply", status={"code": 200, "status": "OK"})
        await peer.closed()

    await (await rig.client()).state("connected")


@pytest.mark.parametrize("kind", ["document", "list", "map"])
async def test_other_sync_objects_are_refused_with_a_clear_error(
    rig: Rig, kind: str
) -> None:
    client = await rig.client()

    with pytest.raises(SdkError, match="Streams only") as refused:
        await client.open(kind, new_name())

    assert (refused.value.status, refused.value.code) == (400, 20001)


async def test_request_beyond_the_streams_api_is_not_found(rig: Rig) -> None:
    async with rig.peer() as peer:
        await peer.ask("init", token=rig.token())

        for path in ("/v3", "/v1/Streams/x", "/v3/Streams/x/y", "/v3/Streams/%ff", ""):
            status, error = await peer.request("GET", path)
            assert (path, status, error["code"]) == (path, 404, 20404)


async def test_request_of_another_grant_is_forbidden(rig: Rig) -> None:
    async with rig.peer() as peer:
        await peer.ask("init", token=rig.token())
        request = {"host": "x", "method": "GET", "path": "/v3/Streams/demo"}

        reply = await peer.ask("message", active_grant="chat", http_request=request)

        assert reply.header["http_status"]["code"] == 403
        assert json.loads(reply.payload)["code"] == 54007
