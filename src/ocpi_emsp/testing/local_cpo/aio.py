"""A simulated CPO in the process of the eMSP, awaited."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import anyio.to_thread
from attrs import define, field

from ocpi_emsp import Emsp
from ocpi_emsp.errors import AlreadyRegistered
from ocpi_emsp.resources import Invitation
from ocpi_emsp.testing.applications import is_asgi
from ocpi_emsp.testing.cpo import HandshakeError, SimulatedCpo
from ocpi_emsp.testing.local_cpo.routes import Route, Routes, transport_to
from ocpi_emsp.testing.local_cpo.threads import CallerThread


@define(kw_only=True, slots=False, eq=False)
class AsyncLocalCpo(SimulatedCpo):
    """A :class:`SimulatedCpo` that calls an Emsp in the same event loop, and is called by it, without a socket."""

    thread: CallerThread | None = field(default=None, repr=False)
    _routes: list[Routes] = field(init=False, factory=list, repr=False)

    def __attrs_post_init__(self) -> None:
        self.url = f"https://{self.host}"
        super().__attrs_post_init__()

    @property
    def host(self) -> str:
        """The host of its URLs, such as ``nl-tnm.cpo.test``."""
        return f"{self.country_code}-{self.party_id}.cpo.test".lower()

    @property
    def party(self) -> str:
        """The party, such as ``NL-TNM``, in the form for ``emsp.partner``."""
        return f"{self.country_code}-{self.party_id}"

    async def register_with(self, emsp: Emsp, app: Any = None) -> None:
        """Register at an eMSP by the credentials handshake; an existing registration of this party ends.

        ``app`` is the ASGI or WSGI application in which the eMSP is mounted (default: ``emsp.asgi()`` without its
        background work); requests of this CPO go through it. An ASGI application must already be started. Until
        :meth:`aclose`, the Emsp only calls simulated CPOs, and its clock is that of this CPO. Raises HandshakeError if
        the eMSP refuses.
        """
        self._lead(emsp, app)
        blocking = app is not None and not is_asgi(app)
        invitation = await (self._invite_blocking(emsp) if blocking else self._invite(emsp))
        *_, last = await self.register(invitation.versions_url, invitation.token_a.reveal())
        if not last.ok:
            raise HandshakeError(last.status_code or 3000, f"HTTP {last.status} from the eMSP: {last.text}", [last])

    def leave(self) -> None:
        """Give every Emsp its own clients back."""
        while self._routes:
            self._routes.pop().remove(self.host)

    async def aclose(self) -> None:
        """Cancel pending command results, and give every Emsp its own clients back."""
        self.leave()
        await super().aclose()

    def _lead(self, emsp: Emsp, app: Any) -> None:
        routes = Routes.of(emsp)
        routes.add(self.host, Route(self.app, asyncio.get_running_loop(), self.thread))
        self._routes.append(routes)
        self.transport = transport_to(emsp.asgi(background=False) if app is None else app, self.thread)
        self.clock = emsp._contexts.setup.clock

    async def _invite(self, emsp: Emsp) -> Invitation:
        try:
            return await emsp.aio.parties.invite(self.party)
        except AlreadyRegistered:
            await emsp.aio.partner(self.party).unregister(tell=False)
            return await emsp.aio.parties.invite(self.party)

    async def _invite_blocking(self, emsp: Emsp) -> Invitation:
        invite = partial(_invite, emsp, self.party)
        return await (anyio.to_thread.run_sync(invite) if self.thread is None else self.thread.run(invite))


def _invite(emsp: Emsp, party: str) -> Invitation:
    try:
        return emsp.parties.invite(party)
    except AlreadyRegistered:
        emsp.partner(party).unregister(tell=False)
        return emsp.parties.invite(party)
