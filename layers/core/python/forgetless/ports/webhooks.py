"""The port to receivers of webhooks: one signed POST, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["WebhookSender"]


class WebhookSender(Protocol):
    """Delivers to addresses that clients gave, so it trusts none of them."""

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes, deadline_s: float) -> int:
        """POST once and return the status; redirects are not followed and the answer's body is not read.

        Raises ForbiddenError for an address that is not to be reached, ConnectionError without an answer, and
        TimeoutError when it takes longer than `deadline_s` seconds.
        """
