"""Which URLs are our own: a partner's token is never sent there."""

from __future__ import annotations

from urllib.parse import urlsplit

from ocpi_emsp.errors import CannotUseApi
from ocpi_emsp.flows.calls.redirects import same_origin
from ocpi_emsp.flows.core.settings import Identity


def require_foreign(identity: Identity, url: str) -> None:
    """Raise CannotUseApi for one of our own URLs: the handshake would be with ourselves."""
    if is_our_url(identity, url):
        message = f"{url[:200]} is our own URL: provide the versions URL of the partner"
        raise CannotUseApi(message, said="a URL of yours is our own")


def is_our_url(identity: Identity, url: str) -> bool:
    """Return True for our versions, our version details and URLs below them, and our base."""
    try:
        if not same_origin(identity.url, url):
            return False
        path, base = urlsplit(url).path.rstrip("/"), urlsplit(identity.url).path.rstrip("/")
    except ValueError:  # it is not a URL; the call to it raises
        return False
    details = urlsplit(identity.endpoint("")).path.rstrip("/")
    return path in (base, f"{base}/versions", details) or path.startswith(f"{details}/")
