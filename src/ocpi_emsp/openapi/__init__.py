"""An OpenAPI 3.1 description of what an eMSP serves (docs/reference/openapi.md).

Rules of this package:
- everything comes from what serves: paths and methods from ``routes.py`` and the support matrix, sentences from the
  flows, schemas from the models, the answers of refusals from ``errors.py``;
- a request is described as the specification has it, although more is accepted; an answer is described as it is sent.
"""

from __future__ import annotations

from ocpi_emsp.openapi.document import describe

__all__ = ["describe"]
