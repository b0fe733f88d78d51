"""The address that a request came from: the peer's, or the one that trusted proxies state.

Rules of this module:
- only configured proxies are trusted; the header is read from the right, one trusted hop after the other (RFC 7239
  8.1);
- an unreadable address counts as the hop that passed it on;
- addresses of one /64 count as one (RFC 6177: a site has at least that), and an IPv4 address in IPv6 as that address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal, TypeAlias

from attrs import Attribute, field, frozen

from ocpi_emsp.scalars import given

_Network: TypeAlias = IPv4Network | IPv6Network

UNIX = "unix"
"""Name of the peer behind a Unix socket, which has no address."""
_LONGEST_HEADER = 8192
_PAIR = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*=\s*(?:\"(?:[^\"\\]|\\.)*\"|[^\s;,\"]+)"
_ELEMENT = re.compile(rf"\s*({_PAIR}(?:\s*;\s*{_PAIR})*)\s*(?:,|$)")
_FOR = re.compile(r"(?:(for)|[^=]*?)\s*=\s*(\"(?:[^\"\\]|\\.)*\"|[^\s;,\"]+)\s*(?:;\s*|$)", re.IGNORECASE)


def _networks(proxies: object) -> tuple[str, ...]:
    if isinstance(proxies, str):
        raise TypeError(f"invalid Forwarded.proxies '{proxies}': expected a collection, for example ['{proxies}']")
    return tuple(proxies)  # type: ignore[arg-type] # what is no collection raises TypeError


def _check_proxies(_: object, __: Attribute[tuple[str, ...]], proxies: tuple[str, ...]) -> None:
    for each in proxies:
        try:
            if each != UNIX:
                ip_network(each)
        except ValueError:
            expected = "expected networks or addresses of proxies, or unix, for example 10.0.0.0/8"
            raise ValueError(f"invalid Forwarded.proxies '{given(each)}': {expected}") from None


def _check_header(_: object, __: Attribute[str], header: str) -> None:
    if header not in ("x-forwarded-for", "forwarded"):
        expected = "expected x-forwarded-for or forwarded, for example x-forwarded-for"
        raise ValueError(f"invalid Forwarded.header '{given(header)}': {expected}")


@frozen
class Forwarded:
    """Which proxies are trusted, and the header in which they state the caller's address.

    ``proxies``: networks or addresses such as ``10.0.0.0/8``, or ``unix`` for the peer of a Unix socket. Raises
    ValueError or TypeError for anything else.
    """

    proxies: tuple[str, ...] = field(converter=_networks, validator=_check_proxies)
    header: Literal["x-forwarded-for", "forwarded"] = field(default="x-forwarded-for", validator=_check_header)


@lru_cache(maxsize=2048)
def caller_address(peer: str, header: str, forwarded: Forwarded | None) -> str:
    """Return the address that a request is counted for; ``header`` is the value that proxies set."""
    address = _read(peer)
    if forwarded is None or not header or not _is_trusted(peer, address, forwarded):
        return _shown(address, peer)
    for hop in _hops(header, forwarded):
        found = _read(hop)
        if found is None:
            break
        address = found
        if not _is_trusted(hop, found, forwarded):
            break
    return _shown(address, peer)


def _hops(header: str, forwarded: Forwarded) -> Iterator[str]:
    """Yield the addresses that the hops state, the nearest first."""
    if len(header) > _LONGEST_HEADER:
        return
    if forwarded.header == "x-forwarded-for":
        yield from (each.strip() for each in reversed(header.split(",")))
    else:
        yield from reversed(_forwarded(header))


def _forwarded(header: str) -> list[str]:
    """Return the ``for`` of each element of a Forwarded header (RFC 7239 4); empty if the header is unreadable."""
    hops, start = list[str](), 0
    while start < len(header):
        element = _ELEMENT.match(header, start)
        if element is None:
            return []
        pairs = {name.lower(): value for name, value in _FOR.findall(element[1])}
        hops.append(pairs.get("for", "").strip('"'))
        start = element.end()
    return hops


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address, given with or without a port; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_trusted(text: str, address: IPv4Address | IPv6Address | None, forwarded: Forwarded) -> bool:
    if address is None:
        return not text and UNIX in forwarded.proxies
    return any(address in network for network in _read_networks(forwarded.proxies))


@lru_cache(maxsize=16)
def _read_networks(proxies: tuple[str, ...]) -> tuple[_Network, ...]:
    return tuple(ip_network(each) for each in proxies if each != UNIX)


def _shown(address: IPv4Address | IPv6Address | None, peer: str) -> str:
    if address is None:
        return peer
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)
