"""The proxies of the environment, as httpx2 and httpx read them.

Rules of this module: a client that is given a transport ignores proxies, so they are added here. A proxy resolves names
itself: its own rules decide which addresses it reaches, and ours only check the URL. A message about a proxy never has
a password.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from ocpi_emsp.errors import InvalidEnvironment
from ocpi_emsp.url_policy import without_user_information


def proxies(library: Any, transport: Callable[..., Any], context: ssl.SSLContext) -> dict[str, Any]:
    """The transports of the environment's proxies, for a client's ``mounts``. Raises InvalidEnvironment."""
    found: dict[str, Any] = {}
    for pattern, url in environment_proxies().items():
        try:
            library.URL(pattern)
            found[pattern] = None if url is None else transport(proxy=url, verify=context)
        except ImportError as error:
            raise InvalidEnvironment(f"{_named(pattern, url)}: install {error.name or 'socksio'} first") from error
        except (ValueError, library.InvalidURL) as error:
            example = "localhost,.example.com" if url is None else "http://proxy.example.com:3128"
            what = "hosts, separated by commas" if url is None else "the URL of a proxy"
            raise InvalidEnvironment(f"{_named(pattern, url)}: expected {what}, for example {example}") from error
    return found


def _named(pattern: str, url: str | None) -> str:
    """Return the variable with the invalid value."""
    name = "no_proxy" if url is None else f"{pattern.partition(':')[0]}_proxy"
    value = pattern.removeprefix("all://").removeprefix("*") if url is None else without_user_information(url)
    return f"invalid {name if name in os.environ else name.upper()} '{value}'"


def environment_proxies() -> Mapping[str, str | None]:
    """Return the proxies by URL pattern, in the form of a client's ``mounts``: the proxy, or None for no proxy."""
    from urllib.request import getproxies  # it imports http.client and email, and only a client needs it

    found = getproxies()
    proxies: dict[str, str | None] = {}
    for scheme in ("http", "https", "all"):
        if proxy := found.get(scheme):
            proxies[f"{scheme}://"] = proxy if "://" in proxy else f"http://{proxy}"
    excepted = [host for each in found.get("no", "").split(",") if (host := each.strip())]
    if "*" in excepted:
        return {}
    return proxies | {_pattern(host): None for host in excepted}


def _pattern(host: str) -> str:
    if "://" in host:
        return host
    if _is(IPv6Address, host):
        return f"all://[{host}]"
    is_whole = _is(IPv4Address, host) or host.lower() == "localhost"
    return f"all://{host}" if is_whole else f"all://*{host}"


def _is(kind: type[IPv4Address | IPv6Address], host: str) -> bool:
    try:
        kind(host.split("/")[0])
    except ValueError:
        return False
    return True
