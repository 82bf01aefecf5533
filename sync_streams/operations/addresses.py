"""Addresses that a webhook may be sent to: public ones, however they are written.

Registries: https://www.iana.org/assignments/iana-ipv4-special-registry and
https://www.iana.org/assignments/iana-ipv6-special-registry.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(host: str) -> bool:
    """Tell whether the IP address *host* is one of the open internet.

    Private, loopback, link-local, shared, multicast and reserved ones are not, nor is
    an IPv6 address that carries one of them. What is no IP address is not public.
    """
    address = _read(host)
    return address is not None and all(map(_is_global, _carried(address)))


def is_inside(host: str) -> bool:
    """Tell whether *host* is seen to be not public without asking the DNS."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _read(host) is not None and not is_public(host)


def _read(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        # 127.1, 0x7f000001 and 2130706433 are loopback to the C library, hence to DNS.
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _carried(
    address: IPv4Address | IPv6Address,
) -> list[IPv4Address | IPv6Address]:
    if isinstance(address, IPv4Address):
        return [address]
    teredo = address.teredo
    tunnelled = [address.ipv4_mapped, address.sixtofour, *(teredo or ())]
    if address in _NAT64:
        tunnelled.append(IPv4Address(int(address) & 0xFFFFFFFF))
    inner = [carried for carried in tunnelled if carried is not None]
    is_mapped = address.ipv4_mapped is not None or address in _NAT64
    return [*inner] if is_mapped else [address, *inner]


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not address.is_unspecified
    )
