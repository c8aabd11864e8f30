"""What takes minutes and is therefore part of `make test-erasure` only."""

from __future__ import annotations

import os

import pytest

__all__ = ["WHOLE"]

#: Marks such a test.
WHOLE = pytest.mark.skipif(not os.environ.get("FORGETLESS_ERASURE_WHOLE"), reason="part of make test-erasure")
