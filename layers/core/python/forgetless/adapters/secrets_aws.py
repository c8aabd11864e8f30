"""Secrets by ARN: read from AWS Secrets Manager at first use and cached for minutes, so that rotation works."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from forgetless.domain.errors import DependencyError

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

__all__ = ["MAX_AGE_S", "AwsSecret", "Secret", "secret", "shown"]

#: The text of a secret, or a function that returns it when it is needed.
Secret = str | Callable[[], str]

#: How long a secret is cached before it is read again.
MAX_AGE_S = 300
CONNECT_TIMEOUT_S = 2
READ_TIMEOUT_S = 5
ATTEMPTS = 2

_ARN = re.compile(r"arn:aws[\w-]*:secretsmanager:([\w-]+):\d+:secret:\S+")

_logger = logging.getLogger(__name__)


def secret(variable: str, value: str) -> Secret:
    """The value of the variable: the plain secret, or a reader of the secret if the value is an ARN."""
    return AwsSecret(variable, value) if _ARN.fullmatch(value) else value


def shown(value: Secret) -> str:
    """The present text of the secret."""
    return value if isinstance(value, str) else value()


class AwsSecret:
    """Returns the secret string at `arn` when called; `variable` names it in errors.

    Raises DependencyError when Secrets Manager does not return it and there is no earlier value.
    """

    def __init__(self, variable: str, arn: str, *, max_age_s: int = MAX_AGE_S) -> None:
        self._variable = variable
        self._arn = arn
        self._max_age_s = max_age_s
        self._provider: SecretsProvider | None = None
        self._last: str | None = None
        self._lock = threading.Lock()

    def __call__(self) -> str:
        # Imported here: boto3 takes a third of a second of a cold start, and plain secrets do not need it.
        from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError  # noqa: PLC0415

        try:
            with self._lock:
                self._last = str(self._secrets().get(self._arn, max_age=self._max_age_s))
        except GetParameterError as error:
            reason = _reason(error)
            if self._last is None:
                raise DependencyError(f"{self._variable}: Secrets Manager did not return it ({reason})") from error
            _logger.warning("a secret could not be read again", extra={"variable": self._variable, "reason": reason})
        return self._last

    def __repr__(self) -> str:
        return f"AwsSecret({self._variable})"

    def _secrets(self) -> SecretsProvider:
        if self._provider is None:
            import boto3  # noqa: PLC0415
            from aws_lambda_powertools.utilities.parameters import SecretsProvider  # noqa: PLC0415
            from botocore.config import Config  # noqa: PLC0415

            config = Config(
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            )
            found = _ARN.fullmatch(self._arn)
            session = boto3.session.Session(region_name=found.group(1) if found else None)
            self._provider = SecretsProvider(boto_config=config, boto3_session=session)
        return self._provider


def _reason(error: BaseException) -> str:
    cause = error.__cause__ or error.__context__ or error
    response = getattr(cause, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code or type(cause).__name__)
