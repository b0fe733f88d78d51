"""A plugin of Litestar that puts an eMSP into an application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

from litestar import Litestar, asgi
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.plugins import InitPlugin

from ocpi_emsp import Emsp


class EmspPlugin(InitPlugin):
    """Mount the eMSP at the path of its URL, do its background work, and inject it as ``emsp``."""

    def __init__(self, emsp: Emsp) -> None:
        self._emsp = emsp

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add what the eMSP needs."""
        path = urlsplit(self._emsp.identity.url).path
        mounted = asgi(path, is_mount=True, copy_scope=True)(self._emsp.asgi(background=False))
        app_config.route_handlers.append(mounted)
        app_config.lifespan.append(self._lifespan)
        app_config.dependencies["emsp"] = Provide(lambda: self._emsp, sync_to_thread=False)
        return app_config

    @asynccontextmanager
    async def _lifespan(self, _: Litestar) -> AsyncIterator[None]:
        async with self._emsp.aio.running(sync_every=timedelta(hours=4)):
            yield
        await self._emsp.aio.close()
