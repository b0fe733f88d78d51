"""Statements are compiled when they are first needed: a process that asks for one token needs few of hundreds."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, literal, select
from sqlalchemy.dialects import sqlite

from flows.support import offline_emsp
from ocpi_emsp.storage import SqlStore
from ocpi_emsp.storage.sql.prepared import Prepared
from our_emsp import token


def test_a_store_compiles_what_is_needed_and_once(url_with_schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, compile_it = list[Prepared](), Prepared._compile

    def counted(statement: Prepared) -> None:
        compiled.append(statement)
        compile_it(statement)

    monkeypatch.setattr(Prepared, "_compile", counted)
    engine = create_engine(url_with_schema)  # a store on an engine of its own shares nothing with those of other tests
    store = SqlStore(engine)
    emsp = offline_emsp(store=store)
    assert compiled == []
    emsp.tokens.put(token("T1"))
    assert emsp.tokens.get("T1") == token("T1")
    first = len(compiled)
    assert 0 < first < 20
    emsp.tokens.put(token("T2"))
    assert emsp.tokens.get("T2") == token("T2")
    assert len(compiled) == first
    engine.dispose()


def test_a_statement_has_no_other_attributes() -> None:
    statement = Prepared(select(literal(1).label("one")), sqlite.dialect())
    assert not hasattr(statement, "texts")
    assert statement.text == "SELECT ? AS one"
