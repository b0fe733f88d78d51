"""Which URLs of partners may be called: a public host, over https, on a port without another service.

Rules of this module (docs/explanation/security.md):
- a partner chooses the URLs that we call, so a URL is rejected unless every part of it is allowed;
- a host is read as httpx reads it (RFC 3986; IDNA 2008 for non-ASCII); ambiguous forms are rejected: user information,
  backslashes, percent signs, an IPv4 address that is not written as four decimal numbers;
- an address is public according to IANA's registries of special-purpose addresses, whatever this Python's ``ipaddress``
  knows of them; if it contains an IPv4 address, that one counts (NAT64, IPv4-mapped and similar);
- a relaxation relaxes one thing: http to one host, one network, one port, one local name.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NoReturn, TypeAlias

import idna
from attrs import evolve, frozen

from ocpi_emsp.errors import UnsafeUrl
from ocpi_emsp.scalars import given

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

LEAST_FREE_PORT = 1024
"""Ports below are those of a system's own services (RFC 6335 6): mail, SSH, SMB, but 443 is allowed."""
_LONGEST_HOST = 253
"""Characters of a name (RFC 1035 3.1)."""
_URL = re.compile(r"(https?)://([^/?#\x00-\x1f\x7f]*)[^\x00-\x1f\x7f]*", re.IGNORECASE | re.ASCII)
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]+)(?::([0-9]{0,5}))?")
_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}")
_USER_INFORMATION = re.compile(r"(?<=//)[^/?#]*@")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""Forms of the last part of an IPv4 address (inet_aton); no top-level domain is a number."""
_LOCAL = ("localhost", "local", "localdomain", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa")
"""Domains that are local to each network: RFC 6761 6.3, RFC 6762 3 and appendix G, RFC 8375, ICANN's .internal."""
_LOCALHOST = "localhost"

