"""Which URLs and addresses of partners are called (docs/explanation/security.md)."""

import json
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
from hypothesis import example, given, settings, strategies as st

from ocpi_emsp import UrlPolicy
from ocpi_emsp.errors import UnsafeUrl
from ocpi_emsp.url_policy import Address, address_of, canonical_host, is_public, split_url

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "vectors" / "url_policy.json").read_text("ascii"))
CLIENTS: tuple[ModuleType, ...] = (httpx, httpx2)

HERE = UrlPolicy.loopback()


@pytest.mark.parametrize(
    ("policy", "url"),
    [
        (UrlPolicy.default(), "https://cpo.example.com/versions"),
        (UrlPolicy.default(), "HTTPS://CPO.Example.com.:8443/versions"),
        (UrlPolicy.default().allowing_http("cpo.example.com"), "http://cpo.example.com/versions"),
        (UrlPolicy.default().allowing_http("localhost"), "http://localhost:8000/versions"),
        (UrlPolicy.default().allowing_network("10.20.0.0/16"), "https://10.20.1.2/versions"),
        (UrlPolicy.default().allowing_port(22), "https://cpo.example.com:22/versions"),
        (UrlPolicy.default().allowing_host("cpo.internal"), "https://cpo.internal/versions"),
        (HERE, "http://127.0.0.1:80/versions"),
        (HERE, "http://[::1]:81/versions"),
        (HERE, "https://cpo.example.com/versions"),
    ],
)
def test_what_is_allowed_is_called_and_each_relaxation_allows_one_thing(policy: UrlPolicy, url: str) -> None:
    assert policy.check(url) == url
    for other in (
        "http://other.example.com/", "https://10.21.0.1/", "https://cpo.example.com:25/", "https://other.internal/",
    ):  # fmt: skip
        with pytest.raises(UnsafeUrl):
            policy.check(other)


def test_a_refusal_says_what_allows_it_and_repeats_no_password() -> None:
    with pytest.raises(UnsafeUrl) as caught:
        UrlPolicy.default().check("http://cpo.example.com/")
    for way in ("--allow-http cpo.example.com", 'UrlPolicy.allowing_http("cpo.example.com")', "--url-policy loopback"):
        assert way in caught.value.message
    for here in ("http://127.0.0.1:8100/versions", "http://localhost:8100/versions", "https://[::1]/versions"):
        with pytest.raises(UnsafeUrl) as caught:
            UrlPolicy.default().check(here)
        assert 'Emsp(url_policy="loopback")' in caught.value.message
        assert "--allow" not in caught.value.message, "one relaxation alone would not do"
    with pytest.raises(UnsafeUrl) as caught:
        UrlPolicy.default().check("https://name:word@cpo.example.com/")
    assert "word" not in caught.value.message


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "fe80::1%eth0", "x"])
def test_a_name_that_leads_to_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(UnsafeUrl):
        UrlPolicy.default().check_address(address, "cpo.example.com")
    UrlPolicy.default().check_address("8.8.8.8", "cpo.example.com")


# --- the table ------------------------------------------------------------------------------------------------------


def test_the_table_is_large_and_has_each_url_once() -> None:
    assert len({each["url"] for each in VECTORS}) == len(VECTORS) >= 150


@pytest.mark.parametrize("vector", VECTORS, ids=lambda each: ascii(each["url"])[:60])
def test_a_url_of_the_table(vector: dict[str, Any]) -> None:
    """With the check of the scheme alone, 182 of the 242 that are refused were called."""
    url, reason = vector["url"], vector["refused"]
    if reason is None:
        assert UrlPolicy.default().check(url) == url
        return
    with pytest.raises(UnsafeUrl) as caught:
        UrlPolicy.default().check(url)
    assert reason in caught.value.message


@pytest.mark.parametrize("url", [each["url"] for each in VECTORS if each["refused"] is None], ids=ascii)
def test_a_client_reads_what_was_checked(url: str) -> None:
    require_read_alike(url)


