"""Lambda entry point of every route but search (`$default`)."""

from __future__ import annotations

from mangum import Mangum

from forgetless.api.app import create_app
from forgetless.runtime.composition import services
from forgetless.runtime.logs import share_config
from forgetless.runtime.settings import load_settings

share_config()
origins = load_settings().allowed_origins
handler = Mangum(create_app(services, inline=True, origins=origins), lifespan="off")
