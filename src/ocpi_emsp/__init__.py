"""The eMSP side of OCPI 2.1.1."""

from ocpi_emsp.check import check
from ocpi_emsp.codec import decode, encode
