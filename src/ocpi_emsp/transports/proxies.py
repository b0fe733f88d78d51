"""The proxies that the environment names, as httpx2 and httpx read them.

Rules of this module: a client that is given a transport looks at no proxy, so those are given to it here. Through a
proxy it is the proxy that resolves names: what it reaches is for its rules, and ours look at the URL alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address


def environment_proxies() -> Mapping[str, str | None]:
    """By a pattern of URLs, as a client's ``mounts`` have it: the proxy, or None for what goes without one."""
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
