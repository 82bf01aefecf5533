"""Probes: only one that was sent after the last doubt proves anything."""

from typing import Any

from sync_streams.delivery.events import PROBE
from sync_streams.layers import InMemoryChannelLayer
from tests.delivery.hubs import hub_over
from tests.overrides import sync_settings
from tests.waiting import until


class LosingLayer(InMemoryChannelLayer):
    """Loses all probes, and counts them."""

    probes = 0

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if message["type"] == PROBE:
            self.probes += 1
        else:
            await super().group_send(group, message)


async def test_a_doubt_that_comes_right_after_the_probe_returned_holds() -> None:
    with sync_settings(probe_seconds=0.1):
        async with hub_over({"BACKEND": f"{__name__}.LosingLayer"}) as hub:
            layer, [probe] = hub.layer, hub.membership.probes
            assert isinstance(layer, LosingLayer)
            probe.doubt("its connection broke")
            await until(lambda: layer.probes)

            first = layer.probes
            probe.confirm(probe._number)
            probe.doubt("its connection broke again")
            await until(lambda: layer.probes > first)
            assert hub.is_unreachable

            probe.confirm(probe._number)
            await until(lambda: not hub.is_unreachable)
