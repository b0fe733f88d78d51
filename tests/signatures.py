"""Which names of ours the annotations of a class or function mention, read from the source.

Rules of this module: what is imported for type checkers alone counts, so nothing is evaluated.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

PACKAGE = "ocpi_emsp"
MADE_HERE = ("ocpi_emsp.adapters", "ocpi_emsp.listing", "ocpi_emsp.resources")
"""Where the classes are whose objects the library makes: what they are made of is its own affair."""


def mentioned(value: Any) -> set[str]:
    """The names of ours in the public annotations of a class, with those that it inherits, or of a function."""
    classes = inspect.getmro(value) if inspect.isclass(value) else (value,)
    return {name for each in classes if each.__module__.startswith(PACKAGE) for name in _of_one(each)}


def _of_one(value: Any) -> Iterator[str]:
    known = _names(value.__module__)
    node = _nodes(value.__module__).get(value.__name__)
    members = node.body if isinstance(node, ast.ClassDef) else [node]
    is_made_here = value.__module__.startswith(MADE_HERE)
    for member in members:
        if is_made_here and isinstance(member, ast.FunctionDef) and member.name == "__init__":
            continue
        for annotation in _annotations(member):
            yield from (each for each in _in(annotation) if each in known)


def _annotations(node: ast.AST | None) -> Iterator[ast.expr | None]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.name[0] != "_" or node.name == "__init__"):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        yield from (each.annotation for each in arguments if each is not None)
        yield node.returns
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id[0] != "_":
        yield node.annotation


def _in(annotation: ast.expr | None) -> Iterator[str]:
    for node in ast.walk(annotation) if annotation is not None else ():
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value  # a forward reference


@cache
def _nodes(module: str) -> dict[str, ast.AST]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {each.name: each for each in tree.body if isinstance(each, ast.ClassDef | ast.FunctionDef)}


@cache
def _names(module: str) -> frozenset[str]:
    """The names of a module that it imports from ours, or defines, but for type variables."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    found = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE)
        for alias in node.names
    }
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) == "TypeAlias":
            found.add(ast.unparse(node.target))
    return frozenset(found)
