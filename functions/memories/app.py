"""Lambda entry point of every route but search (`$default`)."""

from __future__ import annotations

from mangum import Mangum

from forgetless.api.app import create_app
from forgetless.runtime.composition import services
from forgetless.runtime.start import start

start()
handler = Mangum(create_app(services, inline=True), lifespan="off")
