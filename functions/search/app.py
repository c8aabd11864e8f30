"""Lambda entry point of `POST /search`. It is a function of its own, so that slow adds never delay searches."""

from __future__ import annotations

from mangum import Mangum

from forgetless.api.app import create_search_app
from forgetless.runtime.composition import services
from forgetless.runtime.start import start

handler = Mangum(create_search_app(services, inline=True, origins=start().allowed_origins), lifespan="off")
