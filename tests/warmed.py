"""What a process makes at its first use of a database, made once: each fork of one that imported this module has it.

tests/forked.py has it imported. A test whose subject is how Python or a command starts runs a process of its own.
"""

from __future__ import annotations

from ocpi_emsp.storage import SqlStore

_store = SqlStore("sqlite:///file:warmed?mode=memory&uri=true")
_store.upgrade()
_store.close()
