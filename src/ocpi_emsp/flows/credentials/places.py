"""Where the URLs that a partner names may lie: each call carries its token and our drivers' data.

Rules of this module (docs/reference/profiles.md, docs/explanation/security.md):
- a URL must be on the origin of the versions URL, on an origin of the party's accepted URLs, or on a host of its
  profile (``hosts``), whatever else the URL policy allows;
- once ``hosts`` are set, a registered party may only move its versions URL to one of them;
- endpoints that were set by hand are trusted, and so is a versions URL that the backend provides.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from attrs import frozen

from ocpi_emsp.errors import UnsafeUrl
from ocpi_emsp.flows.calls.redirects import same_origin
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.party import Party, Profile
from ocpi_emsp.models import Endpoint
from ocpi_emsp.url_policy import split_url, without_user_information

_NAMED = 10
"""Versions or modules that a message names; others are counted."""


@frozen
class Places:
    """Where the URLs of a partner may lie."""

    versions_url: str
    hosts: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()
    """URLs of the party that were accepted before."""
    by_partner: bool = False
    """True if the partner, not the backend, named the versions URL."""

    @classmethod
    def of(cls, versions_url: str, profile: Profile, party: Party | None = None, *, by_partner: bool = False) -> Places:
        """Return the places of a party, which may already be known."""
        known = (party.versions_url or "", *(each.url for each in party.endpoints)) if party is not None else ()
        return cls(versions_url, profile.hosts, tuple(filter(None, known)), by_partner)

    def require_versions_url(self) -> None:
        """Raise UnsafeUrl if a party with ``hosts`` moves to another one."""
        if self.by_partner and self.hosts and self.accepted and not self._is_known(self.versions_url):
            raise _elsewhere(self.versions_url, "its host is none of the party's hosts")

    def moved(self) -> list[str]:
        """Return the note on a versions URL that the partner moved to another origin."""
        before = self.accepted[0] if self.by_partner and self.accepted else self.versions_url
        if _is_same_origin(before, self.versions_url):
            return []
        return [f"the versions URL moved to another origin, it was {without_user_information(before)[:200]}"]

    def require(self, url: str) -> None:
        """Raise UnsafeUrl for a URL elsewhere."""
        if not self.holds(url):
            raise _elsewhere(url, "it lies on another origin than the versions URL")

    def holds(self, url: str) -> bool:
        """Return True if the URL may be called."""
        return _is_same_origin(self.versions_url, url) or self._is_known(url)

    def other_hosts(self, urls: Iterable[str]) -> list[str]:
        """Return the hosts of the URLs elsewhere, each once."""
        hosts = (_host(url) for url in urls if not self.holds(url))
        return sorted({host for host in hosts if host is not None})

    def _is_known(self, url: str) -> bool:
        return _host(url) in self.hosts or any(_is_same_origin(known, url) for known in self.accepted)


def allowable_hosts(context: Context, places: Places, urls: Iterable[str]) -> list[str]:
    """Return the hosts of URLs elsewhere that the URL policy allows to call."""
    return places.other_hosts(url for url in urls if _is_allowed(context, url))


def _is_allowed(context: Context, url: str) -> bool:
    try:
        context.check_url(url)
    except UnsafeUrl:
        return False
    return True


def elsewhere(versions_url: str, endpoints: Iterable[Endpoint]) -> list[str]:
    """Return oddities of endpoints that are not on the server of the versions URL, to which the token is sent, too."""
    away: dict[str, list[str]] = {}
    for endpoint in endpoints:
        if not same_origin(versions_url, endpoint.url):
            away.setdefault(urlsplit(endpoint.url).netloc, []).append(endpoint.identifier.lower())
    return [f"{few_of(modules)} on another server than the versions: {host}" for host, modules in away.items()]


def few_of(names: Iterable[str]) -> str:
    """Return the first of some names, and the number of further ones."""
    listed = [name[:40] for name in names]
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more if listed else "none"


def _elsewhere(url: str, why: str) -> UnsafeUrl:
    host = _host(url) or "HOST"
    return UnsafeUrl(
        f"invalid URL '{without_user_information(url)[:200]}': {why}, and the token goes along; to allow it: hosts in "
        f"the party's profile (register, invite: --host {host}; party profile --set hosts={host})"
    )


def _host(url: str) -> str | None:
    try:
        return split_url(url)[1]
    except ValueError:
        return None


def _is_same_origin(url: str, other: str) -> bool:
    try:
        return same_origin(url, other)
    except ValueError:
        return False
