"""The shipped strategies under the names that the tests of the codec use."""

from ocpi_emsp.testing.payloads import Mutation, mutations
from ocpi_emsp.testing.strategies import JSON, KINDS, documents
from ocpi_emsp.testing.strategies.documents import TEXT

__all__ = ["JSON", "KINDS", "TEXT", "Mutation", "documents", "mutations"]
