"""Mutations of what leaves the service: deliveries to webhooks, files of the command line, and digests that stay.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["OUTWARD"]

OUTWARD = (
    Mutation(
        "webhooks: one that was deleted gets the rest of a delivery",
        "service/webhooks/delivery.py",
        "if delivery.done > begun:",
        "if False:",
        ("tests/unit/service/webhooks/test_changed_webhooks.py", "-k", "in_the_middle"),
    ),
)
