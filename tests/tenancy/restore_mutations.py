"""Mutations of what a restore promises of access: what was revoked after the copy was made stays revoked.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["RESTORES"]

_KEYS = "tests/unit/cli/test_restored_keys.py"


def _restore(name: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(f"restore: {name}", file, old, new, (_KEYS, *tests))


RESTORES = (
    _restore(
        "the keys of the copy hold",
        "cli/restored_keys.py",
        "put_access(staged, held, kinds=_TAKEN)",
        "pass",
        "-k",
        "revoked_after_the_copy",
    ),
    _restore(
        "a restored ledger is another one than its copy",
        "domain/erasure_log.py",
        "return not set.isdisjoint(*known)",
        "return one == other",
        "-k",
        "revoked_after_the_copy",
    ),
    _restore(
        "another ledger takes all keys",
        "cli/restored_keys.py",
        "if not _is_of_the_same(held, ledger, log):",
        "if False:",
        "-k",
        "where_nothing_tells",
    ),
    _restore(
        "a damaged ledger takes keys",
        "adapters/ledger_sqlite/access.py",
        "if not all(_is_whole(raw, one) for one in _READ):",
        "if False:",
        "-k",
        "where_nothing_tells",
    ),
    _restore(
        "webhooks come back",
        "cli/restored_keys.py",
        "_TAKEN = (WEBHOOK, QUOTAS)",
        "_TAKEN = (QUOTAS,)",
        "-k",
        "webhooks",
    ),
    _restore(
        "quotas of tenants are lifted",
        "cli/restored_keys.py",
        "_TAKEN = (WEBHOOK, QUOTAS)",
        "_TAKEN = (WEBHOOK,)",
        "-k",
        "limited",
    ),
    _restore(
        "log-ins come back",
        "service/access/oauth_grants.py",
        'return state == _REVOKED or (" " in state and state.partition(" ")[0].isdecimal())',
        "return False",
        "-k",
        "log_ins",
    ),
    _restore(
        "nobody is told which keys come back",
        "cli/backup.py",
        'print(*told, sep="\\n")',
        "pass",
        "-k",
        "where_nothing_tells",
    ),
)
