"""The port to the receivers of webhooks: sends one signed POST and returns its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["WebhookSender"]


class WebhookSender(Protocol):
    """Delivers to addresses that clients gave, and trusts none of them."""

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes, deadline_s: float) -> int:
        """POST once and return the HTTP status. Redirects are not followed, and the body of the answer is not read.

        Raises ForbiddenError for an address that must not be contacted, ConnectionError without an answer, and
        TimeoutError when it takes longer than `deadline_s` seconds.
        """
