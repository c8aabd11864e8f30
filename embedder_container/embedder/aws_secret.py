"""Reads the service's key from Secrets Manager where the variable names a secret."""

from __future__ import annotations

import re

from .errors import EmbedderError

__all__ = ["read_key"]

_ARN = re.compile(r"arn:aws[\w-]*:secretsmanager:([\w-]+):\d+:secret:\S+")


def read_key(value: str) -> str:
    """Return the secret that ``value`` is the ARN of, or ``value`` itself. EmbedderError says why it is not given."""
    found = _ARN.fullmatch(value)
    if found is None:
        return value
    import boto3  # noqa: PLC0415 - the Lambda image alone has it
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        client = boto3.session.Session(region_name=found[1]).client("secretsmanager")
        key = str(client.get_secret_value(SecretId=value).get("SecretString") or "")
    except (BotoCoreError, ClientError) as error:
        code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
        reason = code or type(error).__name__
        raise EmbedderError(f"EMBEDDER_API_KEY: Secrets Manager did not return it ({reason})") from None
    if not key:
        raise EmbedderError("EMBEDDER_API_KEY: the secret has no text; it must be a plain string")
    return key
