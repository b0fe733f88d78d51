"""Hosts with an Alembic of their own take our tables into their revisions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from attrs import frozen

from ocpi_emsp.ports import (
    Record,
)
from ocpi_emsp.storage import SqlStore, migrations
from store.migrating import LOCATION, ROOT, WHEN, Breaking, Broken, Database, assert_readable, fill, opened, transaction

DOCS = (ROOT.parent / "docs" / "how-to" / "postgresql.md").read_text("utf-8")
HOST_ENV = """
from alembic import context
from sqlalchemy import Column, Integer, MetaData, Table

metadata = MetaData()
orders = Table("orders", metadata, Column("id", Integer, primary_key=True))
{documented}
connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=target_metadata, include_name=include_name)
with context.begin_transaction():
    context.run_migrations()
"""
REVISION = """
from alembic import op
import sqlalchemy as sa
from sqlalchemy import Text
import ocpi_emsp.storage.sql.types
from ocpi_emsp.storage import migrations
${imports if imports else ""}
revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    pass
"""


def documented(number: int) -> str:
    """A block of Python of the documentation."""
    section = DOCS.partition("\n## Migrations\n")[2].partition("\n## ")[0]
    found: list[str] = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return found[number]


@frozen
class Host:
    """An application with an Alembic environment of its own, which follows the documentation."""

    folder: Path
    database: Database

    def set_up(self) -> None:
        """Its environment, without any revision."""
        (self.folder / "versions").mkdir(parents=True)
        (self.folder / "env.py").write_text(HOST_ENV.replace("{documented}", documented(0)))
        (self.folder / "script.py.mako").write_text(REVISION)

    def act(self, action: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """A command of Alembic."""
        with self.database.connection() as connection:
            config = Config(stdout=StringIO())
            config.set_main_option("script_location", str(self.folder))
            config.attributes["connection"] = connection
            found = action(config, *args, **options)
            connection.commit()
        return found

    def revision(self, last: str = "") -> str:
        """What autogenerate writes; ``last`` becomes the last statement."""
        path = Path(self.act(command.revision, autogenerate=True).path)
        text = path.read_text()
        path.write_text(text.replace("    # ### end Alembic commands ###", last, 1))
        return text

    def write(self, revision: str, after: str | None, body: str) -> None:
        """A revision written by hand."""
        heads = f"import sqlalchemy as sa\nrevision = {revision!r}\ndown_revision = {after!r}\n"
        (self.folder / "versions" / f"{revision}.py").write_text(heads + body)

    def upgrade(self) -> None:
        """Run its revisions."""
        self.act(command.upgrade, "head")


@pytest.fixture(params=["sqlite", "postgresql"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    """A host on an empty database."""
    url = f"sqlite:///{tmp_path / 'emsp.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    made = Host(tmp_path / "alembic", Database(url, migrations.Names()))
    made.set_up()
    return made


def test_autogenerate_of_a_host_makes_the_tables(host: Host) -> None:
    written = host.revision(last=documented(2))
    assert "op.create_table('ocpi_locations'" in written
    assert "op.create_table('orders'" in written
    host.upgrade()
    assert host.database.refusal() == ""
    with opened(host.database) as store:
        fill_today(store)
    documents = [row["document"] for row in host.database.rows("locations", "CAST(document AS TEXT) AS document")]
    assert [json.loads(document) for document in documents] == [{"id": "LOC1"}]
    assert "op." not in host.revision().partition("def upgrade")[2], "nothing is left to be changed"


def fill_today(store: SqlStore) -> None:
    """A location, by the library of today."""
    with transaction(store) as tx:
        tx.put(Record(LOCATION, b'{"id": "LOC1"}', WHEN, WHEN))
    with transaction(store) as tx:
        assert tx.get(LOCATION) == Record(LOCATION, b'{"id": "LOC1"}', WHEN, WHEN)


def test_without_the_stamp_the_tables_of_a_host_are_refused(host: Host) -> None:
    host.revision()
    host.upgrade()
    assert "but no revision is recorded" in host.database.refusal()


def test_a_revision_of_a_host_calls_ours(host: Host) -> None:
    host.write("a1", None, documented(1) + "    op.create_table('orders', sa.Column('id', sa.Integer))\n")
    host.upgrade()
    assert host.database.refusal() == ""
    assert {"orders", "alembic_version", "ocpi_version", "ocpi_tokens"} <= set(host.database.tables())
    with opened(host.database) as store:
        fill_today(store)


def test_a_revision_of_a_host_brings_old_data_up_to_date(host: Host) -> None:
    host.database.at("0001")
    fill(host.database)
    host.write("a1", None, documented(1))
    host.upgrade()
    with opened(host.database) as store:
        assert_readable(store)


def test_a_revision_of_a_host_that_fails_takes_ours_with_it(host: Host) -> None:
    host.write("a1", None, documented(1) + "    raise RuntimeError('of the host')\n")
    with pytest.raises(RuntimeError, match="of the host"):
        host.upgrade()
    assert not [name for name in host.database.tables() if name.startswith("ocpi_")]


def test_what_fails_within_a_transaction_of_the_host_leaves_the_hosts_own_work(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "Operations", Breaking)
    with database.connection() as connection:
        connection.execute(sa.text("CREATE TABLE orders (id INTEGER)"))
        with pytest.raises(Broken):
            migrations.upgrade(connection, database.names)
        connection.commit()
        assert sa.inspect(connection).get_table_names() == ["orders"]
    assert database.tables() == (["orders"] if database.names.schema is None else [])