_SPECIAL: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
            "203.0.113.0/24", "224.0.0.0/3",
            "168.63.129.16/32",  # a cloud's own services, at a public address: each of Azure's machines can reach them
            "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
        ),
    )
)  # fmt: skip
"""Addresses that are not public (IANA's special-purpose registries), multicast, reserved, and the deprecated 6to4 and
Teredo.
"""
_PUBLIC_IPV6 = IPv6Network("2000::/3")
"""Global unicast (RFC 4291 2.4, IANA's registry): every other IPv6 address has another purpose."""
_HOLDS_IPV4 = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""Networks whose last 32 bits are the address actually called: IPv4-mapped (RFC 4291 2.5.5.2), NAT64 (RFC 6052 2.1)."""


@frozen
class UrlPolicy:
    """Which URLs of partners may be called. By default: https, a public address, no user information, port 443 or from
    1024.

    >>> policy = UrlPolicy.default().allowing_network("10.20.0.0/16").allowing_http("cpo.example.com")

    Each relaxation returns a new policy that allows one thing more.
    """

    http_hosts: frozenset[str] = frozenset()
    """Hosts that may be called over plain http."""
    networks: tuple[Network, ...] = ()
    """Networks that may be called although they are not public."""
    ports: frozenset[int] = frozenset()
    """Ports below 1024 that may be called, beside 443."""
    local_names: frozenset[str] = frozenset()
    """Names of a local network, such as ``cpo.internal``, that may be called; their addresses are checked, too."""
    this_machine: bool = False
    """This machine may be called, over http and on any port."""

    @classmethod
    def default(cls) -> UrlPolicy:
        """Return the default: public hosts over https."""
        return cls()

    @classmethod
    def loopback(cls) -> UrlPolicy:
        """Return a policy that also allows this machine, over http and on any port: for development."""
        return cls(this_machine=True)

    @classmethod
    def named(cls, name: str) -> UrlPolicy:
        """Return the policy ``https`` (the default) or ``loopback``. Raises ValueError."""
        if name not in ("https", "loopback"):
            raise ValueError(f"invalid url_policy '{given(name)}': expected https or loopback, for example https")
        return cls.loopback() if name == "loopback" else cls.default()

    # --- relaxations ------------------------------------------------------------------------------------------------

    def allowing_http(self, host: str) -> UrlPolicy:
        """Allow plain http to one host, on port 80 as well. Raises ValueError for anything else."""
        return evolve(self, http_hosts=self.http_hosts | {_given_host(host)})

    def allowing_network(self, network: str) -> UrlPolicy:
        """Allow one network, such as ``10.20.0.0/16``, or one address. Raises ValueError."""
        try:
            read = ip_network(network)
        except ValueError:
            expected = "expected a network or an address, for example 10.20.0.0/16"
            raise ValueError(f"invalid network '{given(network)}': {expected}") from None
        return evolve(self, networks=(*self.networks, read))

    def allowing_port(self, port: int) -> UrlPolicy:
        """Allow one port below 1024, beside 443. Raises ValueError."""
        if port not in range(1, 65_536):
            raise ValueError(f"invalid port '{given(port)}': expected a port, for example 8443")
        return evolve(self, ports=self.ports | {port})

    def allowing_host(self, host: str) -> UrlPolicy:
        """Allow one name of a local network, such as ``cpo.internal``; its addresses must be allowed, too.

        Those of ``localhost`` are this machine's (RFC 6761 6.3). Raises ValueError.
        """
        return evolve(self, local_names=self.local_names | {_given_host(host)})

    # --- checks -----------------------------------------------------------------------------------------------------

    def check(self, url: str) -> str:
        """Return ``url`` if every part of it is allowed; :meth:`check_address` checks a name's addresses.

        Raises UnsafeUrl, which says what is not allowed, and what would allow it.
        """
        try:
            self._check(url)
        except _Refused as refused:
            raise UnsafeUrl(f"invalid URL '{without_user_information(url)[:200]}': {refused}") from None
        return url

    def check_address(self, address: str, host: str) -> None:
        """Check an address to which the name ``host`` resolves. Raises UnsafeUrl if it may not be called."""
        try:
            name = canonical_host(host)
            found = ip_address(address)
            if isinstance(found, IPv6Address) and found.scope_id is not None:
                raise _Refused(f"{address} names a network interface")
            self._check_address(found, name)
        except ValueError as error:
            reason = error if isinstance(error, _Refused) else f"'{address[:100]}' is not an address"
            raise UnsafeUrl(f"invalid address of '{host[:200]}': {reason}") from None

    def _check(self, url: str) -> None:
        scheme, host, port = split_url(url)
        address = address_of(host)
        is_here = self.this_machine and _is_this_machine(host)
        if scheme == "http" and not (is_here or host in self.http_hosts):
            _refuse("plain http: expected https", "http", host)
        if port is not None and not (is_here or self._is_allowed_port(port, scheme)):
            _refuse(f"port {port}: expected 443, or one from {LEAST_FREE_PORT}", "port", port)
        if address is not None:
            self._check_address(address, host)
        elif not self._is_allowed_name(host):
            _refuse(f"{host}, a name of a local network", "host", host)

    def _is_allowed_port(self, port: int, scheme: str) -> bool:
        return port in self.ports or port == {"https": 443, "http": 80}[scheme] or LEAST_FREE_PORT <= port < 65_536

    def _is_allowed_name(self, name: str) -> bool:
        is_local = "." not in name or any(f".{name}".endswith(f".{domain}") for domain in _LOCAL)
        return not is_local or self._names(name) or (self.this_machine and name == _LOCALHOST)

    def _names(self, name: str) -> bool:
        """Return True if a relaxation names this host."""
        return name in self.local_names or name in self.http_hosts

    def _check_address(self, address: Address, host: str) -> None:
        address = _called(address)
        if is_public(address) or any(address in network for network in self.networks):
            return
        if address.is_loopback and (self.this_machine or (host == _LOCALHOST and self._names(host))):
            return
        _refuse(f"{address}, which is not a public address", "network", str(address))


# --- hosts and addresses --------------------------------------------------------------------------------------------


class _Refused(ValueError):
    """What is not allowed."""


def _refuse(what: str, relaxation: str, value: str | int) -> NoReturn:
    here = 'for a partner on this machine: --url-policy loopback, or Emsp(url_policy="loopback")'
    if isinstance(value, str) and _is_this_machine(value):
        raise _Refused(f"url_policy forbids {what}; {here}")
    quoted = f'"{value}"' if isinstance(value, str) else value
    raise _Refused(
        f"url_policy forbids {what}; to allow it: --allow-{relaxation} {value}, or "
        f"UrlPolicy.allowing_{relaxation}({quoted}); {here}"
    )


def _is_this_machine(host: str) -> bool:
    address = address_of(host)
    return host == _LOCALHOST if address is None else _called(address).is_loopback


def without_user_information(url: str) -> str:
    """Return the URL for a message, without user information: it may hold a password."""
    return _USER_INFORMATION.sub("***@", url)


def split_url(url: str) -> tuple[str, str, int | None]:
    """Return the scheme, the host as a client reads it, and the port if there is one. Raises ValueError with a
    reason.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise _Refused("url_policy forbids it: expected an absolute https URL without control characters")
    scheme, authority = found[1].lower(), found[2]
    if "@" in authority:
        raise _Refused("url_policy forbids user information: expected a host behind the slashes")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise _Refused("its host or port cannot be read")
    port = int(parts[2]) if parts[2] else None
    if port is not None and not 0 < port < 65_536:
        raise _Refused(f"there is no port {port}")
    return scheme, canonical_host(parts[1]), port


