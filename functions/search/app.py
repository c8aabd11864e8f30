"""Lambda entry point of `POST /search`. It is a function of its own, so that slow adds never delay searches."""

from __future__ import annotations

import gc

gc.disable()  # What follows stays loaded, so looking through it for garbage is in vain; start() enables it again.

from forgetless.api.app import create_search_app
from forgetless.runtime.asgi_handler import asgi_handler
from forgetless.runtime.composition import services
from forgetless.runtime.logs import logger
from forgetless.runtime.metrics import metered
from forgetless.runtime.start import start

settings = start()
app = create_search_app(services, inline=True, origins=settings.allowed_origins, base_path=settings.base_path)
handler = metered("search")(logger.inject_lambda_context(asgi_handler(app)))
