"""Mutations of what a restore promises of access: what was revoked after the copy was made stays revoked.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["RESTORES"]

_KEYS = "tests/unit/cli/test_restored_keys.py"
_OLDER = "tests/unit/cli/test_restored_older_keys.py"


def _restore(name: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(f"restore: {name}", file, old, new, (_KEYS, *tests))


RESTORES = (
    Mutation(
        "restore: damaged rows of the replaced ledger are taken",
        "cli/restored_keys.py",
        "if held is None or not _is_readable(held):",
        "if held is None:",
        ("tests/unit/cli/test_restored_keys.py", "-k", "nothing_tells"),
    ),
    _restore(
        "the keys of the copy hold",
        "cli/restored_keys.py",
        "put_access(staged, replace(held, keys=_strict(held, own), log_ins=log_ins), kinds=_TAKEN)",
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
        "_TAKEN = (WEBHOOK, QUOTAS, COPIES)",
        "_TAKEN = (QUOTAS, COPIES)",
        "-k",
        "webhooks",
    ),
    _restore(
        "quotas of tenants are lifted",
        "cli/restored_keys.py",
        "_TAKEN = (WEBHOOK, QUOTAS, COPIES)",
        "_TAKEN = (WEBHOOK, COPIES)",
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
    *(
        Mutation(f"restore: {name}", file, old, new, (_OLDER, "-k", tests))
        for name, file, old, new, tests in (
            (
                "an older ledger's keys hold",
                "cli/restored_keys.py",
                "older = _is_older(held, own)",
                "older = False",
                "newer_keys_stay or used_since",
            ),
            (
                "newer times make a ledger later",
                "cli/restored_keys.py",
                "knows = knows_copy(held.documents, own.documents)",
                "knows = None",
                "used_since",
            ),
            (
                "copies have no names",
                "cli/backup.py",
                "note_copy(ledger, clock=SystemClock())",
                "pass",
                "used_since",
            ),
            (
                "what an older ledger revoked is valid",
                "cli/restored_keys.py",
                "put_access(staged, replace(own, keys=_strict(own, held), log_ins=_revoked(held)), kinds=())",
                "pass",
                "used_since or log_in",
            ),
            (
                "what the copy revoked is valid",
                "domain/stricter_keys.py",
                "revoked=key.revoked or other.revoked,",
                "revoked=key.revoked,",
                "in_the_copy_alone",
            ),
            (
                "log-ins that the copy revoked are valid",
                "cli/restored_keys.py",
                "log_ins = (*held.log_ins, *_revoked(own))",
                "log_ins = held.log_ins",
                "log_in",
            ),
            (
                "names of copies stay with the copy",
                "cli/restored_keys.py",
                "_TAKEN = (WEBHOOK, QUOTAS, COPIES)",
                "_TAKEN = (WEBHOOK, QUOTAS)",
                "webhooks_back",
            ),
            (
                "nobody is told which keys are lost",
                "cli/restored_keys.py",
                "return [*_told_kept(kept), *_told_gone(ledger, kept.replaced)]",
                "return [*_told_kept(kept)]",
                "deleted_again",
            ),
        )
    ),
)
