"""Where a request comes from: the peer, or what trusted proxies say of it."""

from __future__ import annotations

from typing import Any

import pytest

from ocpi_emsp.flows.core.addresses import caller_address
from ocpi_emsp.settings import Forwarded

PROXIES = ("10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.1")
XFF = Forwarded(PROXIES)
RFC7239 = Forwarded(PROXIES, "forwarded")


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_a_peer(peer: str, address: str) -> None:
    assert caller_address(peer, "198.51.100.1", None) == address
    assert caller_address(peer, "198.51.100.1", XFF) == address


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9, 10.1.1.1,192.0.2.1", "203.0.113.9"),
        ("198.51.100.1,10.1.1.1", "198.51.100.1"),
        ("10.1.1.1, 10.1.1.2", "10.1.1.1"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8:1:2::9]:4711", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9, 2001:db8:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        # What cannot be read counts as the hop that let it through.
        ("", "10.0.0.1"),
        ("unknown", "10.0.0.1"),
        ("203.0.113.9, evil", "10.0.0.1"),
        ("203.0.113.9, evil, 10.1.1.1", "10.1.1.1"),
        (", ,,", "10.0.0.1"),
        ("203.0.113.9" + " " * 9000, "10.0.0.1"),
        ("0x7f000001", "10.0.0.1"),
        ("\x00\xff", "10.0.0.1"),
    ],
)
def test_x_forwarded_for_is_read_from_the_right(header: str, address: str) -> None:
    """Read from the left: whoever calls writes the address that it counts for."""
    assert caller_address("10.0.0.1", header, XFF) == address
    assert caller_address("203.0.113.77", header, XFF) == "203.0.113.77"


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ("For=198.51.100.1;proto=https, for=203.0.113.9;by=10.0.0.1", "203.0.113.9"),
        ('proto=https;for="203.0.113.9:4711"', "203.0.113.9"),
        ('for="[2001:db8:1:2::9]:4711", for=10.1.1.1', "2001:db8:1:2::/64"),
        # A host that a caller chose stands in quotes: it is no hop.
        ('for=203.0.113.9;host="a, for=198.51.100.1"', "203.0.113.9"),
        ('for=203.0.113.9;host="a;for=198.51.100.1"', "203.0.113.9"),
        (r'for=203.0.113.9;host="a\", for=198.51.100.1"', "203.0.113.9"),
        ("for=_hidden", "10.0.0.1"),
        ("for=unknown", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
        ('for="203.0.113.9', "10.0.0.1"),
        ("203.0.113.9", "10.0.0.1"),
        ("for=203.0.113.9 for=198.51.100.1", "10.0.0.1"),
        (";;;,,,===", "10.0.0.1"),
        ("a=b;" * 2000, "10.0.0.1"),
    ],
)
def test_forwarded_is_read_from_the_right(header: str, address: str) -> None:
    assert caller_address("10.0.0.1", header, RFC7239) == address


def test_a_proxy_behind_a_unix_socket() -> None:
    assert caller_address("", "203.0.113.9", Forwarded(["unix"])) == "203.0.113.9"
    assert caller_address("", "203.0.113.9", XFF) == ""
    assert caller_address("evil", "203.0.113.9", Forwarded(["unix"])) == "evil"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((["10.0.0.1/8"],), ValueError, "invalid Forwarded.proxies '10.0.0.1/8': expected networks"),
        ((["*"],), ValueError, "invalid Forwarded.proxies '*'"),
        (("10.0.0.0/8",), TypeError, "expected a collection, for example"),
        ((["10.0.0.0/8"], "x-real-ip"), ValueError, "invalid Forwarded.header 'x-real-ip': expected x-forwarded-for"),
    ],
)
def test_proxies_that_cannot_be(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        Forwarded(*arguments)
    assert message in str(raised.value)
