"""Addresses that webhooks may reach: the public ones, in every spelling."""

import pytest

from sync_streams.operations.addresses import is_inside, is_public

INSIDE = [
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "fec0::1",
    "100::1",
    "100:0:0:1::1",
    "5f00::1",
    "3fff::1",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    "4000::1",
    "1fff:ffff::1",
    "2001:2::1",
    "2001:10::1",
    "2001:1::4",
    "2001:1ff:ffff::1",
    "2606:4700::5efe:10.0.0.1",
    "2606:4700::200:5efe:127.0.0.1",
    "2001:0:808:808::80ff:fffe",
    "2002:c000:201::1",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "192.0.0.8",
    "192.0.0.11",
    "192.0.0.170",
    "192.0.0.255",
    "192.88.99.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.255",
]
OUTSIDE = [
    "192.0.0.9",
    "192.0.0.10",
    "192.0.1.0",
    "192.88.98.255",
    "192.88.100.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2000::",
    "2001:1::1",
    "2001:3::1",
    "2001:20::1",
    "2001:200::",
    "3ffe:ffff::1",
    "3fff:1000::",
    "2606:4700::5efe:8.8.8.8",
    "2001:0:808:808::f7f7:f7f7",
    "8.8.8.8",
    "1.1.1.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("host", INSIDE)
def test_inside_is_not_public(host: str) -> None:
    assert not is_public(host)
    assert is_inside(host)


@pytest.mark.parametrize("host", OUTSIDE)
def test_outside_is_public(host: str) -> None:
    assert is_public(host)
    assert not is_inside(host)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost"])
def test_names_of_this_machine_are_inside(host: str) -> None:
    assert is_inside(host)


@pytest.mark.parametrize("host", ["example.com", "localhost.example", "127.example"])
def test_other_names_are_left_to_the_dns(host: str) -> None:
    assert not is_inside(host)
    assert not is_public(host)
