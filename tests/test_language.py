"""The words of this project: a text that users read has a subject, a verb and the domain's own words.

Rules of this module:
- a text is every string with a space in it (messages of exceptions, findings, log lines, help, status_message), the
  names of log events and of their fields, every docstring of a public name, README.md, every page of docs/, and the
  help of every command;
- a word counts wherever it stands whole; one that has an honest other sense is in ``ALLOWED``, with that sense;
- a message quotes texts only: the repr of another value, or the name of an exception's class alone, says nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ocpi_emsp.cli import main

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "ocpi_emsp"

WORDS = {
    r"in hand|hand (?:it|them) back": "leased",
    r"told|tells?|hears?|heard|is said|are said": "notified, logged, reported",
    r"kept|is keeping": "stored",
    r"nobody|somebody|anybody|whoever|whomever": "no process, no listener, the caller",
    r"mend(?:s|ed)?": "corrected, fixed",
    r"of now|of then": "current, previous",
    r"colour(?:s|ed|less)?": "sync / async, mode",
    r"hangs? on|thing by thing": "resources of Emsp",
    r"through the house|the outside": "how a request travels; external (partner, database, output)",
    r"borne?|patience|patient": "retry policy, rate limit",
    r"lookouts?": "pending match",
    r"outlooks?": "expected support",
    r"wish(?:es|ed)?": "request",
    r"the reach|reaches|in reach": "contexts, connects to",
    r"bells?|rings?|rang|rung": "wake-up, notify",
    r"lasting": "durable",
    r"unnoted": "not_recorded",
    r"without sense|of sense|without fault": "invalid; semantic",
    r"speaks? against|has no beginning": "prevents; cannot be combined",
    r"(?<!there )(?:is|are) no (?!longer|more|later)": "is not a",
    r"what (?:came|was had|hangs)|had and": "received",
    r"give up on|gives? what": "ends; returns",
}
"""Words that users shall not read, and what to say instead."""

ALLOWED = {
    r"--no-tell\b|\btell=": "the option that forgets a partner without a call to it, and its parameter",
    r"[Rr]ead\s+what\s+came\s+in|\bread what came in": "the title of a page, and the question that it answers",
    r"\btell (?:the partner|us)\b": "what a person says to a person",
}
"""Uses of these words in an honest other sense, by a pattern, with that sense."""

TEXTS = {
    *("code", "id", "identifier", "kind", "name", "text", "topic", "type", "uid", "url", "url_policy"),
    *("cdr_id", "connector_id", "evse_uid", "location_id", "session_id", "token_type"),
}
"""Names that always hold text, so that ``!r`` quotes it and escapes what is not printable."""


class Text(NamedTuple):
    """Words that a user may read, and where they stand."""

    file: Path
    line: int
    words: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


def texts_of(file: Path) -> Iterator[Text]:
    """Every text of a module that a user may read."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    documentation = _docstrings(tree)
    seen = set(documentation)
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=values):
                seen |= {value for value in values if isinstance(value, ast.Constant)}
                yield Text(file, node.lineno, "".join(_constant(value) for value in values))
            case ast.Constant(value=str(words)) if " " in words.strip() and node not in seen:
                yield Text(file, node.lineno, words)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="logs")), args=[ast.Constant(value=str(event)), *_]):
                fields = [keyword.arg or "" for keyword in node.keywords]
                yield Text(file, node.lineno, re.sub(r"[._]", " ", " ".join([event, *fields])))
    for node, is_public in documentation.items():
        if is_public:
            yield Text(file, node.lineno, str(node.value))


