"""Extra headers of requests to embedding servers and LLMs, which gateways in front of them may ask for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from forgetless.adapters.json_setting import json_object
from forgetless.adapters.secrets_aws import Secret, shown
from forgetless.domain.errors import DependencyError, InvalidRequestError

__all__ = ["extra_headers"]

#: The names that HTTP allows.
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
#: The values that every server reads alike: ASCII without control characters.
_VALUE = re.compile(r"[\x20-\x7e]*")
#: What the client itself must set, because the message would be read wrongly otherwise.
_OWN = frozenset({"accept-encoding", "connection", "content-length", "content-type", "host", "transfer-encoding"})


def extra_headers(variable: str, value: Secret) -> Callable[[], Mapping[str, str]]:
    """Returns the headers of `variable`, a JSON object, in lower case whenever it is called.

    A secret is read when it is needed, because it may change. A value that is no object of headers raises
    InvalidRequestError for a plain text, and DependencyError when a secret is read. The error quotes no value, which
    may be a key.
    """
    if isinstance(value, str):
        headers = _read(variable, value)
        return lambda: headers

    def of_secret() -> Mapping[str, str]:
        try:
            return _read(variable, shown(value))
        except InvalidRequestError as error:
            raise DependencyError(error.message, retry_after=None) from error

    return of_secret


@lru_cache(maxsize=8)
def _read(variable: str, text: str) -> Mapping[str, str]:
    given = json_object(variable, text, like='headers, like {"X-Team": "memory"}')
    for name, content in given.items():
        if not _NAME.fullmatch(name):
            raise InvalidRequestError(f"{variable}: {name!r} is no name of a header")
        if name.lower() in _OWN:
            raise InvalidRequestError(f"{variable}: {name} is set by the client itself: remove it")
        if not isinstance(content, str) or not _VALUE.fullmatch(content):
            raise InvalidRequestError(f"{variable}: the value of {name} must be text in ASCII without line breaks")
    return {name.lower(): content.strip() for name, content in given.items()}
