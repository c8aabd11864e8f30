"""Signs HTTP requests with the process's AWS credentials (SigV4), for servers that ask IAM who calls them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from forgetless.domain.errors import InvalidRequestError, ProviderAuthError

if TYPE_CHECKING:
    from botocore.credentials import Credentials

__all__ = ["AwsSigner"]

#: The host of a function URL names its region.
_FUNCTION_URL = re.compile(r"[\w-]+\.lambda-url\.([\w-]+)\.on\.aws(?:\.cn)?")


class AwsSigner:
    """Returns what a signed request needs beside its own headers; `label` names the server in errors.

    Raises InvalidRequestError when nothing says which region the signature is for.
    """

    def __init__(self, base_url: str, label: str, *, service: str = "lambda") -> None:
        found = _FUNCTION_URL.fullmatch(urlsplit(base_url).hostname or "")
        region = found[1] if found else os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not region:
            raise InvalidRequestError(f"the URL of {label} is no function URL, which names its region: set AWS_REGION")
        self._label = label
        self._region = region
        self._service = service
        self._credentials: Credentials | None = None

    def __call__(self, url: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
        """The headers of a POST with its signature; of those that are given, all are signed."""
        # Imported here: they take a part of a cold start, and only what signs needs them.
        from botocore.auth import SigV4Auth  # noqa: PLC0415
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        request = AWSRequest("POST", url, headers=dict(headers), data=content)
        try:
            # Frozen, because others may be fetched while this request is signed.
            frozen = self._known().get_frozen_credentials()
        except BotoCoreError as error:
            raise self._unknown(type(error).__name__) from error
        SigV4Auth(frozen, self._service, self._region).add_auth(request)
        return {name.lower(): str(value) for name, value in request.headers.items()}

    def _known(self) -> Credentials:
        if self._credentials is None:
            from botocore.session import get_session  # noqa: PLC0415

            self._credentials = get_session().get_credentials()
        if self._credentials is None:
            raise self._unknown("none were found")
        return self._credentials

    def _unknown(self, reason: str) -> ProviderAuthError:
        return ProviderAuthError(f"requests to {self._label} cannot be signed: no AWS credentials ({reason})")
