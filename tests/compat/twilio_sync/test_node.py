"""Node processes pass from test to test only if nothing is left in them."""

import os

import pytest

from tests.compat.twilio_sync.rig import every_version
from tests.compat.twilio_sync.sdk import run_sdk


async def pid_after_leaving(what: str, package: str) -> int:
    """Use a process, leave something in it, and return its id."""
    async with run_sdk(package) as sdk:
        await sdk.call("leave", what=what)
        return int(await sdk.call("pid"))


@every_version
async def test_a_clean_process_is_used_again(package: str) -> None:
    pids = {await pid_after_leaving("nothing", package) for _ in range(2)}

    assert len(pids) == 1


@every_version
@pytest.mark.parametrize("what", ["socket", "timer"])
async def test_a_process_with_a_leftover_is_replaced(package: str, what: str) -> None:
    left = await pid_after_leaving(what, package)

    with pytest.raises(ProcessLookupError):
        os.kill(left, 0)
    assert await pid_after_leaving("nothing", package) != left
