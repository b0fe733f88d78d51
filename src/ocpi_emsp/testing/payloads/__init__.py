"""JSON documents as a partner would send them: valid, quirky, and invalid by a hair.

>>> from hypothesis import given
>>> from ocpi_emsp import Location
>>> from ocpi_emsp.testing.payloads import Payload, payloads
>>> @given(payloads(Location, "quirky"))
... def test_my_importer(payload: Payload) -> None: ...

Rules of this package:
- ``valid``: nothing above a note is found, however the document is spelled (white space, order, escapes, null for what
  is absent, texts of exactly their greatest length);
- ``quirky``: a quirk of docs/spec-choices.md; the tolerant policy accepts it, and reports exactly ``places``, beside
  notes at most;
- ``invalid``: one rule broken; the policy refuses it, and every one of ``places`` is among the findings. The tolerant
  policy refuses what leaves no usable value, the strict one also a text of one character too many;
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
"""What a CPO pushes to an eMSP."""


@frozen(kw_only=True)
class Payload:
    """A document as a partner sends it, and what has to be reported about it."""

    kind: type[Any]
    sort: Sort
    name: str
    """What is special about it, in words."""
    document: bytes
    places: frozenset[tuple[str, str]] = frozenset()
    """Pointer and rule of each finding that is due."""
    quirk: int | None = None
    """The row of docs/spec-choices.md that the quirk is."""

    @property
    def rules(self) -> frozenset[str]:
        """The ids of the rules that have to be reported."""
        return frozenset(rule for _, rule in self.places)

    @property
    def pointers(self) -> frozenset[str]:
        """Where they have to be reported."""
        return frozenset(place for place, _ in self.places)

    def refused_by(self, policy: Policy) -> bool:
        """True if the policy refuses the document for one of the rules."""
        return any(_refuses(policy, rule) for rule in self.rules)

    @property
    def json(self) -> Any:
        """The untyped document; decimals are exact. Raises NotJson for the ones that are none."""
        return parse(self.document)

    @property
    def marked(self) -> str:
        """The document as indented JSON, with each deviation at the line of its member."""
        return marked(self.document, self.places)

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """How Hypothesis shows the payload of a test that fails."""
        printer.text(f"{self}\n{self.marked}\n")

    def __str__(self) -> str:
        place = next(iter(sorted(self.pointers)), "")
        return f"{self.kind.__name__} {self.sort}: {self.name}{f' at {place}' if place else ''}"


# --- drawn ----------------------------------------------------------------------------------------------------------


def payloads(
    kind: type[Any], sort: Sort = "valid", *, policy: Policy | None = None, model: st.SearchStrategy[Any] | None = None
) -> st.SearchStrategy[Payload]:
    """Documents of a ``kind``; ``policy`` (the tolerant one) is what refuses an invalid one.

    ``model`` draws the models that they are made from, such as ``locations(id="LOC1")``.
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
    """One of them by a number; each name is as likely as any other, however many places it has.

    A number chooses the same name as long as there is one of it: so the document shrinks, and what is wrong stays.
    """
    name = min({each.name for each in found}, key=lambda name: (crc32(f"{number} {name}".encode()), name))
    return draw(st.sampled_from([each for each in found if each.name == name]))


def _broken(kind: type[Any], document: Any, policy: Policy) -> Iterator[Mutation]:
    """What the policy refuses: broken schema, and quirks for a policy that refuses warnings."""
    yield from (mutation for mutation in mutations(kind, document) if not _ERRORS.isdisjoint(mutation.rules))
    refused = {rule for rule in RULES if _refuses(policy, rule)}
    yield from (quirk for quirk in quirks(kind, document) if not refused.isdisjoint(quirk.rules))


_ERRORS = frozenset(name for name, rule in RULES.items() if rule.severity is Severity.ERROR)


def _refuses(policy: Policy, rule: str) -> bool:
    severity = RULES[rule].severity
    finding = Finding(pointer="", rule=rule, severity=severity, message="", clause="")
    # What has no value is refused, whatever a policy makes of the rule.
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


# --- spelled --------------------------------------------------------------------------------------------------------


def _escaped(_kind: type[Any], document: Any) -> bytes:
    text = dump(document).decode()
    return "".join(each if each.isascii() else json.dumps(each)[1:-1] for each in text).encode()


def _with_nulls(kind: type[Any], document: Any) -> bytes:
    """What is absent is said to be null, or an empty list."""
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
    """Bytes that are no JSON, each by one mistake."""
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
    """The examples that break a semantic rule which the policy refuses."""
    for rule, example in EXAMPLES.items():
        if example.kind is kind and _refuses(policy, rule):
            found = {(each.pointer, rule) for each in check(example.document, kind) if each.rule == rule}
            places, name = frozenset(found), RULES[rule].sentence
            yield Payload(kind=kind, sort="invalid", name=name, document=example.document, places=places)


# --- listed ---------------------------------------------------------------------------------------------------------


def examples(kind: type[Any], sort: Sort = "valid", *, policy: Policy | None = None) -> list[Payload]:
    """Some of each sort, always the same: one of every quirk, one of every way to break every field."""
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
    """One mutation of every name and member, with its document."""
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
    """The model that Hypothesis tries first, which is the simplest."""
    if (kind, every) in _SIMPLEST:
        return _SIMPLEST[kind, every]
    seen: list[Any] = []

    @_ONCE
    @given(full(kind) if every else from_model(kind))
    def remember(model: Any) -> None:
        seen.append(model)

    remember()
    return _SIMPLEST.setdefault((kind, every), seen[0])
