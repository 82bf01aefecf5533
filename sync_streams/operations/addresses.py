"""Addresses that a webhook may be sent to: public ones, in every notation.

Registries: https://www.iana.org/assignments/iana-ipv4-special-registry,
https://www.iana.org/assignments/iana-ipv6-special-registry and
https://www.iana.org/assignments/ipv6-unicast-address-assignments.
"""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

# Listed here because Python's versions differ in what they consider global.
_CLOSED_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",  # 6to4's relays, withdrawn by RFC 7526
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",  # multicast and reserved
        ),
    )
)
_OPEN_V4 = (IPv4Address("192.0.0.9"), IPv4Address("192.0.0.10"))
"""Anycast addresses among those above."""

_UNICAST = IPv6Network("2000::/3")
"""All that has been allocated for the open internet."""

_CLOSED_V6 = tuple(
    map(
        IPv6Network,
        ("2001::/23", "2001:db8::/32", "3fff::/20"),
    )
)
_OPEN_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/32",  # Teredo: the embedded address is checked separately
            "2001:1::1/128",
            "2001:1::2/128",
            "2001:1::3/128",
            "2001:3::/32",
            "2001:4:112::/48",
            "2001:20::/28",
            "2001:30::/28",
        ),
    )
)
"""Globally reachable parts of the networks above."""

_NAT64 = IPv6Network("64:ff9b::/96")

_ISATAP = {0x00005EFE, 0x02005EFE}
"""First half of the lower 64 bits; the other half is an IPv4 address (RFC 5214)."""


def is_public(host: str) -> bool:
    """Return whether *host* is an IP address of the open internet.

    Private, loopback, link-local, shared, multicast and reserved addresses are not, nor
    are IPv6 addresses that embed one. A host name is not public.
    """
    address = written_address(host)
    return address is not None and all(map(_is_global, _carried(address)))


def is_inside(host: str) -> bool:
    """Return whether *host* is known not to be public without a DNS lookup."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return written_address(host) is not None and not is_public(host)


def written_address(host: str) -> Address | None:
    """Return the IP address in *host*, in any notation; ``None`` if it is a name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        # The C library, and so name resolution, reads 127.1, 0x7f000001 and 2130706433
        # as loopback.
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _carried(address: Address) -> list[Address]:
    """Return the address and those to which a tunnel or translator would forward."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    low = IPv4Address(int(address) & 0xFFFFFFFF)
    if address in _NAT64:
        return [low]
    carried: list[Address] = [address, *(address.teredo or ())]
    if address.sixtofour is not None:
        carried.append(address.sixtofour)
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        carried.append(low)
    return carried


def _is_global(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        is_closed = any(address in network for network in _CLOSED_V4)
        return address in _OPEN_V4 or not is_closed
    is_closed = any(address in network for network in _CLOSED_V6)
    is_open = any(address in network for network in _OPEN_V6)
    return address in _UNICAST and (is_open or not is_closed)
