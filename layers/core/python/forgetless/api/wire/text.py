"""Text as stores can keep it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from forgetless.api.checking import check_unicode

__all__ = ["Text"]


def _checked(value: str, info: ValidationInfo) -> str:
    check_unicode(info.field_name or "text", value)
    return value


#: A string without lone surrogates (JSON can write them, UTF-8 cannot): those are 400, whatever the field.
Text = Annotated[str, AfterValidator(_checked)]
