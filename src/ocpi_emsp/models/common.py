"""Types that several chapters share: DisplayText (types.md), BusinessDetails and Image (mod_locations.md).

Rules of the models package:
- each chapter has one module; fields have the order, names and lengths of the chapter's table;
- classes are frozen, kw_only attrs classes; an absent ``*`` list is an empty tuple, every other absent optional field
  is None;
- classes have no behaviour and no Python-level validators: annotations hold the constraints, which msgspec checks at C
  speed; only the time zones of values that Python code creates are checked (:func:`ocpi_emsp.scalars.aware_times`);
- ``clause`` is the table's place in the specification;
- a class with optional fields has no slots: msgspec looks up each missing field with ``hasattr``, which raises and
  clears an AttributeError on a class with slots (1.3 times the time for a location). A class with only required fields
  has slots (0.8 times the time for a CDR with 50 periods).
"""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from ocpi_emsp.models.enums import ImageCategory
from ocpi_emsp.scalars import Pixels, String2, String4, String100, String512, Url


@frozen(kw_only=True)
class DisplayText:
    """Text to show to a driver, in one language (ISO 639-1)."""

    clause: ClassVar[str] = "types.md#13-displaytext-class"

    language: String2
    text: String512


@frozen(kw_only=True, slots=False)
class Image:
    """A link to an image; ``width`` and ``height`` in pixels."""

    clause: ClassVar[str] = "mod_locations.md#414-image-class"

    url: Url
    thumbnail: Url | None = None
    category: ImageCategory
    type: String4
    width: Pixels | None = None
    height: Pixels | None = None


@frozen(kw_only=True, slots=False)
class BusinessDetails:
    """Name, website and logo of a party."""

    clause: ClassVar[str] = "mod_locations.md#41-businessdetails-class"

    name: String100
    website: Url | None = None
    logo: Image | None = None
