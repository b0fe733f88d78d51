"""Which URLs of partners a command may call, from its settings.

Rules of this module: each setting allows one thing; an unusable value is an error that names its setting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ocpi_emsp import UrlPolicy
from ocpi_emsp.cli.errors import Usage
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.settings import source


def url_policy_of(arguments: Arguments) -> UrlPolicy:
    """Return the policy with every relaxation of the arguments. Raises Usage."""
    policy = UrlPolicy.named(arguments.url_policy)
    for name, relax in _RELAXATIONS.items():
        for value in getattr(arguments, name):
            try:
                policy = relax(policy, value)
            except ValueError as error:
                raise Usage(f"{source(name)}: {error}") from None
    return policy


def _with_port(policy: UrlPolicy, text: str) -> UrlPolicy:
    try:
        port = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
        return policy.allowing_port(port)
    except ValueError:
        raise ValueError(f"invalid port '{text}': expected a port, for example 80") from None


_RELAXATIONS: Mapping[str, Callable[[UrlPolicy, str], UrlPolicy]] = {
    "allow_http": UrlPolicy.allowing_http,
    "allow_network": UrlPolicy.allowing_network,
    "allow_port": _with_port,
    "allow_host": UrlPolicy.allowing_host,
}
