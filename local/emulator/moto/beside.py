"""moto beside the emulator: its process, what the template makes there, and the events of its buckets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from local.emulator.moto.bucket_events import BucketEvents
from local.emulator.moto.client import MotoClient, MotoError
from local.emulator.moto.process import MotoProcess
from local.emulator.moto.stores import make_stores, watch_buckets
from local.emulator.specs import Place, Target, Template, TemplateError

__all__ = ["MotoBeside"]

_TIMEOUT_SECONDS = 30.0


class MotoBeside:
    """A moto that holds what a template makes; `stack` ends it."""

    def __init__(self, stack: AsyncExitStack, template: Template, place: Place) -> None:
        self._stack, self._template, self._place = stack, template, place
        self.url = ""
        #: What it does not make.
        self.warnings: list[str] = []

    async def start(self, log: Path) -> None:
        """Start it and make everything; raises TemplateError when it does not start."""
        process = MotoProcess(log)
        self._stack.push_async_callback(process.stop)
        self.url = await process.start()
        http = httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_SECONDS)
        self._client = MotoClient(await self._stack.enter_async_context(http), self.url, self._place.region)
        stores = self._template.stores
        self.warnings = [
            f"{store.logical_id} is not made in moto: {store.problem}" for store in stores if store.problem
        ]
        try:
            self.warnings += await make_stores(self._client, (store for store in stores if not store.problem))
            if self._template.bucket_events:
                self.warnings += await watch_buckets(self._client, self._template.bucket_events, self._place)
        except MotoError as error:
            raise TemplateError(f"--with-moto: {error}") from error

    def bucket_events(
        self, tell: Callable[[Target, bytes], Awaitable[None]], log: Callable[[str], None]
    ) -> BucketEvents:
        """Return the watcher of its buckets."""
        return BucketEvents(self._client, self.url, self._template.bucket_events, tell=tell, log=log)
