"""The service as a Lambda function behind a function URL (payload version 2). The model is loaded at init.

Lambda gives an environment one request at a time, so batches hold the texts of one request only.
"""

from __future__ import annotations

import asyncio
import os

from mangum import Mangum

from .aws_secret import read_key
from .http.app import App
from .model import load_model
from .service import Embedding
from .settings import read_settings

__all__ = ["handler"]


def _open() -> Mangum:
    # A function's names are given by AWS, and no web page can point others at it.
    hosts = os.environ.get("EMBEDDER_HOSTS") or "*"
    settings = read_settings(os.environ, hosts=hosts, api_key=read_key(os.environ.get("EMBEDDER_API_KEY", "")))
    model, manifest = load_model(settings.model_path, settings.max_tokens)
    service = Embedding(model, manifest, settings)
    # Mangum runs each invocation on the thread's loop, and the service's workers must use the same one.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(service.start())
    return Mangum(App(service), lifespan="off")


handler = _open()
