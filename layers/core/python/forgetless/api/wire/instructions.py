"""The body of generate-instructions."""

from __future__ import annotations

from pydantic import BaseModel

from forgetless.api.wire.text import Text

__all__ = ["InstructionsBody"]


class InstructionsBody(BaseModel):
    """What the memories are for."""

    use_case: Text
