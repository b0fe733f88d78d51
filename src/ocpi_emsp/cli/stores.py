"""The store, and the eMSP on it, for commands.

Rules of this module:
- a command that only reads creates no database: a missing SQLite file most likely means the wrong directory;
- the database and its schema are checked before anything else happens;
- a message about a database never has its password.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import evolve

from ocpi_emsp.cli import output
from ocpi_emsp.cli.errors import Outside, Usage
from ocpi_emsp.cli.identity import credentials_settings, repeated, say_what_differs
from ocpi_emsp.cli.options import Arguments
from ocpi_emsp.cli.settings import DEFAULT_STORE, LISTS, require_identity, store_url
from ocpi_emsp.cli.url_policies import url_policy_of
from ocpi_emsp.codec import decode
from ocpi_emsp.emsp import Emsp
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.party_id import PartyId
from ocpi_emsp.ports import AnyStore, BlockingStore, BlockingTransaction, Kind, Query, Record
from ocpi_emsp.resources import Party, PartyState
from ocpi_emsp.storage import MemoryStore

if TYPE_CHECKING:
    from ocpi_emsp.storage.sql.store import SqlStore

BASE_PATH = "/ocpi/emsp"
PAGE = 500
"""Records that are read at once: few enough for little memory, many enough that a page costs nothing."""
_ANY_URL = f"http://127.0.0.1{BASE_PATH}"
"""For commands that send no URL of ours to any partner."""


ANYONE = Arguments(
    country_code="XX", party_id="XXX", name="nobody", url="", url_policy="https", **dict.fromkeys(LISTS, ())
)
"""An identity for commands that do not depend on ours."""


def open_store(url: str, *, auto_upgrade: bool = False, makes: bool = True, snapshot: bool = False) -> SqlStore:
    """Open the database with this URL, and check its schema; with ``makes`` a new SQLite file is created.

    With ``snapshot`` all reads of a transaction see the same state. Raises Usage, Outside, StoreFailed, SchemaMismatch.
    """
    store = unopened_store(url, makes=makes, auto_upgrade=auto_upgrade, snapshots=snapshot)
    try:
        with reading(store):  # the first transaction checks the schema
            return store
    except BaseException:
        store.close()
        raise


def unopened_store(url: str, *, makes: bool, auto_upgrade: bool = False, snapshots: bool = False) -> SqlStore:
    """Return the database with this URL, whatever its schema; a SQLite file must exist unless ``makes`` is set.

    Raises Usage, Outside.
    """
    output.require("sqlalchemy", "sql")
    from ocpi_emsp.storage.sql.engine import MissingSlash, is_in_memory, usable_url
    from ocpi_emsp.storage.sql.store import SqlStore

    try:
        parsed = usable_url(url)
        store = SqlStore(parsed, auto_upgrade=auto_upgrade, snapshots=snapshots)
    except MissingSlash as error:
        raise Usage(str(error)) from None
    except ValueError:  # its message may repeat the URL, or a part of it that was meant to be the password
        known = f"{DEFAULT_STORE} or postgresql+psycopg://user:password@host:5432/database"
        scheme = url.partition("://")[0]
        raise Usage(
            f"invalid store '{scheme}://…': expected a URL of SQLite or PostgreSQL, for example {known}"
        ) from None
    except ImportError as error:
        raise Usage(f"this database needs {error.name}, which is not installed: pip install 'ocpi-emsp[sql]'") from None
    if is_in_memory(parsed):
        raise Usage(
            f"invalid store: a SQLite database in memory ends with its process: set a file, for example {DEFAULT_STORE}"
        )
    file = parsed.database or ""
    if parsed.drivername.startswith("sqlite") and not (makes or file.startswith("file:") or Path(file).exists()):
        where = "" if Path(file).is_absolute() else " in this directory"
        raise Outside(
            f"there is no database {file}{where}: set --store to the one that exists; "
            "serve, register, invite, import and db upgrade create it"
        )
    return store


def warn_of_readers(store: SqlStore) -> None:
    """Report which files of a SQLite database, or of its key, other users of this machine may read."""
    for file in store.files():
        rights = stat.S_IMODE(file.stat().st_mode) if os.name == "posix" and file.is_file() else 0
        if rights & 0o077:
            output.say(f"{file} can be read by other users of this machine (mode {rights:04o}): chmod 600 {file}")


def require_usable_key() -> None:
    """Raise Usage for an invalid key in the environment, before a server needs it."""
    output.require("sqlalchemy", "sql")
    from ocpi_emsp.storage import secrets

    try:
        secrets.require_usable_key()
    except StoreFailed as failure:
        raise Usage(failure.message) from None


@contextlib.contextmanager
def opened(arguments: Arguments, *, makes: bool = False, snapshot: bool = False) -> Iterator[SqlStore]:
    """Open the store of the arguments until the end of the block; see :func:`open_store`."""
    store = open_store(store_url(arguments), makes=makes, snapshot=snapshot)
    try:
        yield store
    finally:
        store.close()


def reading(store: SqlStore) -> AbstractContextManager[BlockingTransaction]:
    """Return a transaction that only reads."""
    return _blocking(store).blocking_transaction(read_only=True)


def writing(store: SqlStore) -> AbstractContextManager[BlockingTransaction]:
    """Return a transaction that writes."""
    return _blocking(store).blocking_transaction()


def pages(tx: BlockingTransaction, query: Query) -> Iterator[Sequence[Record]]:
    """Yield all records that match, a page at a time."""
    query = evolve(query, limit=PAGE, count=False)
    while records := tx.page(query).records:
        yield records
        query = evolve(query, after=records[-1].sequence)


def registered(arguments: Arguments) -> list[PartyId]:
    """Return the codes of every registered party in the store of the arguments."""
    found = list[PartyId]()
    with opened(arguments) as store, reading(store) as tx:
        for page in pages(tx, Query(kind=Kind.PARTY)):
            parties = (decode(Party, record.document) for record in page)
            found += [each.id for each in parties if each.state is PartyState.REGISTERED]
    return found


def make_emsp(identity: Arguments, store: AnyStore, url: str = _ANY_URL, **options: Any) -> Emsp:
    """Return the eMSP with this identity; ``url`` is used if it has none. Raises Usage for one that no partner could
    accept.
    """
    if "business_details" not in options:
        options = {**credentials_settings(identity), **options}
    try:
        return Emsp(
            country_code=identity.country_code,
            party_id=identity.party_id,
            name=identity.name,
            url=identity.url or url,
            url_policy=url_policy_of(identity),
            store=store,
            **options,
        )
    except ValueError as error:
        raise Usage(str(error)) from None


@contextlib.contextmanager
def emsp_of(arguments: Arguments, *, url_needed_for: str | None = None, makes: bool = False) -> Iterator[Emsp]:
    """Yield the eMSP of the arguments, on its store. Raises Usage, Outside, StoreFailed.

    ``url_needed_for`` names the purpose of our public URL; without it, no partner sees a URL of ours.
    """
    require_identity(arguments)
    if url_needed_for is not None:
        _require_url(arguments, url_needed_for)
    require_usable_identity(arguments)
    with opened(arguments, makes=makes) as store:
        yield make_emsp(arguments, store)


@contextlib.contextmanager
def renewing_emsp(arguments: Arguments) -> Iterator[Emsp]:
    """Yield the eMSP that renews the credentials of a party; it sends what the party was last sent, except for given
    arguments.

    Raises Usage, Outside, StoreFailed.
    """
    with opened(arguments) as store:
        party = emsp_of_nobody(store).parties.get(arguments.party)
        sent = party.sent if party else None
        whole = repeated(arguments, sent)
        require_identity(whole)
        _require_url(whole, "the party calls us back")
        settings = credentials_settings(arguments, sent)
        emsp = make_emsp(whole, store, **settings)
        say_what_differs(emsp, sent)
        yield emsp


def _require_url(arguments: Arguments, needed_for: str) -> None:
    if arguments.url is None:
        raise Usage(f"Missing public URL ({needed_for}): set --url (or OCPI_EMSP_URL, or url in ocpi-emsp.toml)")


def require_usable_identity(arguments: Arguments) -> None:
    """Raise Usage for an identity that no partner could accept, before a database is created for it."""
    make_emsp(arguments, MemoryStore())


def emsp_of_nobody(store: AnyStore, arguments: Arguments = ANYONE) -> Emsp:
    """Return an eMSP for work that does not depend on our identity; it calls the URLs that the arguments allow."""
    policy = {name: getattr(arguments, name) for name in ("url_policy", *LISTS)}
    return make_emsp(Arguments(**vars(ANYONE) | policy), store)


def emsp_of_tokens(store: SqlStore) -> Emsp:
    """Return the eMSP that owns the tokens in the store, for work that depends on which drivers are ours."""
    with reading(store) as tx:
        tokens = tx.page(Query(kind=Kind.TOKEN, limit=1, count=False)).records
    owner = {name: getattr(each.key, name) for each in tokens for name in ("country_code", "party_id")}
    return make_emsp(Arguments(**vars(ANYONE) | owner), store)


def say_nothing_found(emsp: Emsp, party: PartyId, nothing: str) -> None:
    """Print that nothing of a party was found, or that it is not known: its name may be misspelt."""
    stored = (emsp.cdrs.list(party, limit=1), emsp.sessions.list(party, limit=1))
    if emsp.parties.get(party) is None and not any(True for each in stored for _ in each):
        nothing = f"there is no registration with {party}, and no CDR and no session of it is stored"
    output.say(nothing)


def _blocking(store: SqlStore) -> BlockingStore:
    return cast("BlockingStore", store.for_mode("sync"))  # that of a newly created store
