"""An OpenAPI 3.1 description of an eMSP's interface (docs/reference/openapi.md).

Rules of this package:
- everything is derived from the serving code: paths and methods from ``routes.py`` and the support matrix, sentences
  from the flows, schemas from the models, responses of refusals from ``errors.py``;
- a request is described as in the specification, although more is accepted; a response is described as it is sent.
"""

from __future__ import annotations

from ocpi_emsp.openapi.document import describe

__all__ = ["describe"]
