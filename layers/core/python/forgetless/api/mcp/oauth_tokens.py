"""Signed tokens of OAuth: JSON web tokens that carry what they stand for, so that none of them is stored."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

__all__ = ["LIFE_S", "Purpose", "looks_signed", "read", "sign"]

_ALGORITHM = "HS256"
#: How a JSON web token begins: `{"` in base64.
_BEGINS = "eyJ"


class Purpose(StrEnum):
    """What a token is for. One with another purpose is not accepted."""

    CLIENT = "client"
    LOGIN = "login"
    CODE = "code"
    ACCESS = "access"
    REFRESH = "refresh"


#: For how many seconds tokens are valid, where they end at all: a registered client does not, and a grant says itself
#: when its refresh token ends.
LIFE_S = {Purpose.LOGIN: 600, Purpose.CODE: 60, Purpose.ACCESS: 3600}


def sign(key: bytes, purpose: Purpose, claims: Mapping[str, Any], *, now_s: float) -> str:
    """A token with these claims; `now_s` is Unix time."""
    import jwt  # noqa: PLC0415 - requests with keys never need it

    ends = {"exp": int(now_s) + LIFE_S[purpose]} if purpose in LIFE_S else {}
    return jwt.encode({**claims, "aud": str(purpose), **ends}, key, algorithm=_ALGORITHM)


def read(key: bytes, purpose: Purpose, token: str, *, now_s: float | None) -> dict[str, Any] | None:
    """The claims of a token of ours with this purpose whose time is not over; None for everything else.

    With `now_s=None`, its time does not matter.
    """
    import jwt  # noqa: PLC0415 - as above

    try:
        # The end is compared below, with the clock of the service.
        options: Any = {"verify_exp": False}
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=[_ALGORITHM], audience=str(purpose), options=options)
    except (jwt.InvalidTokenError, ValueError):  # a lone surrogate in the text is a ValueError
        return None
    return claims if now_s is None or now_s < claims.get("exp", now_s + 1) else None


def looks_signed(presented: str) -> bool:
    """Whether a presented key can only be a token: a key of the same form could be registered, but is none of ours."""
    return presented.startswith(_BEGINS) and presented.count(".") == 2
