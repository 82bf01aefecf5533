"""A process that Messages do not reach keeps its clients for a while."""

import pytest

from sync_streams.connections.close_codes import CloseCode
from sync_streams.delivery.counters import counters
from sync_streams.delivery.hub import get_hub
from tests.clients.json_socket import LocalSocket
from tests.overrides import sync_settings
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


async def fail(*_: object) -> None:
    raise ConnectionError


async def test_its_clients_are_closed_when_it_was_unreachable_for_too_long() -> None:
    hub = get_hub()
    quick = {"probe_seconds": 0.02, "drain_seconds": 0}
    with sync_settings(**quick, unreachable_timeout_seconds=60):
        async with LocalSocket() as socket:
            (probe,) = hub.membership.probes
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(hub.layer, "group_send", fail)
                missed = counters.probes_missed
                probe.doubt("the layer is away")
                await until(lambda: counters.probes_missed >= missed + 3)
                assert probe.is_unreachable
                assert (await socket.ask("ping"))["type"] == "pong"

                with sync_settings(**quick, unreachable_timeout_seconds=0):
                    closing, code = await socket.receive_close()

            assert closing["code"] == code == CloseCode.GOING_AWAY
            assert closing["reconnect_after"] >= 0
        await until(lambda: not probe.is_unreachable)
