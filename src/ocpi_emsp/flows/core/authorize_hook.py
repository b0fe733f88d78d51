"""The request and answers of an authorize hook, and the fallback that answers in its place.

Rules of this module (mod_tokens.md 2.2.2, 3.1; docs/how-to/authorization.md):
- a hook is a function of an AuthorizationRequest; a hook with two positional parameters gets the token and the
  references;
- an answer names a location only if one was requested and the driver is allowed. Within it, only EVSEs and connectors
  that were requested and exist are named; an answer that names only others is Nonsense;
- any other failure of a hook is not the partner's fault, so a fallback answers.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from attrs import evolve, field, frozen

from ocpi_emsp.codec import encode, encode_valid
from ocpi_emsp.codec.extensions import AUTHORIZATION_ID, extended, require_extensions
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.errors import InvalidObject
from ocpi_emsp.models import (
    Allowed,
    AuthorizationInfo,
    Connector,
    DisplayText,
    Evse,
    Location,
    LocationReferences,
    Token,
    WhitelistType,
)
from ocpi_emsp.scalars import given


class Nonsense(Exception):
    """An answer of a hook or fallback that cannot be sent to a partner."""


@frozen(kw_only=True, slots=False)
class ExtendedAuthorizationInfo(AuthorizationInfo):
    """An AuthorizationInfo with members unknown to the specification (docs/how-to/extensions.md)."""

    authorization_id: str | None = None
    """The id of this authorization, also in the session and the CDR that follow: 1 to 36 characters."""
    extensions: Mapping[str, Any] = field(factory=dict)
    """Further members, by name."""


@frozen(kw_only=True)
class AuthorizationRequest:
    """A CPO's request to authorize a driver, with the stored objects that it refers to."""

    token: Token
    """The stored token; its ``valid`` and ``whitelist`` are this eMSP's."""
    references: LocationReferences | None
    """The references of the request, with the uids of the stored EVSEs; None if the request has no location."""
    location: Location | None
    """The stored location with all its EVSEs; None if none was requested, or the CPO sends no locations (see its
    profile).
    """
    evses: tuple[Evse, ...] = ()
    """The requested EVSEs that are at the location and not REMOVED; all such EVSEs if none is requested."""
    connectors: tuple[tuple[str, Connector], ...] = ()
    """EVSE uid and connector: the requested connectors at ``evses``; all of them if none is requested."""
    country_code: str
    party_id: str
    """The party that owns the location: the requesting CPO, or one behind the requesting hub."""
    correlation_id: str
    asked_as: Mapping[str, str] = field(factory=dict, repr=False)
    """The CPO's own name of an EVSE, by uid, if the two differ; the response uses the CPO's names."""

    @property
    def party(self) -> str:
        """The party that owns the location, such as ``NL-TNM``."""
        return f"{self.country_code}-{self.party_id}"

    def allow(
        self,
        evse_uids: Iterable[str] | None = None,
        connector_ids: Iterable[str] | None = None,
        info: DisplayText | None = None,
        *,
        authorization_id: str | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> AuthorizationInfo:
        """Return ALLOWED, for everything that was requested, or only for these EVSEs and connectors of it.

        An empty collection allows none: the result is NOT_ALLOWED. ``extensions`` are members unknown to the
        specification; ``authorization_id`` is one of them (docs/how-to/extensions.md).
        """
        evses, connectors = _texts(evse_uids), _texts(connector_ids)
        if evses == () or connectors == ():
            return self.refuse(info=info, extensions=extensions)
        if self.references is None:
            return _info(Allowed.ALLOWED, None, info, authorization_id, extensions)
        evses = self._asked_evses() if evses is None else evses
        location = LocationReferences(
            location_id=self.references.location_id,
            evse_uids=evses,
            connector_ids=self._asked_connectors(evses) if connectors is None else connectors,
        )
        return _info(Allowed.ALLOWED, location, info, authorization_id, extensions)

    def refuse(
        self,
        allowed: Allowed = Allowed.NOT_ALLOWED,
        info: DisplayText | None = None,
        *,
        extensions: Mapping[str, Any] | None = None,
    ) -> AuthorizationInfo:
        """Return BLOCKED, EXPIRED, NO_CREDIT or NOT_ALLOWED. Raises ValueError for ALLOWED."""
        if allowed == Allowed.ALLOWED:
            raise ValueError("invalid allowed 'ALLOWED': refuse() expects a refusal, for example Allowed.BLOCKED")
        return _info(allowed, None, info, None, extensions)

    # --- the part of an answer that can be sent -------------------------------------------------------------------

    def cut(self, answer: AuthorizationInfo) -> AuthorizationInfo:
        """Return the answer with only what was requested, exists, and is allowed. Raises Nonsense."""
        references = self.references
        if answer.allowed != Allowed.ALLOWED or references is None:
            return evolve(answer, location=None)
        named = answer.location or LocationReferences(location_id=references.location_id)
        if named.location_id != references.location_id:
            raise Nonsense(f"it names location {shown(named.location_id)}, asked was {shown(references.location_id)}")
        evses = tuple(named.evse_uids) or self._asked_evses()
        evses = _common("EVSEs", self._known_evses(), evses)
        asked = self._asked_connectors(evses)
        connectors = tuple(named.connector_ids) or asked
        if references.connector_ids and not asked:
            raise Nonsense("none of the connectors that were asked for is at the EVSEs that it names")
        connectors = _common("connectors", self._known_connectors(evses), connectors)
        location = LocationReferences(location_id=named.location_id, evse_uids=evses, connector_ids=connectors)
        return evolve(answer, location=location)

    def is_about(self, location: LocationReferences) -> bool:
        """Return True if the CPO named everything that is named here: now, or when it sent the location."""
        evses, connectors = self._known_evses() or (), self._known_connectors(location.evse_uids) or ()
        return {*location.evse_uids} <= {*evses} and {*location.connector_ids} <= {*connectors}

    def in_its_words(self, answer: AuthorizationInfo) -> AuthorizationInfo:
        """Return the answer with the CPO's own names of EVSEs."""
        if answer.location is None or not self.asked_as:
            return answer
        names = tuple(self.asked_as.get(uid, uid) for uid in answer.location.evse_uids)
        return evolve(answer, location=evolve(answer.location, evse_uids=names))

    def _asked_evses(self) -> tuple[str, ...]:
        """Return the EVSEs of an answer that allows everything; none if none was requested."""
        return self._known_evses() or () if self.references and self.references.evse_uids else ()

    def _asked_connectors(self, evses: Sequence[str]) -> tuple[str, ...]:
        return self._known_connectors(evses) or () if self.references and self.references.connector_ids else ()

    def _known_evses(self) -> tuple[str, ...] | None:
        """Return the EVSEs that an answer may name; None if that is unknown."""
        if self.location is not None:
            return tuple(evse.uid for evse in self.evses)
        return self.references.evse_uids or None if self.references else ()

    def _known_connectors(self, evses: Sequence[str]) -> tuple[str, ...] | None:
        if self.location is not None:
            among = frozenset(evses)
            return tuple(dict.fromkeys(each.id for uid, each in self.connectors if not among or uid in among))
        return self.references.connector_ids or None if self.references else ()


def _info(
    allowed: Allowed,
    location: LocationReferences | None,
    info: DisplayText | None,
    authorization_id: str | None,
    extensions: Mapping[str, Any] | None,
) -> AuthorizationInfo:
    """Return an answer, extended if it has extensions."""
    if authorization_id is None and (extensions is None or extensions == {}):
        return AuthorizationInfo(allowed=allowed, location=location, info=info)
    return ExtendedAuthorizationInfo(
        allowed=allowed,
        location=location,
        info=info,
        authorization_id=authorization_id,
        extensions={} if extensions is None else extensions,
    )


def authorization_id_in(info: AuthorizationInfo) -> str | None:
    """Return the authorization_id of an answer."""
    return info.authorization_id if isinstance(info, ExtendedAuthorizationInfo) else None


def _texts(names: Iterable[str] | None) -> tuple[str, ...] | None:
    return (names,) if isinstance(names, str) else None if names is None else tuple(names)


def _common(what: str, known: tuple[str, ...] | None, named: tuple[str, ...]) -> tuple[str, ...]:
    """Return the known ids that are named, in their known order. Raises Nonsense if ids are named but none is known."""
    among = frozenset(named)
    allowed = tuple(dict.fromkeys(named if known is None else (each for each in known if each in among)))
    if named and not allowed:
        raise Nonsense(f"it names {what} of which none was asked for")
    return allowed


def sendable(
    request: AuthorizationRequest, answer: object, authorization_id: str | None = None
) -> tuple[AuthorizationInfo, bytes]:
    """Return the answer, cut to what was requested, and its JSON. An answer that allows gets ``authorization_id`` if it
    has none.

    Raises Nonsense, and any exception that invalid parts of the answer cause.
    """
    if not isinstance(answer, AuthorizationInfo):
        raise Nonsense(f"it returned {type(answer).__name__}, not AuthorizationInfo")
    if not isinstance(answer.location, LocationReferences | None):
        raise Nonsense(f"its location is {type(answer.location).__name__}, not LocationReferences")
    info = request.cut(answer)
    said = request.in_its_words(info)
    try:
        said, members = _identified(said, authorization_id)
        plain = AuthorizationInfo(allowed=said.allowed, location=said.location, info=said.info)
        return said, extended(
            _encoded(plain, is_about_its_own=info.location is not None and request.is_about(info.location)), members
        )
    except InvalidObject as error:
        raise Nonsense(f"it returned what cannot be sent: {error}") from error


def sendable_by_token(
    token: Token, references: LocationReferences | None, authorization_id: str | None = None
) -> tuple[AuthorizationInfo, bytes]:
    """Return what :func:`sendable` makes of :func:`by_token`, if all ``references`` exist under the CPO's names.

    The references name no connector, and each EVSE once, so nothing needs to be cut or renamed.
    """
    if not token.valid:
        blocked = AuthorizationInfo(allowed=Allowed.BLOCKED)
        return blocked, encode(blocked)
    plain = AuthorizationInfo(allowed=Allowed.ALLOWED, location=references)
    if authorization_id is None:
        return plain, encode(plain)
    named = ExtendedAuthorizationInfo(allowed=Allowed.ALLOWED, location=references, authorization_id=authorization_id)
    return named, extended(encode(plain), {AUTHORIZATION_ID: authorization_id})


def _identified(info: AuthorizationInfo, made: str | None) -> tuple[AuthorizationInfo, dict[str, Any]]:
    """Return the answer with its authorization_id, and all its extensions. Raises InvalidObject for an unusable
    extension.
    """
    own = info if isinstance(info, ExtendedAuthorizationInfo) else None
    members = require_extensions(
        AuthorizationInfo, own.extensions if own else None, own.authorization_id if own else None
    )
    if made is not None and info.allowed == Allowed.ALLOWED:
        members.setdefault(AUTHORIZATION_ID, made)
    if not members:
        return info, members
    return (
        ExtendedAuthorizationInfo(
            allowed=info.allowed,
            location=info.location,
            info=info.info,
            authorization_id=members.get(AUTHORIZATION_ID),
            extensions={name: value for name, value in members.items() if name != AUTHORIZATION_ID},
        ),
        members,
    )


def _encoded(info: AuthorizationInfo, *, is_about_its_own: bool) -> bytes:
    try:
        return encode_valid(info)
    except InvalidObject:
        # Ids that are too long are stored as sent (docs/spec-choices.md 20), so the CPO gets its own ids back.
        if not is_about_its_own:
            raise
        encode_valid(evolve(info, location=None))
        return encode(info)


# --- hooks ------------------------------------------------------------------------------------------------------------

AuthorizeHook: TypeAlias = Callable[[AuthorizationRequest], Awaitable[object]]
"""A hook as flows call it. Raises DeadlinePassed, and any exception of the backend's function."""


def is_of_token_and_references(hook: Callable[..., Any]) -> bool:
    """Return True for a hook of two arguments, by its signature; False for one of an AuthorizationRequest.

    Raises TypeError if it takes neither.
    """
    if not callable(hook):
        raise TypeError(f"invalid authorize hook '{given(hook)}': expected a function of an AuthorizationRequest")
    try:
        signature = inspect.signature(hook)
    except ValueError as error:
        raise TypeError(
            f"invalid authorize hook '{given(hook)}': expected a function with readable parameters, for example a def"
        ) from error
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [each for each in signature.parameters.values() if each.kind in kinds]
    required = [each for each in positional if each.default is each.empty]
    is_pair = 2 in (len(positional), len(required))
    try:
        signature.bind(*[None] * (2 if is_pair else 1))
    except TypeError as error:
        raise TypeError(
            f"invalid authorize hook '{given(hook)}': expected a function of an AuthorizationRequest: {error}"
        ) from error
    return is_pair


def require_sole(hook: Callable[..., Any], registered: Callable[..., Any]) -> None:
    """Raises ValueError where the two hooks are not one definition that was executed twice, as in a notebook."""
    first, second = inspect.unwrap(registered), inspect.unwrap(hook)
    if first is second or _definition(first) == _definition(second):
        return
    raise ValueError(
        f"second authorize hook {_place(second)}: {_place(first)} is registered already, and one function decides. "
        "Remove one of them, or replace the first with emsp.authorize(hook, replace=True)"
    )


def _definition(hook: Callable[..., Any]) -> object:
    name = getattr(hook, "__qualname__", "")
    is_named = bool(name) and not name.endswith("<lambda>")
    return (hook.__module__, name, getattr(hook, "__self__", None)) if is_named else hook


def _place(hook: Callable[..., Any]) -> str:
    """The name of a hook, with the file and line of its definition, where it has one."""
    code = getattr(hook, "__code__", None)
    return f"'{given(hook)}'" + (f" ({code.co_filename}:{code.co_firstlineno})" if code else "")


def asking(lifted: Callable[..., Awaitable[object]], *, is_pair: bool) -> AuthorizeHook:
    """Return the hook as a flow calls it; with ``is_pair`` it takes the token and the references."""
    if not is_pair:
        return lifted

    async def ask(request: AuthorizationRequest) -> object:
        return await lifted(request.token, request.references)

    return ask


# --- fallbacks --------------------------------------------------------------------------------------------------------

FallbackFunction: TypeAlias = Callable[[AuthorizationRequest], AuthorizationInfo]
AuthorizeFallback: TypeAlias = Allowed | FallbackFunction | None
"""Answers if the hook does not: a fixed answer, a plain function that does not block, or None."""


def by_token(request: AuthorizationRequest) -> AuthorizationInfo:
    """Decide by the stored token: ALLOWED if it is valid, BLOCKED otherwise."""
    return request.allow() if request.token.valid else request.refuse(Allowed.BLOCKED)


def by_whitelist(request: AuthorizationRequest) -> AuthorizationInfo:
    """Decide as a CPO that cannot reach the eMSP would (mod_tokens.md 4.4): by the token's whitelist.

    Returns BLOCKED if the token is invalid, NOT_ALLOWED if it must never be whitelisted, otherwise ALLOWED.
    """
    if not request.token.valid:
        return request.refuse(Allowed.BLOCKED)
    return request.allow() if request.token.whitelist in _OFFLINE else request.refuse()


_OFFLINE = (WhitelistType.ALWAYS, WhitelistType.ALLOWED, WhitelistType.ALLOWED_OFFLINE)


def fallback_of(fallback: AuthorizeFallback) -> FallbackFunction | None:
    """Return the fallback as a function. Raises TypeError if it is async or not callable, ValueError for an unknown
    value.
    """
    if fallback is None:
        return None
    if isinstance(fallback, Allowed):
        if not fallback.known:
            raise ValueError(
                f"invalid authorize_fallback '{fallback.value}': expected a value of Allowed, for example NOT_ALLOWED"
            )
        allowed = fallback
        return lambda request: request.allow() if allowed is Allowed.ALLOWED else request.refuse(allowed)
    answering: object = fallback
    if not callable(answering) or inspect.iscoroutinefunction(answering):
        raise TypeError(
            f"invalid authorize_fallback '{given(fallback)}': expected an Allowed, a plain function or None, "
            "for example Allowed.NO_CREDIT"
        )
    return fallback
