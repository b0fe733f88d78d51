"""Our credentials, as a partner gets them, and what is remembered of them (credentials.md 2.1).

Rules of this module (docs/how-to/credentials.md, docs/how-to/extensions.md):
- they hold what the eMSP is given, and the extensions of the eMSP and of the party's profile;
- what a partner got last is stored with it, but for the token, so that a renewal by another process can repeat it.
"""

from __future__ import annotations

import msgspec

from ocpi_emsp.codec import dump, encode_valid
from ocpi_emsp.codec.extensions import extended
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.party import Profile, SentCredentials, as_wanted
from ocpi_emsp.models import Credentials


def our_credentials(context: Context, profile: Profile, token: str) -> bytes:
    """What a partner with this profile gets to call us with ``token``."""
    identity = context.identity
    ours = Credentials(
        token=token,
        url=identity.versions_url,
        business_details=identity.business_details,
        party_id=identity.party_id,
        country_code=identity.country_code,
    )
    of_party = msgspec.json.decode(profile.credentials_extensions) if profile.credentials_extensions else {}
    body = extended(encode_valid(ours), {**identity.credentials_extensions, **of_party})
    return as_wanted(profile, Credentials, body)


def sent_credentials(context: Context) -> SentCredentials:
    """What is remembered of credentials that a partner got just now."""
    identity = context.identity
    extensions = identity.credentials_extensions
    return SentCredentials(
        url=identity.url,
        country_code=identity.country_code,
        party_id=identity.party_id,
        business_details=identity.business_details,
        extensions=dump(dict(extensions)).decode() if extensions else "",
        required_modules=tuple(sorted(context.required_modules)),
    )
