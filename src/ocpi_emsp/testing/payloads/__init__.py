"""JSON documents as a partner would send them: valid, quirky, and just invalid.

>>> from hypothesis import given
>>> from ocpi_emsp import Location
>>> from ocpi_emsp.testing.payloads import Payload, payloads
>>> @given(payloads(Location, "quirky"))
... def test_my_importer(payload: Payload) -> None: ...

Rules of this package:
- ``valid``: nothing above a note is found, however the document is written (white space, order, escapes, null for
  absent members, texts of exactly their maximum length);
- ``quirky``: a quirk of docs/spec-choices.md; the tolerant policy accepts it, and reports exactly ``places``, beside
  notes at most;
- ``invalid``: one rule broken; the policy refuses it, and every one of ``places`` is among the findings. The tolerant
  policy rejects a document without a usable value, the strict one also a text of one character too many;
- :func:`payloads` draws them, :func:`examples` lists some of each for tests that want no Hypothesis.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, TypeAlias, get_args
from zlib import crc32

import msgspec
from attrs import frozen
from msgspec import inspect

from ocpi_emsp._extras import extra
from ocpi_emsp.check import EXAMPLES, RULES, Policy, check
from ocpi_emsp.codec import dump, encode, parse
from ocpi_emsp.findings import Finding, Report, Severity
from ocpi_emsp.models import Cdr, Connector, Evse, Location, Session, Tariff
from ocpi_emsp.testing.marked import marked

with extra("testing"):
    from hypothesis import HealthCheck, Phase, given, settings, strategies as st

    from ocpi_emsp.check.registry import bare
    from ocpi_emsp.testing.payloads.mutations import Mutation, mutations
    from ocpi_emsp.testing.payloads.quirks import QUIRKS, quirks
    from ocpi_emsp.testing.strategies import from_model, full
    from ocpi_emsp.testing.strategies.schema import schema

__all__ = ["PUSHED", "QUIRKS", "SORTS", "Mutation", "Payload", "Sort", "examples", "mutations", "payloads", "quirks"]

Sort: TypeAlias = Literal["valid", "quirky", "invalid"]
SORTS: tuple[Sort, ...] = get_args(Sort)

PUSHED: tuple[type[Any], ...] = (Location, Evse, Connector, Session, Cdr, Tariff)
"""The objects that a CPO pushes to an eMSP."""


@frozen(kw_only=True)
class Payload:
    """A document as a partner sends it, and the findings that must be reported about it."""

    kind: type[Any]
    sort: Sort
    name: str
    """Its peculiarity, in words."""
    document: bytes
    places: frozenset[tuple[str, str]] = frozenset()
    """Pointer and rule of each expected finding."""
    quirk: int | None = None
    """The row of docs/spec-choices.md that describes the quirk."""

    @property
    def rules(self) -> frozenset[str]:
        """The ids of the rules that must be reported."""
        return frozenset(rule for _, rule in self.places)

    @property
    def pointers(self) -> frozenset[str]:
        """The pointers at which they must be reported."""
        return frozenset(place for place, _ in self.places)

    def refused_by(self, policy: Policy) -> bool:
        """Return True if the policy rejects the document for one of the rules."""
        return any(_refuses(policy, rule) for rule in self.rules)

    @property
    def json(self) -> Any:
        """Return the untyped document; decimals are exact. Raises NotJson if it is not JSON."""
        return parse(self.document)

    @property
    def marked(self) -> str:
        """The document as indented JSON, with each deviation at the line of its member."""
        return marked(self.document, self.places)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """Show the payload of a failing test in Hypothesis."""
        printer.text(f"{self}\n{self.marked}\n")

    def __str__(self) -> str:
        place = next(iter(sorted(self.pointers)), "")
        return f"{self.kind.__name__} {self.sort}: {self.name}{f' at {place}' if place else ''}"


# --- drawn ----------------------------------------------------------------------------------------------------------


def payloads(
    kind: type[Any], sort: Sort = "valid", *, policy: Policy | None = None, model: st.SearchStrategy[Any] | None = None
) -> st.SearchStrategy[Payload]:
    """Draw documents of a ``kind``; ``policy`` (default: the tolerant one) is what rejects an invalid one.

    ``model`` draws the models that they are created from, such as ``locations(id="LOC1")``.
    """
    models = model if model is not None else from_model(kind) | full(kind)
    if sort == "valid":
        return _valid(kind, models)
    if sort == "quirky":
        return _quirky(kind, models)
    return _invalid(kind, models, policy or Policy.tolerant())


@st.composite
def _valid(draw: st.DrawFn, kind: type[Any], models: st.SearchStrategy[Any]) -> Payload:
    document = parse(encode(draw(models)))
    name, spelled = draw(st.sampled_from(list(_SPELLINGS.items())))
    return Payload(kind=kind, sort="valid", name=name, document=spelled(kind, document))


@st.composite
def _quirky(draw: st.DrawFn, kind: type[Any], models: st.SearchStrategy[Any]) -> Payload:
    number = draw(_NUMBERS)
    document = parse(encode(draw(models)))
    return _mutated(kind, "quirky", document, _chosen(draw, number, quirks(kind, document)))


@st.composite
def _invalid(draw: st.DrawFn, kind: type[Any], models: st.SearchStrategy[Any], policy: Policy) -> Payload:
    number = draw(_NUMBERS)
    document = parse(encode(draw(models)))
    broken = [] if number % 10 == 9 else list(_broken(kind, document, policy))
    if not broken:
        return draw(st.sampled_from([*_no_json(kind, dump(document)), *_of_sense(kind, policy)]))
    return _mutated(kind, "invalid", document, _chosen(draw, number, broken))


_NUMBERS = st.integers(0, 9999)


def _chosen(draw: st.DrawFn, number: int, found: list[Mutation]) -> Mutation:
    """Choose a mutation by a number; each name is equally likely, however many places it has.

    A number chooses the same name as long as one exists, so that the document shrinks and the fault stays.
    """
    name = min({each.name for each in found}, key=lambda name: (crc32(f"{number} {name}".encode()), name))
    return draw(st.sampled_from([each for each in found if each.name == name]))


def _broken(kind: type[Any], document: Any, policy: Policy) -> Iterator[Mutation]:
    """Yield the mutations that the policy rejects: a broken schema, and quirks for a policy that rejects warnings."""
    yield from (mutation for mutation in mutations(kind, document) if not _ERRORS.isdisjoint(mutation.rules))
    refused = {rule for rule in RULES if _refuses(policy, rule)}
    yield from (quirk for quirk in quirks(kind, document) if not refused.isdisjoint(quirk.rules))


_ERRORS = frozenset(name for name, rule in RULES.items() if rule.severity is Severity.ERROR)


def _refuses(policy: Policy, rule: str) -> bool:
    severity = RULES[rule].severity
    finding = Finding(pointer="", rule=rule, severity=severity, message="", clause="")
    # A document without a usable value is rejected, whatever the policy says about the rule.
    return severity is Severity.ERROR or policy.refused(policy.judge(Report((finding,))))


def _mutated(kind: type[Any], sort: Sort, document: Any, mutation: Mutation) -> Payload:
    return Payload(
        kind=kind,
        sort=sort,
        name=mutation.name,
        document=dump(mutation.apply(document)),
        places=mutation.places,
        quirk=mutation.quirk,
    )


# --- spellings ------------------------------------------------------------------------------------------------------


def _escaped(_kind: type[Any], document: Any) -> bytes:
    text = dump(document).decode()
    return "".join(each if each.isascii() else json.dumps(each)[1:-1] for each in text).encode()


def _with_nulls(kind: type[Any], document: Any) -> bytes:
    """Return the document with null, or an empty list, for absent members."""
    absent = {name: field.type for name, field in schema(kind).items() if name not in document and not field.required}
    lists = {name for name, node in absent.items() if isinstance(bare(node), inspect.VarTupleType)}
    return dump({**document, **{name: [] if name in lists else None for name in absent}})


_SPELLINGS: dict[str, Callable[[type[Any], Any], bytes]] = {
    "compact": lambda _kind, document: dump(document),
    "pretty": lambda _kind, document: b"\n" + msgspec.json.format(dump(document), indent=4) + b"\r\n",
    "escaped": _escaped,
    "members backwards": lambda _kind, document: dump(dict(reversed(document.items()))),
    "null for what is absent": _with_nulls,
}


def _no_json(kind: type[Any], document: bytes) -> Iterator[Payload]:
    """Yield bytes that are not JSON, each because of one mistake."""
    damages = {
        "cut off": document[:-1],
        "trailing comma": document[:-1] + b",}",
        "NaN": document[:-1] + b',"x":NaN}' if document != b"{}" else b'{"x":NaN}',
        "no UTF-8": document[:-1] + b',"x":"\xff"}',
        "empty": b"",
    }
    for name, data in damages.items():
        places = frozenset({("", "json.syntax")})
        yield Payload(kind=kind, sort="invalid", name=name, document=data, places=places)


def _of_sense(kind: type[Any], policy: Policy) -> Iterator[Payload]:
    """Yield the examples that break a semantic rule for which the policy rejects."""
    for rule, example in EXAMPLES.items():
        if example.kind is kind and _refuses(policy, rule):
            found = {(each.pointer, rule) for each in check(example.document, kind) if each.rule == rule}
            places, name = frozenset(found), RULES[rule].sentence
            yield Payload(kind=kind, sort="invalid", name=name, document=example.document, places=places)


# --- listed ---------------------------------------------------------------------------------------------------------


def examples(kind: type[Any], sort: Sort = "valid", *, policy: Policy | None = None) -> list[Payload]:
    """Return some examples of each sort, always the same: one of every quirk, one of every way to break every field."""
    simple, whole = (parse(encode(_simplest(kind, every))) for every in (False, True))
    if sort == "valid":
        return [
            Payload(kind=kind, sort="valid", name=name, document=spelled(kind, document))
            for document in (simple, whole)
            for name, spelled in _SPELLINGS.items()
        ]
    if sort == "quirky":
        found = [(each, document) for document in (whole, simple) for each in quirks(kind, document)]
        return [_mutated(kind, "quirky", document, each) for each, document in _first_of_each(found)]
    broken = _first_of_each((each, whole) for each in _broken(kind, whole, policy or Policy.tolerant()))
    mutated = (_mutated(kind, "invalid", document, each) for each, document in broken)
    return [*mutated, *_no_json(kind, dump(simple)), *_of_sense(kind, policy or Policy.tolerant())]


def _first_of_each(found: Iterable[tuple[Mutation, Any]]) -> list[tuple[Mutation, Any]]:
    """Return one mutation of every name and member, with its document."""
    first: dict[tuple[str, str], tuple[Mutation, Any]] = {}
    for each, document in found:
        member = next((step for step in reversed(each.path) if isinstance(step, str)), "")
        first.setdefault((each.name, member), (each, document))
    return list(first.values())


_ONCE = settings(
    max_examples=1,
    phases=[Phase.generate],
    database=None,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
_SIMPLEST: dict[tuple[type[Any], bool], Any] = {}


def _simplest(kind: type[Any], every: bool) -> Any:
    """Return the model that Hypothesis tries first, which is the simplest."""
    if (kind, every) in _SIMPLEST:
        return _SIMPLEST[kind, every]
    seen: list[Any] = []

    @_ONCE
    @given(full(kind) if every else from_model(kind))
    def remember(model: Any) -> None:
        seen.append(model)

    remember()
    return _SIMPLEST.setdefault((kind, every), seen[0])
