"""What a test or a demo does to a running CPO: change what it owns, take objects away, make it misbehave.

Rules of this module: nothing here is sent to the eMSP, which finds out when it asks; what is named must be known.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from attrs import define, field

from ocpi_emsp.testing.cpo.calls import EmspCalls, UnknownObjectError
from ocpi_emsp.testing.cpo.deviations import DEVIATIONS, Deviations, deviations_of
from ocpi_emsp.testing.cpo.failures import Failures
from ocpi_emsp.testing.cpo.listing import Lists
from ocpi_emsp.testing.cpo.presets import preset as settings_of
from ocpi_emsp.testing.cpo.wire import Document

_NONE: Final = Deviations()


@define(kw_only=True, slots=False, eq=False)
class Changes(EmspCalls):
    """Changes of a running CPO."""

    _lists: Lists = field(init=False, repr=False)
    _failures: Failures = field(init=False, repr=False)

    # Objects

    def change(
        self,
        module: str,
        object_id: str,
        changes: Document,
        *,
        evse_uid: str | None = None,
        connector_id: str | None = None,
    ) -> None:
        """Merges `changes` into an object, or into an EVSE or connector of a location; a `null` takes a field away.

        Its `last_updated` (and that of its parents) becomes now, unless `changes` has one, so the next list from an
        earlier date_from has it. Raises `UnknownObjectError`.
        """
        ids = [each for each in (object_id, evse_uid, connector_id) if each is not None]
        if module == "locations":
            self._require(self.catalogue.find(object_id, evse_uid, connector_id), module, *ids)
        else:
            self._require(self.catalogue.collection(module).get(object_id), module, *ids)
        if connector_id is not None and evse_uid is not None:
            self.catalogue.change_connector(object_id, evse_uid, connector_id, changes)
        elif evse_uid is not None:
            self.catalogue.change_evse(object_id, evse_uid, changes)
        else:
            self.catalogue.change(module, object_id, changes)

    def own(self, module: str, document: Document) -> None:
        """Adds or replaces an object, by its `id`."""
        self.catalogue.collection(module).put(document["id"], document)

    def withdraw(self, module: str, *object_ids: str) -> None:
        """Objects are no longer listed, nor known at all, until `restore`. Raises `UnknownObjectError`."""
        self._known(module, object_ids)
        self.catalogue.collection(module).hide(object_ids)

    def restore(self, module: str, *object_ids: str) -> None:
        """Withdrawn objects are there again as they were; all that are away unless some are named.

        Raises `UnknownObjectError`.
        """
        self._known(module, object_ids)
        self.catalogue.collection(module).show(object_ids or None)

    # Deviations

    def misbehave(self, preset: str | None = None, **deviations: Any) -> None:
        """From now on the CPO deviates like this preset, with these deviations beside it, and in no other way.

        What it was made with ends, too. Counting for failures begins anew. Raises `ValueError` for an unknown preset
        or a value that cannot be, `TypeError` for an unknown deviation or a value of a wrong type; then nothing has
        changed.
        """
        settings = (settings_of(preset) if preset is not None else {}) | deviations
        unknown = sorted(settings.keys() - set(DEVIATIONS))
        if unknown:
            raise TypeError(f"no deviation is called {', '.join(unknown)}; there are {', '.join(DEVIATIONS)}")
        before = deviations_of(self)
        try:
            self._set(deviations_of(_NONE) | settings)
        except (TypeError, ValueError):
            self._set(before)
            raise
        self._failures.clear()
        self._lists.clear()

    def behave(self) -> None:
        """From now on the CPO obeys the specification. Objects that were withdrawn, vanished or added stay so."""
        self.misbehave()

    @property
    def deviating(self) -> dict[str, Any]:
        """The deviations that are not as the specification has it, as far as JSON can say them."""
        deviations = {name: value for name, value in deviations_of(self).items() if not callable(value)}
        return {name: value for name, value in deviations.items() if value != getattr(_NONE, name)}

    @property
    def list_requests(self) -> Mapping[str, int]:
        """How many requests of lists came, by module; failed ones count."""
        return Counter(self._lists.requests)

    def _set(self, deviations: Mapping[str, Any]) -> None:
        for name, value in deviations.items():
            setattr(self, name, value)

    def _known(self, module: str, object_ids: tuple[str, ...]) -> None:
        for object_id in object_ids:
            if not self.catalogue.collection(module).has(object_id):
                raise UnknownObjectError(f"{module} has no {object_id!r}")

    def _require(self, found: Document | None, module: str, *ids: str) -> None:
        if found is None:
            raise UnknownObjectError(f"{module} has no {'/'.join(ids)!r}")
