"""Changes that a test or a demo makes to a running CPO, and what it can observe.

Rules of this module: a change is not sent to the eMSP, which sees it with its next request; named objects must be
known.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import define, field

from ocpi_emsp.testing.cpo.calls import EmspCalls, UnknownObjectError
from ocpi_emsp.testing.cpo.commands import CommandResult, Commands
from ocpi_emsp.testing.cpo.deviations import DEVIATIONS, Deviations, deviations_of
from ocpi_emsp.testing.cpo.handshake import Handshake
from ocpi_emsp.testing.cpo.interface import Interface, Received
from ocpi_emsp.testing.cpo.outgoing import Exchange
from ocpi_emsp.testing.cpo.presets import preset as settings_of
from ocpi_emsp.testing.cpo.registration import Invitation, new_token
from ocpi_emsp.testing.cpo.tokens import ReceivedToken
from ocpi_emsp.testing.cpo.wire import Document

_NONE: Final = Deviations()


@define(kw_only=True, slots=False, eq=False)
class RunningCpo(EmspCalls):
    """A CPO without a server: handshakes, logs, changes and deviations."""

    _handshake: Handshake = field(init=False, repr=False)
    _commands: Commands = field(init=False, repr=False)
    _interface: Interface = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._handshake = Handshake(self, self.registration, self.outgoing)
        self._commands = Commands(self)
        self._interface = Interface(self, self._handshake, self._commands)

    # Logs

    @property
    def registered(self) -> bool:
        """True if the CPO and an eMSP are registered with each other."""
        return self.registration.registered

    @property
    def tokens(self) -> list[Document]:
        """The eMSP's Token objects, pushed by it or fetched by `get_tokens`."""
        return self.token_store.all()

    @property
    def received(self) -> Sequence[Received]:
        """The latest OCPI requests received, oldest first."""
        return self._interface.received

    @property
    def received_tokens(self) -> Sequence[ReceivedToken]:
        """The latest Token objects received by PUT and PATCH, accepted or not, oldest first."""
        return self._interface.received_tokens

    @property
    def sent(self) -> Sequence[Exchange]:
        """The latest requests sent to the eMSP, oldest first."""
        return self.outgoing.log

    @property
    def command_results_sent(self) -> Sequence[CommandResult]:
        """The latest command results sent to a response_url, oldest first."""
        return self._commands.results

    async def wait_idle(self) -> None:
        """Return once every pending command result has been sent (and its consequences)."""
        await self._commands.tasks.wait_idle()

    # Handshakes

    def invite(self) -> Invitation:
        """Return what to hand to an eMSP; the same until it is used, then a fresh one."""
        if self.registration.invitation is None:
            self.registration.invitation = new_token()
        return Invitation(self.versions_url, self.registration.invitation)

    async def register(self, versions_url: str, token_a: str) -> list[Exchange]:
        """Register at an eMSP with the token that it gave: versions, details of 2.1.1, POST credentials.

        Returns every exchange; if the last one is not `ok`, the eMSP refused. Raises `HandshakeError` if the POST could
        not be sent or its response had no credentials, and `HTTPError` of the HTTP library if there was no response.
        """
        return await self._handshake.register(versions_url, token_a)

    async def update_credentials(self, method: str = "PUT", *, fields: Sequence[str] = ()) -> list[Exchange]:
        """Fetch the eMSP's endpoints again and send it a new token (all credentials, or only `fields`).

        `method` is PUT, or PATCH, which the specification does not have (credentials.md 1).

        Returns and raises like `register`; also raises `NotRegisteredError`.
        """
        return await self._handshake.update(method, fields)

    async def unregister(self) -> Exchange:
        """DELETE the credentials; if the eMSP agrees, all tokens are deleted. Raises `NotRegisteredError`."""
        return await self._handshake.unregister()

    # Objects

    def change(
        self,
        module: str,
        object_id: str,
        changes: Document,
        *,
        evse_uid: str | None = None,
        connector_id: str | None = None,
    ) -> None:
        """Merge `changes` into an object, or into an EVSE or connector of a location; a `null` removes a field.

        Its `last_updated` (and that of its parents) becomes now, unless `changes` has one, so the next list from an
        earlier date_from includes it. Raises `UnknownObjectError`.
        """
        ids = [each for each in (object_id, evse_uid, connector_id) if each is not None]
        self.known(module, *ids)
        self.catalogue.change(module, changes, *ids)

    def own(self, module: str, document: Document) -> None:
        """Add or replace an object, by its `id`."""
        self.catalogue.put(module, document)

    def withdraw(self, module: str, *object_ids: str) -> None:
        """Make objects unknown and unlisted, until `restore`. Raises `UnknownObjectError`."""
        self._require(module, object_ids)
        self.catalogue.collection(module).hide(object_ids)

    def restore(self, module: str, *object_ids: str) -> None:
        """Restore withdrawn objects unchanged; all of them unless some are named.

        Raises `UnknownObjectError`.
        """
        self._require(module, object_ids)
        self.catalogue.collection(module).show(object_ids or None)

    # Deviations

    def misbehave(self, preset: str | None = None, **deviations: Any) -> None:
        """Deviate from now on exactly like this preset, with these deviations added.

        Initial deviations end, too. Counting for failures restarts. Raises `ValueError` for an unknown preset or an
        impossible value, `TypeError` for an unknown deviation or a value of a wrong type; then nothing has changed.
        """
        settings = (settings_of(preset) if preset is not None else {}) | deviations
        unknown = sorted(settings.keys() - set(DEVIATIONS))
        if unknown:
            raise TypeError(f"invalid deviation '{', '.join(unknown)}': expected some of {', '.join(DEVIATIONS)}")
        before = deviations_of(self)
        try:
            self._set(deviations_of(_NONE) | settings)
        except (TypeError, ValueError):
            self._set(before)
            raise
        self._interface.failures.clear()
        self._interface.lists.clear()

    def behave(self) -> None:
        """Obey the specification from now on. Objects that were withdrawn, vanished or added stay so."""
        self.misbehave()

    @property
    def deviating(self) -> dict[str, Any]:
        """The deviations that are set, as far as JSON can represent them."""
        deviations = {name: value for name, value in deviations_of(self).items() if not callable(value)}
        return {name: value for name, value in deviations.items() if value != getattr(_NONE, name)}

    @property
    def list_requests(self) -> Mapping[str, int]:
        """The number of received list requests, by module; failed ones count."""
        return Counter(self._interface.lists.requests)

    def _set(self, deviations: Mapping[str, Any]) -> None:
        for name, value in deviations.items():
            setattr(self, name, value)

    def _require(self, module: str, object_ids: tuple[str, ...]) -> None:
        for object_id in object_ids:
            if not self.catalogue.collection(module).has(object_id):
                raise UnknownObjectError(f"{module} has no '{object_id}'")