def canonical_host(host: str) -> str:
    """Return a host in its canonical form: lower case, ASCII, without brackets and without a trailing dot.

    Raises ValueError with a reason for an invalid host.
    """
    if host.startswith("[") or ":" in host:
        return str(_ipv6(host.removeprefix("[").removesuffix("]")))
    name = _in_ascii(host)
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return str(IPv4Address(name))
        except ValueError:
            raise _Refused(
                f"{name[:100]} is not an IPv4 address: expected four numbers, for example 192.0.2.1"
            ) from None
    if _NAME.fullmatch(name) is None or len(name) > _LONGEST_HOST:
        raise _Refused(f"'{name[:100]}' is not a host name")
    return name


def _in_ascii(host: str) -> str:
    if len(host) > _LONGEST_HOST + 1:
        raise _Refused(f"its host has {len(host)} characters: expected at most {_LONGEST_HOST}")
    try:
        name = host.lower() if host.isascii() else idna.encode(host.lower()).decode("ascii")
    except UnicodeError:
        raise _Refused("its host is not an IDNA name") from None
    return name.removesuffix(".")


def _ipv6(text: str) -> IPv6Address:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise _Refused(f"'{text[:100]}' is not an IPv6 address") from None
    if address.scope_id is not None:
        raise _Refused(f"'{text[:100]}' names a network interface")
    return address


def _given_host(host: str) -> str:
    try:
        return canonical_host(host)
    except (ValueError, AttributeError):
        raise ValueError(f"invalid host '{given(host)}': expected a host name, for example cpo.example.com") from None


def address_of(host: str) -> Address | None:
    """Return the address of a canonical host, None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _called(address: Address) -> Address:
    """Return the address that is actually called."""
    if isinstance(address, IPv6Address) and any(address in network for network in _HOLDS_IPV4):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def is_public(address: Address) -> bool:
    """Return True for an address of the public internet: any network may call it."""
    address = _called(address)
    if isinstance(address, IPv6Address) and address not in _PUBLIC_IPV6:
        return False
    return not any(address in network for network in _SPECIAL)
