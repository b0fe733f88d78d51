"""Our credentials as sent to a partner, and what is stored of them (credentials.md 2.1).

Rules of this module (docs/how-to/credentials.md, docs/how-to/extensions.md):
- they have the eMSP's identity, and the extensions of the eMSP and of the party's profile;
- the last credentials sent to a partner are stored with it, without the token, so that another process can repeat them
  in a renewal.
"""

from __future__ import annotations

import msgspec

from ocpi_emsp.codec import dump, encode_valid
from ocpi_emsp.codec.extensions import extended
from ocpi_emsp.flows.core.context import Context
from ocpi_emsp.flows.parties.party import Profile, SentCredentials, as_wanted
from ocpi_emsp.models import Credentials


def our_credentials(context: Context, profile: Profile, token: str) -> bytes:
    """Return the credentials with which a partner with this profile calls us, using ``token``."""
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
    """Return what is stored of the credentials that were just sent to a partner."""
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
