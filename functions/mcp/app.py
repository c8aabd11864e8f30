"""Lambda entry point of `/mcp`. It is a function of its own, so that only it imports the MCP SDK."""

from __future__ import annotations

import gc

gc.disable()  # What follows stays loaded, so looking through it for garbage is in vain; start() enables it again.

from forgetless.api.app import create_mcp_app
from forgetless.runtime.asgi_handler import asgi_handler
from forgetless.runtime.composition import services
from forgetless.runtime.logs import logger
from forgetless.runtime.metrics import metered
from forgetless.runtime.start import start

settings = start()
app = create_mcp_app(
    services,
    inline=True,
    origins=settings.allowed_origins,
    oauth_redirects=settings.oauth_hosts,
    base_path=settings.base_path,
)
handler = metered("mcp")(logger.inject_lambda_context(asgi_handler(app)))
