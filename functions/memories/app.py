"""Lambda entry point of every route except search and MCP (`$default`)."""

from __future__ import annotations

from mangum import Mangum

from forgetless.api.app import create_app
from forgetless.runtime.composition import services
from forgetless.runtime.start import start

handler = Mangum(create_app(services, inline=True, origins=start().allowed_origins), lifespan="off")
