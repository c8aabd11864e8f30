"""The context that Lambda gives to a handler."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FakeContext"]


@dataclass(frozen=True, slots=True)
class FakeContext:
    """The parts of it that handlers and Powertools read."""

    function_name: str = "function"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:function"
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """Plenty."""
        return 60_000
