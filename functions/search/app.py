"""Lambda entry point of `POST /search`, apart from the rest so that slow adds never hold it up."""

from __future__ import annotations

from mangum import Mangum

from forgetless.api.app import create_search_app
from forgetless.runtime.composition import services
from forgetless.runtime.logs import share_config
from forgetless.runtime.settings import load_settings

share_config()
origins = load_settings().allowed_origins
handler = Mangum(create_search_app(services, inline=True, origins=origins), lifespan="off")