def require_read_alike(url: str) -> None:
    """Fails where a client would call another host, port or scheme than the one that was checked."""
    scheme, host, port = split_url(url)
    for client in CLIENTS:
        try:
            read = client.URL(url)
        except client.InvalidURL:  # it calls nothing
            continue
        assert canonical_host(read.host) == host
        assert read.raw_host.decode("ascii").removesuffix(".") == host or address_of(host) == ip_address(read.host)
        assert (read.scheme, read.port) == (scheme, None if port == 443 else port)
        assert read.userinfo == b""
        require_no_local_reading(read.raw_host.decode("ascii"))


def require_no_local_reading(host: str) -> None:
    """Fails where the C library reads a host as an address that is not public: no resolver is asked then."""
    try:
        packed = socket.inet_aton(host)
    except OSError:
        return
    assert is_public(IPv4Address(packed))


# --- laws -----------------------------------------------------------------------------------------------------------

ODD = (
    ".-_~%@:/\\?#[]()<>\"'`{}|^!$&*+,;= \t\n\x00\x7f"
    "\u3002\uff0e\uff61\uff0f\uff20\uff1a\uff11\uff41\u2460\u200b\u00ad\u2044\u00df\u00fc\u017f"
)
odd_names = st.text(st.sampled_from(ODD), min_size=1, max_size=1).map(lambda text: f"a{text}.example")
other_hosts = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    st.from_regex(r"[a-z0-9_-]{1,10}(\.[a-z]{2,9}){0,3}\.?", fullmatch=True),
    st.text(st.sampled_from(ODD + "abc019"), max_size=12),
    st.text(max_size=8),
)
hosts = st.booleans().flatmap(lambda odd: odd_names if odd else other_hosts)
ports = st.sampled_from([""] * 9 + [":", ":443", ":8443", ":65536", ":x", ":\uff14"])
prefixes = st.sampled_from(
    ["https://"] * 9 + ["HTTPS://", "https:", "https:/", "https:///", "https://u:p@", "https://@"]
)
suffixes = st.sampled_from(["", "/v", "?x", "#x", "/@x", "\\@x", "?@10.0.0.1/"])
urls = st.tuples(prefixes, hosts, ports, suffixes).map("".join)


@settings(max_examples=150)
@given(urls)
@example("https://127\u30020\u30020\u30021/")
@example("https://8.8.8.8.:8443")
def test_what_is_let_through_is_read_by_a_client_as_the_same_host(url: str) -> None:
    """Without the rule for the characters of a name, a client read ``a .example`` as another host."""
    try:
        UrlPolicy.default().check(url)
    except UnsafeUrl:
        return
    require_read_alike(url)


NAT64 = ip_network("64:ff9b::/96")
spelt_numbers = st.lists(
    st.integers(0, 2**32).flatmap(lambda number: st.sampled_from([f"{number}", f"0{number:o}", f"0x{number:x}"]))
    | st.integers(0, 255).flatmap(lambda number: st.sampled_from([f"{number}", f"0{number:o}", f"0X{number:X}"])),
    min_size=1,
    max_size=5,
).map(".".join)


@given(spelt_numbers, st.sampled_from(["", "."]))
def test_no_spelling_of_an_ipv4_address_that_the_c_library_reads_leads_into_a_network(host: str, dot: str) -> None:
    """Without the rule for names that end in a number, ``0.0``, ``127.1`` and ``0x7f.1`` were let through."""
    try:
        UrlPolicy.default().check(f"https://{host}{dot}/")
    except UnsafeUrl:
        return
    require_no_local_reading(host)


SHARED = [
    "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "2001:db8::/32", "fe80::/10",
    "fec0::/10", "fc00::/7", "ff00::/8", "100::/64", "2000::/3", "::/96",
]  # fmt: skip
addresses = st.one_of(
    st.ip_addresses(v=4),
    st.ip_addresses(v=6),
    st.sampled_from(SHARED).flatmap(lambda network: st.ip_addresses(v=6, network=network)),
)


@given(addresses)
def test_no_address_is_public_that_python_or_what_it_holds_says_is_not(address: Address) -> None:
    held = [address]
    if isinstance(address, IPv6Address):
        held = [each for each in (address.ipv4_mapped, address.sixtofour) if each is not None] or held
        if address in NAT64:
            held = [IPv4Address(int(address) & 0xFFFF_FFFF)]
    if is_public(address):
        assert all(each.is_global and not each.is_multicast and not each.is_reserved for each in held)
