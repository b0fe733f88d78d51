"""The registry: how a semantic rule is declared, and how the rules of a model are found.

Rules of this module:
- a rule is one small function over the typed view (normal form) of one object; it yields a path below the object and a
  sentence. It is pure: the current time is passed in as :class:`Context`;
- the rule's id, its sentence and one example that breaks it stand beside the function; by default its severity is
  warning and its clause that of the model;
- no rule is an ``error``, because a typed view exists: a backend can work with the object;
- an empty clause stands for the clause of the checked object;
- a rule takes time in proportion to the size of its object, apart from sorting.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from attrs import define, field, frozen
from msgspec import inspect

from ocpi_emsp.check.examples import Example
from ocpi_emsp.codec.readings import shown
from ocpi_emsp.findings import Collector, Finding, Rule, Severity, pointer

NOTE, WARNING = Severity.NOTE, Severity.WARNING

Hit: TypeAlias = tuple[tuple[str | int, ...], str]
"""A path below the object, and a sentence that names the value."""


@frozen
class Context:
    """What a rule may use beside the object."""

    now: datetime
    """The current time, aware."""


Find: TypeAlias = Callable[..., Iterator[Hit]]
_Find = TypeVar("_Find", bound=Find)


@frozen(kw_only=True)
class ObjectRule:
    """A rule with its models, the function that finds its hits, and the example that breaks it."""

    rule: Rule
    models: tuple[type[Any], ...]
    example: Example
    find: Find
    with_context: bool = False
    """True if ``find`` takes the :class:`Context` beside the object."""
    hides: str | None = None
    """A codec note that occurs at the place of every hit and adds nothing to this rule."""


@define
class Chapter:
    """The rules of one chapter of the specification, in the order of its text."""

    title: str
    file: str
    """The specification's file."""
    rules: list[ObjectRule] = field(factory=list)

    def rule(
        self,
        id_: str,
        sentence: str,
        example: Example,
        *models: type[Any],
        severity: Severity = WARNING,
        clause: str | None = None,
        hides: str | None = None,
        with_context: bool = False,
    ) -> Callable[[_Find], _Find]:
        """Register a function of one object, which also takes the :class:`Context` if ``with_context``.

        ``models`` and ``clause`` default to those of the example.
        """
        kind: Any = example.kind
        rule = Rule(id=id_, severity=severity, clause=kind.clause if clause is None else clause, sentence=sentence)

        def register(find: _Find) -> _Find:
            self.rules.append(
                ObjectRule(
                    rule=rule,
                    models=models or (kind,),
                    example=example,
                    find=find,
                    with_context=with_context,
                    hides=hides,
                )
            )
            return find

        return register


@frozen
class _Plan:
    """How to check an instance of one model."""

    clause: str
    rules: tuple[ObjectRule, ...]
    objects: tuple[str, ...]
    """Fields that hold a model or None."""
    lists: tuple[str, ...]
    """Fields that hold a tuple of models."""


class Walk:
    """Applies every rule to the objects of its models; the plan of a model is made once."""

    def __init__(self, rules: Iterable[ObjectRule]) -> None:
        self._by_model: dict[type[Any], list[ObjectRule]] = {}
        for rule in rules:
            for model in rule.models:
                self._by_model.setdefault(model, []).append(rule)
        self._plans: dict[type[Any], _Plan] = {}

    def __call__(self, value: Any, context: Context, findings: Collector, path: tuple[str | int, ...] = ()) -> None:
        """Collect the findings about a model and every model inside it."""
        plan = self._plans.get(type(value)) or self._plan(type(value))
        for rule in plan.rules:
            for below, message in rule.find(value, context) if rule.with_context else rule.find(value):
                if not rule.hides and not findings.takes(rule.rule.severity):
                    findings.skip()
                    continue
                finding = Finding.of(rule.rule, pointer((*path, *below)), message, plan.clause)
                findings.append(finding)
                if rule.hides:
                    findings.hide(finding.pointer, rule.hides)
        for name in plan.objects:
            inner = getattr(value, name)
            if inner is not None:
                self(inner, context, findings, (*path, name))
        for name in plan.lists:
            for index, inner in enumerate(getattr(value, name)):
                if findings.enough:
                    return
                self(inner, context, findings, (*path, name, index))

    def _plan(self, model: Any) -> _Plan:
        node = inspect.type_info(model)
        fields = node.fields if isinstance(node, inspect.DataclassType) else ()
        forms: Mapping[str, inspect.Type] = {each.name: bare(each.type) for each in fields}
        plan = _Plan(
            model.clause,
            tuple(rule for base in model.__mro__ for rule in self._by_model.get(base, ())),
            tuple(name for name, form in forms.items() if isinstance(form, inspect.DataclassType)),
            tuple(
                name
                for name, form in forms.items()
                if isinstance(form, inspect.VarTupleType) and isinstance(bare(form.item_type), inspect.DataclassType)
            ),
        )
        return self._plans.setdefault(model, plan)


def repeated(values: Iterable[Hashable]) -> Iterator[int]:
    """Yield the indices of values that also occur at an earlier index."""
    seen: set[Hashable] = set()
    for index, value in enumerate(values):
        if value is not None and value in seen:
            yield index
        elif value is not None:
            seen.add(value)


def negative(value: Any, names: Iterable[str]) -> Iterator[Hit]:
    """Yield hits at the fields whose number is below zero."""
    for name in names:
        number = getattr(value, name)
        if number is not None and number < 0:
            yield (name,), f"{name} is {shown(number)}"


def bare(node: inspect.Type) -> inspect.Type:
    """Return a node without its constraints, and without None."""
    match node:
        case inspect.Metadata(type=inner):
            return bare(inner)
        case inspect.UnionType(types=types):
            return bare(next(each for each in types if not isinstance(each, inspect.NoneType)))
    return node
