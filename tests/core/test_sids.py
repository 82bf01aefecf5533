"""SIDs: two letters, 32 hex digits, random."""

import pytest

from sync_streams.values.sids import is_sid, new_service_sid, new_sid, new_stream_sid

HEX = "0123456789abcdef" * 2


def test_new_sids_have_the_shape_of_sids() -> None:
    sids = [new_sid("TZ"), new_stream_sid(), new_service_sid()]

    assert [sid[:2] for sid in sids] == ["TZ", "TO", "IS"]
    assert all(is_sid(sid) for sid in sids)


def test_new_sids_do_not_repeat() -> None:
    assert len({new_sid("TZ") for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "TO",
        HEX,
        f"TO{HEX[1:]}",
        f"TO{HEX}0",
        f"to{HEX}",
        f"TO{HEX.upper()}",
        f"T0{HEX}",
        f"TO{HEX}\n",
        f" TO{HEX}",
        f"TO{HEX[1:]}\uff10",
        f"TO{HEX[1:]}\u0661",
        f"\u0130O{HEX}",
    ],
)
def test_a_text_of_another_shape_is_no_sid(text: str) -> None:
    assert not is_sid(text)


def test_a_sid_matches_only_its_own_prefix() -> None:
    assert is_sid(f"TO{HEX}", "TO")
    assert not is_sid(f"TO{HEX}", "IS")
