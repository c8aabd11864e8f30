"""Which IP addresses are public: a list of our own, because Python's tables differ by version and leave some out."""

from __future__ import annotations

import ipaddress

__all__ = ["is_public"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: IANA's special-purpose IPv4 blocks, multicast, and the addresses of clouds that look public.
_PRIVATE_4 = tuple(
    map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers, and Alibaba's metadata service (100.100.100.200)
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's wire server
            "169.254.0.0/16",  # link-local: most clouds' metadata service
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments, and Oracle's metadata service (192.0.0.192)
            "192.0.2.0/24",
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)

#: The only part of IPv6 that is assigned to public use. Outside of it are, among others, this machine (`::1`), IPv4 in
#: IPv6 (`::a.b.c.d`, `::ffff:0:a.b.c.d`), local NAT64 (`64:ff9b:1::/48`), `fc00::/7`, `fe80::/10`, `fec0::/10`,
#: `5f00::/16` and multicast.
_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
#: What is not public within it.
_PRIVATE_6 = tuple(
    map(
        ipaddress.IPv6Network,
        (
            "2001::/23",  # protocol assignments, among them Teredo, which tunnels to an IPv4 address
            "2001:db8::/32",
            "2002::/16",  # 6to4, which tunnels to an IPv4 address
            "3fff::/20",
        ),
    )
)
#: Addresses in these blocks end with an IPv4 address, which is the one that is reached: mapped ones, and those that a
#: network without IPv4 makes up for public IPv4 addresses (NAT64).
_CARRIERS_OF_4 = (ipaddress.IPv6Network("::ffff:0:0/96"), ipaddress.IPv6Network("64:ff9b::/96"))


def is_public(address: str) -> bool:
    """Whether it is a public unicast address, also by Python's tables."""
    ip: Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and any(ip in block for block in _CARRIERS_OF_4):
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if not ip.is_global or ip.is_multicast:
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in block for block in _PRIVATE_4)
    return ip in _PUBLIC_6 and not any(ip in block for block in _PRIVATE_6)
