"""One JSON document in any of its spellings: what differs is how it is written, and never what it says.

Rules of this module:
- the kinds of spellings are drawn, and so is a seed for where each is used: a document has hundreds of places;
- which values can be spelled otherwise follows from the models' annotations; what they do not know is spelled as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from random import Random
from typing import Any

import attrs
from attrs import field, frozen
from hypothesis import strategies as st
from msgspec import inspect

from ocpi_emsp.check.registry import bare
from ocpi_emsp.testing.strategies.schema import reading, schema

SPELLINGS = ("order", "absent", "moments", "numbers", "escapes", "blanks", "texts", "case")
"""The order of members; absent, null or []; zone and precision; 1, 1.0, 1e0; escapes; white space; the JSON types that
are read as another one; the case of enums."""

UNSAID = object()
"""A member that a PATCH says nothing of; one that the object has not may be null in it."""
_BLANKS = ("", " ", "\n", "\t", "\r\n  ")
_SHORT: Mapping[str, str] = {'"': r"\"", "\\": r"\\", "/": r"\/", "\n": r"\n", "\t": r"\t"}


def spellings() -> st.SearchStrategy[Spelling]:
    """How a document is written; the plain spelling is the simplest."""
    return st.builds(Spelling, st.frozensets(st.sampled_from(SPELLINGS)), st.integers(0, 2**32 - 1))


@frozen
class Spelling:
    """A way of writing documents."""

    used: frozenset[str]
    seed: int
    _random: Random = field(init=False, eq=False, repr=False, default=attrs.Factory(lambda s: Random(s.seed), True))

    def write(self, kind: type[Any], document: Mapping[str, Any]) -> bytes:
        """The JSON text of an object, or of some of its members."""
        self._random.seed(self.seed)
        return self._padded(self._object(kind, document)).encode()

    def _is(self, name: str) -> bool:
        """Whether a value is spelled otherwise here."""
        return name in self.used and self._random.random() < 0.5

    def _padded(self, text: str) -> str:
        return f"{self._blank()}{text}{self._blank()}"

    def _blank(self) -> str:
        return self._random.choice(_BLANKS) if self._is("blanks") else ""

    # --- objects and lists ------------------------------------------------------------------------------------------

    def _object(self, kind: type[Any], document: Mapping[str, Any]) -> str:
        fields = schema(kind)
        parts = {
            name: self._value(fields[name].type, value) if name in fields else self._plain(value)
            for name, value in document.items()
            if value is not UNSAID
        }
        for name, each in fields.items():
            if name not in document and not each.required and self._is("absent"):
                listed = isinstance(bare(each.type), inspect.VarTupleType)
                parts[name] = self._random.choice(("null", "[]")) if listed else "null"
        return self._members(parts)

    def _members(self, parts: Mapping[str, str]) -> str:
        pairs = [f"{self._padded(self._text(name))}:{self._padded(text)}" for name, text in parts.items()]
        if "order" in self.used:
            self._random.shuffle(pairs)
        return "{" + (",".join(pairs) or self._blank()) + "}"

    def _list(self, items: list[Any], write: Callable[[Any], str]) -> str:
        return "[" + (",".join(self._padded(write(each)) for each in items) or self._blank()) + "]"

    def _value(self, node: inspect.Type, value: Any) -> str:
        match bare(node):
            case inspect.DataclassType(cls=kind):
                return self._object(kind, value)
            case inspect.VarTupleType(item_type=item):
                return self._list(value, lambda each: self._value(item, each))
            case inspect.DateTimeType():
                return self._text(self._moment(value))
            case inspect.DecimalType() | inspect.IntType():
                number = Decimal(value)
                return f'"{number:f}"' if self._is("texts") else self._number(number)
            case inspect.BoolType():
                text = str(value).lower()
                return f'"{text}"' if self._is("texts") else text
            case inspect.EnumType():
                return self._text(value.swapcase() if self._is("case") else value)
            case inspect.StrType() if reading(node) is None and _is_a_number(value) and self._is("texts"):
                return str(value)
        return self._plain(value)

    def _plain(self, value: Any) -> str:
        if isinstance(value, dict):
            return self._members({name: self._plain(each) for name, each in value.items()})
        if isinstance(value, list):
            return self._list(value, self._plain)
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            return self._number(Decimal(value))
        return self._text(value) if isinstance(value, str) else json.dumps(value)

    # --- scalars ----------------------------------------------------------------------------------------------------

    def _text(self, value: str) -> str:
        return '"' + "".join(map(self._character, value)) + '"'

    def _character(self, each: str) -> str:
        must = each in '"\\' or each < " "
        if not must and not self._is("escapes"):
            return each
        if each in _SHORT and self._random.random() < 0.5:
            return _SHORT[each]
        code = json.dumps(each)[1:-1] if ord(each) > 0xFFFF else f"\\u{ord(each):04x}"
        return code.upper().replace("\\U", "\\u") if self._random.random() < 0.5 else code

    def _moment(self, value: str) -> str:
        if not self._is("moments"):
            return value
        moment = datetime.fromisoformat(value).astimezone(UTC)
        minutes = self._random.choice((None, 0, 0, 60, 120, -300, 345, -720, 840))
        local = moment if minutes is None else moment.astimezone(timezone(timedelta(minutes=minutes)))
        digits = f"{local.microsecond:06}".rstrip("0")
        if self._random.random() < 0.5:
            digits = digits.ljust(self._random.choice((1, 3, 6, 9)), "0")
        text = local.strftime("%Y-%m-%dT%H:%M:%S") + (f".{digits}" if digits else "")
        if minutes is None:
            return text
        return text + (local.isoformat()[-6:] if minutes else self._random.choice(("Z", "+00:00")))

    def _number(self, value: Decimal) -> str:
        plain = f"{value:f}"
        if not self._is("numbers"):
            return plain
        zeros = "0" * self._random.randint(1, 3)
        match self._random.choice(("zeros", "exponent", "shifted", "whole")):
            case "zeros":
                return plain + (zeros if "." in plain else f".{zeros}")
            case "exponent":
                return f"{plain}{self._random.choice('eE')}{self._random.choice(('', '+', '-'))}0"
            case "shifted":
                power = self._random.randint(1, 6)
                return f"{value.scaleb(-power):f}{self._random.choice(('e', 'E', 'e+', 'E+'))}{power}"
        shift = max(0, -int(value.as_tuple().exponent)) + self._random.randint(0, 2)
        return f"{value.scaleb(shift):f}e-{shift}"


def _is_a_number(text: str) -> bool:
    """Whether a text is the digits of a whole number, as JSON writes it."""
    return text.isdigit() and text.isascii() and str(int(text)) == text
