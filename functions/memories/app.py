"""Lambda entry point of every route except search and MCP (`$default`)."""

from __future__ import annotations

import gc

gc.disable()  # What follows stays loaded, so looking through it for garbage is in vain; start() enables it again.

from forgetless.api.app import create_app
from forgetless.runtime.asgi_handler import asgi_handler
from forgetless.runtime.composition import services
from forgetless.runtime.logs import logger
from forgetless.runtime.metrics import metered
from forgetless.runtime.start import start

settings = start()
app = create_app(
    services,
    inline=True,
    origins=settings.allowed_origins,
    docs=bool(settings.docs),
    console=bool(settings.console),
    base_path=settings.base_path,
)
handler = metered("memories")(logger.inject_lambda_context(asgi_handler(app)))
