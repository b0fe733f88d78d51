"""A process that starts on an empty database and registers a party: it waits for a line before each of the two.

Arguments: the URL of the database, the party_id. Prints ``ready``, ``opened``, then ``stored`` or why it was not.
"""

from __future__ import annotations

import sys
from contextlib import closing

from ocpi_emsp.cli.stores import reading, writing
from ocpi_emsp.codec import encode
from ocpi_emsp.errors import StoreFailed
from ocpi_emsp.flows.parties.party import Party, PartyState, party_key
from ocpi_emsp.ports import Record
from ocpi_emsp.storage import SqlStore
from our_emsp import NOW


def _wait(done: str) -> None:
    print(done, flush=True)
    sys.stdin.readline()


def _main(url: str, party_id: str) -> None:
    party = Party(country_code="NL", party_id=party_id, state=PartyState.REGISTERED, token="a-token-of-theirs")
    record = Record(party_key("NL", party_id), encode(party), NOW, NOW)
    _wait("ready")
    with closing(SqlStore(url, auto_upgrade=True)) as store:
        with reading(store) as tx:
            tx.get(record.key)
        _wait("opened")
        try:
            with writing(store) as tx:
                tx.put(record)
        except StoreFailed as failed:
            print(failed, flush=True)
        else:
            print("stored", flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
