"""Mutations of what leaves the service: deliveries to webhooks, files of the command line, and digests that stay.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["OUTWARD"]

_FOLDERS = "tests/unit/cli/test_shared_folders.py"

OUTWARD = (
    Mutation(
        "webhooks: one that was deleted gets the rest of a delivery",
        "service/webhooks/delivery.py",
        "if delivery.done > begun:",
        "if False:",
        ("tests/unit/service/webhooks/test_changed_webhooks.py", "-k", "in_the_middle"),
    ),
    Mutation(
        "digests: ids of requests confirm a guess at their bodies",
        "service/access/idempotency.py",
        'fingerprint = keyed_digest(self._ledger.digest_key(), "request", digest)',
        "fingerprint = digest",
        ("tests/unit/api/test_idempotency_digests.py", "-k", "confirms_a_guess"),
    ),
    Mutation(
        "files: an export about a person that fails stays",
        "cli/private_files.py",
        "part.unlink(missing_ok=True)\n        raise",
        "raise",
        (_FOLDERS, "-k", "leaves_nothing_of_them"),
    ),
    Mutation(
        "files: a backup waits for another user's pipe",
        "adapters/ledger_sqlite/backup.py",
        "os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | ",
        "",
        (_FOLDERS, "-k", "wait_for_no_pipe"),
    ),
)
