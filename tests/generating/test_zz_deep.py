import pytest

from generating.support import backend, emsp_and_token
from ocpi_emsp.testing.backend import BackendContract


class TestDeep(BackendContract):
    @pytest.fixture
    def ocpi_backend(self):
        emsp, token = emsp_and_token()
        return backend(emsp.wsgi(), token, examples=400)