def _constant(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else "X"


def _docstrings(tree: ast.AST, *, public: bool = True) -> dict[ast.Constant, bool]:
    """Docstrings, also those below an attribute, and whether they belong to a public name; not those of modules."""
    found: dict[ast.Constant, bool] = {}
    body = getattr(tree, "body", [])
    for number, node in enumerate(body):
        match node:
            case ast.Expr(value=ast.Constant(value=str()) as text):
                of_module = isinstance(tree, ast.Module) and number == 0
                found[text] = public and not of_module and (number == 0 or _is_public(body[number - 1]))
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                found |= _docstrings(node, public=public and _is_public(node))
    return found


def _is_public(node: ast.stmt) -> bool:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return not name.startswith("_")
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return not name.startswith("_")
    return True


def lines(page: Path) -> Iterator[Text]:
    """The lines of a page."""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        yield Text(page, number, line)


def hits(text: Text) -> Iterator[str]:
    """What a text says that it should not, a line each."""
    words = re.sub("|".join(ALLOWED), "", text.words)
    for pattern, instead in WORDS.items():
        for found in re.finditer(rf"\b(?:{pattern})\b", words, re.IGNORECASE):
            yield f"{text}: {found[0]!r} in {' '.join(words.split())[:100]!r}: say {instead}"


def unquotable(file: Path) -> Iterator[str]:
    """Messages with the repr of something that may not be text, or with an exception's class name alone."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            place = f"{file.relative_to(ROOT)}:{node.lineno}"
            values = [value for value in node.values if isinstance(value, ast.FormattedValue)]
            for value in values:
                if value.conversion == ord("r") and _last_name(value.value) not in TEXTS:
                    yield f"{place}: the repr of {ast.unparse(value.value)}"
            formatted = {ast.unparse(value.value) for value in values}
            for named in re.findall(r"type\((error|cause|raised)\)\.__name__", " ".join(formatted)):
                if not any(re.search(rf"(?<!type\()\b{named}\b", each) for each in formatted):
                    yield f"{place}: the name of the class of {named} alone"


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=ast.expr() as value, slice=ast.Slice()):
            return _last_name(value)
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return ""


def sources() -> list[Path]:
    """Every module of the package."""
    return sorted(SOURCE.rglob("*.py"))


def test_what_users_read_has_the_domains_own_words() -> None:
    found = [hit for file in sources() for text in texts_of(file) for hit in hits(text)]
    assert not found, "\n" + "\n".join(sorted(set(found)))


def test_the_pages_have_the_domains_own_words() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = [hit for page in pages for text in lines(page) for hit in hits(text)]
    assert not found, "\n" + "\n".join(found)


def helps(capsys: pytest.CaptureFixture[str], command: tuple[str, ...] = (), above: str = "") -> dict[str, str]:
    """The help of a command and of everything below it, as a user reads it."""
    status = main([*command, "--help"])
    text = capsys.readouterr().out
    if status != 0 or text == above or len(command) > 3:
        return {}
    found = {" ".join(command): text}
    for name in re.findall(r"^ {2,6}([a-z][a-z0-9-]*)(?: {2,}|$)", text, re.MULTILINE):
        found |= helps(capsys, (*command, name), text)
    return found


def test_every_help_has_the_domains_own_words(capsys: pytest.CaptureFixture[str]) -> None:
    texts = helps(capsys)
    assert len(texts) >= 29
    found = [f"{name} {hit}" for name, text in texts.items() for hit in hits(Text(SOURCE / "cli", 0, text))]
    assert not found, "\n" + "\n".join(found)


def test_no_message_holds_a_repr_or_the_name_of_a_class_alone() -> None:
    found = [line for file in sources() for line in unquotable(file)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def f():\n    raise ValueError('this is told to nobody')", 2),
        ("def f(x):\n    raise ValueError(f'{x} is no time')", 1),
        ("def f(log):\n    logs.info('token.kept', in_hand=1)", 2),
        ('def f():\n    """Who hears it."""', 1),
        ('LIMIT = 3\n"""What is kept."""', 1),
        ('def _f():\n    """Who hears it."""', 0),
        ("def f():\n    raise ValueError('there is no time')", 0),
    ],
)
def test_a_planted_word_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, count: int) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    planted = tmp_path / "planted.py"
    planted.write_text(source, encoding="utf-8")
    assert len({hit for text in texts_of(planted) for hit in hits(text)}) == count


@pytest.mark.parametrize(
    ("message", "count"),
    [
        ("f'{value!r} is odd'", 1),
        ("f'{token.uid!r} and {found[:9]!r}'", 1),
        ("f'{url[:200]!r} {params[\"uid\"]!r}'", 0),
        ("f'it raised {type(error).__name__}'", 1),
        ("f'{type(error).__name__}: {error}'", 0),
    ],
)
def test_a_planted_repr_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, count: int) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    planted = tmp_path / "planted.py"
    planted.write_text(message, encoding="utf-8")
    assert len(list(unquotable(planted))) == count
