"""A simulated CPO: the partner of an eMSP, written from the OCPI 2.1.1 specification.

It shares no code with the library that it tests: documents are plain JSON, exact in their decimals, and every rule is
taken from the specification's text (each module names its clauses). By default it obeys the specification; settings and
`PRESETS` make it deviate as real partners do.

    async with SimulatedCpo(locations=3, page_limit=2) as cpo:      # in process: httpx2.ASGITransport(app=cpo.app)
        async with serving(cpo) as url:                             # over HTTP: ocpi_emsp.testing.cpo.server
            invitation = cpo.invite()                               # the eMSP registers with it, or
            await cpo.register(versions_url, token_a)               # this CPO registers at the eMSP
            exchange = await cpo.patch_evse("LOC1", "LOC1-E1", {"status": "CHARGING"})
            assert exchange.status_code == 1000
            cpo.misbehave("ocpi-3000")                              # any of PRESETS, at run time; then
            cpo.behave()                                            # well again

Generated ids: locations LOC1.., their EVSEs LOC1-E1.. with connector 1, sessions SES1.. (every fourth is ACTIVE), CDRs
CDR1.., tariffs TAR1...
"""

from ocpi_emsp.testing.cpo.calls import TokenList, UnknownObjectError
from ocpi_emsp.testing.cpo.commands import CommandResult
from ocpi_emsp.testing.cpo.handshake import HandshakeError
from ocpi_emsp.testing.cpo.interface import Received
from ocpi_emsp.testing.cpo.outgoing import EndpointMissingError, Exchange, NotRegisteredError
from ocpi_emsp.testing.cpo.presets import PRESETS
from ocpi_emsp.testing.cpo.registration import Invitation
from ocpi_emsp.testing.cpo.settings import Settings
from ocpi_emsp.testing.cpo.simulated import SimulatedCpo
from ocpi_emsp.testing.cpo.tokens import ReceivedToken

__all__ = [
    "PRESETS",
    "CommandResult",
    "EndpointMissingError",
    "Exchange",
    "HandshakeError",
    "Invitation",
    "NotRegisteredError",
    "Received",
    "ReceivedToken",
    "Settings",
    "SimulatedCpo",
    "TokenList",
    "UnknownObjectError",
]
