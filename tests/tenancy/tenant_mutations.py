"""Mutations of what protects lifetimes of keys, exports about one person and the deletion of tenants.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["TENANTS"]

_KEYS = "tests/unit/api/test_keys.py"
_DELETION = "tests/unit/service/erasures/test_tenant_deletion.py"
_REMOVAL = "tests/contract/ledger/test_tenant_removal.py"
_PERSON = "tests/unit/service/transfer/test_person_export.py"
_VERIFY = "tests/unit/cli/test_erase.py"


def _key(name: str, old: str, new: str, tests: str) -> Mutation:
    return Mutation(f"keys: {name}", "service/access/keys.py", old, new, (_KEYS, "-k", tests))


def _deletion(name: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(f"tenants delete: {name}", file, old, new, tests)


_WAITS_TESTS = "tests/unit/service/test_llm_waits.py"
_WAITS = (
    Mutation(
        "LLM waits: an add without a slot waits all the same",
        "service/writing/add.py",
        "if waits and (slots is None or slot is not None):",
        "if waits:",
        (_WAITS_TESTS, "-k", "exceeds or killed"),
    ),
    Mutation(
        "LLM waits: a slot is not given back",
        "service/writing/infer.py",
        "held = [] if slot is None else [slot]",
        "held: list[str] = []",
        (_WAITS_TESTS, "-k", "given_back"),
    ),
    Mutation(
        "LLM waits: a killed owner's slot never comes back",
        "adapters/ledger_sqlite/leases.py",
        "WHERE owner = ?2 OR until <= ?4",
        "WHERE owner = ?2",
        ("tests/contract/ledger/test_slots.py", "-k", "sqlite and time_is_over"),
    ),
    Mutation(
        "LLM waits: others than adds need no slot",
        "service/llm_waits.py",
        "            if not may_wait:\n",
        "            if False:\n",
        (_WAITS_TESTS, "-k", "other_requests"),
    ),
)

_TURNS = "tests/unit/service/jobs/test_ingest_turns.py"
_BULK_WORKER = "tests/unit/service/jobs/test_bulk_worker.py"
_WORKERS = (
    Mutation(
        "worker: adds are begun by age",
        "service/jobs/ingest_worker.py",
        "key=lambda one: (busy[one.tenant], self._served.get(one.tenant, 0), one.created_at))",
        "key=lambda one: one.created_at)",
        (_TURNS, "-k", "all_slots or one_after_the_other"),
    ),
    Mutation(
        "worker: an add's backlog hides those of other tenants",
        "service/jobs/ingest_worker.py",
        "self._ledger.stuck_in_turn(now=now, pending_before=now, limit=_JOBS, each=_EACH)",
        "self._ledger.stuck_jobs(now=now, pending_before=now, limit=_JOBS)",
        (_TURNS, "-k", "first_turn"),
    ),
    Mutation(
        "worker: a speaker's backlog hides the other speakers",
        "adapters/ledger_sqlite/jobs.py",
        "lane = 0 if job.finished else job.lane",
        "lane = 0",
        ("tests/contract/ledger/test_jobs.py", "-k", "sqlite and no_speaker_hides"),
    ),
    Mutation(
        "worker: a long add keeps its slot",
        "service/writing/extraction_calls.py",
        "if course.calls and goes_on is not None and not goes_on():",
        "if False:",
        (_TURNS, "-k", "slot_back"),
    ),
    Mutation(
        "worker: an add that cannot run is tried without a rest",
        "service/jobs/ingest_worker.py",
        "if moved:",
        "if True:",
        (_TURNS, "-k", "without_a_rest"),
    ),
    Mutation(
        "worker: a tenant with many bulk jobs has many portions in a turn",
        "service/jobs/bulk_worker.py",
        "elif job.tenant in served or (job.tenant, job.lane) in taken:",
        "elif (job.tenant, job.lane) in taken:",
        (_BULK_WORKER, "-k", "one_portion"),
    ),
    Mutation(
        "worker: many bulk jobs hide those of other tenants",
        "service/jobs/bulk_worker.py",
        "self._ledger.due_in_turn(BULK_JOB, now=self._clock.now(), limit=_JOBS, each=_EACH)",
        "self._ledger.due_documents(BULK_JOB, now=self._clock.now(), limit=_JOBS)",
        (_BULK_WORKER, "-k", "one_portion"),
    ),
    Mutation(
        "worker: any number of deletes by filter wait",
        "service/jobs/delete_matching.py",
        "self._open.refuse_more(asked.tenant)",
        "pass",
        ("tests/unit/service/jobs/test_delete_matching.py", "-k", "bounded_number_of_deletes"),
    ),
)

_JOB = "service/jobs/delete_tenant.py"

_LIFETIMES = (
    _key(
        "a rotated one never ends",
        "return replace(one, replaced_until=min(one.replaced_until or until, until))",
        "return one",
        "rotated_without_downtime",
    ),
    _key(
        "a second rotation prolongs the first overlap",
        "min(one.replaced_until or until, until)",
        "until",
        "rotated_again or rotations or rotated",
    ),
    _key(
        "a successor lives for good", "created_at=now, expires_at=ends,", "created_at=now, expires_at=None,", "as_long"
    ),
    _key(
        "one that has ended is rotated into one that lives",
        "        if self._refused(old):\n",
        "        if False:\n",
        "expires_in_every_process or rotated",
    ),
    _key("one whose time is over is made", "expires_at <= self._clock.now():", "False:", "expires_in_every_process"),
    _key("a change of one is not seen by its own process", "self._seen.pop(held.hash, None)", "pass", "at_once"),
)

_FILTERS = (
    Mutation(
        "filters: nested without end",
        "domain/filters/parse_common.py",
        "if depth > MAX_DEPTH:",
        "if depth > MAX_DEPTH + 1:",
        ("tests/unit/domain/filters/test_parse.py", "-k", "nesting"),
    ),
    Mutation(
        "filters: true and null have an order",
        "domain/filters/parse.py",
        "if operator in ORDER and (value is None or isinstance(value, bool)):",
        "if False:",
        ("tests/unit/domain/filters/test_parse.py",),
    ),
    Mutation(
        "filters: as large as they like",
        "api/size_limits.py",
        "    if size > MAX_FILTER_BYTES:\n",
        "    if False:\n",
        ("tests/unit/api/test_size_limits.py", "-k", "names_field_and_limit"),
    ),
)

_EXPORTS = (
    Mutation(
        "exports about a person: others' are in it",
        "service/transfer/person_export.py",
        "return any(all(getattr(scope, name) == value for name, value in ids.items()) for ids in self.spelled)",
        "return True",
        (_PERSON,),
    ),
    Mutation(
        "exports about a person: a key tells of others",
        "service/transfer/person_export.py",
        '_line({**_key_of(key), "names": named})',
        '_line({**_key_of(key), "names": {"users": list(key.users)}})',
        (_PERSON, "-k", "every_word"),
    ),
    Mutation(
        "erase --verify: rows of the index are overlooked",
        "service/transfer/erasure_check.py",
        "        if memory is None or memory.deleted:\n            return True\n",
        "        if memory is None or memory.deleted:\n            return False\n",
        (_VERIFY, "-k", "left_in_each_part"),
    ),
    Mutation(
        "erase --verify: files are not read",
        "cli/byte_search.py",
        "if places.alone or places.within:",
        "if False:",
        (_VERIFY,),
    ),
    Mutation(
        "erase --verify: what is found is no failure",
        "cli/erase.py",
        "return FOUND if any(look.verdict is Verdict.FOUND for look in looks) else OK",
        "return OK",
        (_VERIFY,),
    ),
)

_DELETIONS = (
    _deletion(
        "SQLite takes what is new",
        "adapters/ledger_sqlite/erasures.py",
        "if judge.closed and (new or written):",
        "if False:",
        _REMOVAL,
        "-k",
        "sqlite and takes_nothing",
    ),
    _deletion(
        "DynamoDB takes what is new",
        "adapters/ledger_dynamodb/erasures.py",
        "if judge.closed and (new or written):",
        "if False:",
        _REMOVAL,
        "-k",
        "dynamodb and takes_nothing",
    ),
    _deletion(
        "SQLite empties a tenant that is not closed",
        "adapters/ledger_sqlite/tenant_removal.py",
        "    if not state_of(db, tenant).closed:\n        return 0, False\n",
        "",
        _REMOVAL,
        "-k",
        "sqlite and not_closed",
    ),
    _deletion(
        "DynamoDB empties a tenant that is not closed",
        "adapters/ledger_dynamodb/tenant_removal.py",
        "        if not state_of(self._table.one(item_keys.erasures(tenant))).closed:\n            return 0, None\n",
        "",
        _REMOVAL,
        "-k",
        "dynamodb and not_closed",
    ),
    _deletion(
        "DynamoDB takes other tenants' items",
        "adapters/ledger_dynamodb/tenant_removal.py",
        'f"{letter}#{item_keys.part(tenant)}#"',
        'f"{letter}#{item_keys.part(tenant)}"',
        _REMOVAL,
        "-k",
        "dynamodb and everything",
    ),
    _deletion(
        "SQLite forgets a kind of records",
        "adapters/ledger_sqlite/tenant_removal.py",
        '    "documents": (("kind", "id"), True),\n',
        "",
        _REMOVAL,
        "-k",
        "every_table",
    ),
    _deletion(
        "keys stay",
        _JOB,
        "    while ledger.remove_keys(tenant, limit=_KEYS):\n        pass\n    return erasure",
        "    return erasure",
        _DELETION,
        "-k",
        "restored_copy or at_once",
    ),
    _deletion(
        "keys are made meanwhile",
        "service/access/keys.py",
        "        if state.closed:\n",
        "        if False:\n",
        _DELETION,
        "-k",
        "new_tenant",
    ),
    _deletion(
        "an old erasure concerns the next tenant",
        "service/access/keys.py",
        "numbers = None if state.last else self._ledger.document(*LAST_NUMBERS)",
        "numbers = None",
        _DELETION,
        "-k",
        "new_tenant",
    ),
    _deletion(
        "a late writer's records stay",
        _JOB,
        "if place.late and not place.found:",
        "if True:",
        _DELETION,
        "-k",
        "late_writer",
    ),
    _deletion(
        "a worker that was stopped empties the next tenant's index",
        _JOB,
        'if place.step not in {"close", "forget"} and not self._is_closed(job):',
        "if False:",
        _DELETION,
        "-k",
        "was_stopped",
    ),
    _deletion(
        "a worker that was stopped closes the next tenant",
        _JOB,
        "if has_moved(self._ledger, job):",
        "if False:",
        _DELETION,
        "-k",
        "was_stopped",
    ),
    _deletion(
        "notes of the old tenant are shown to the next one",
        "service/access/audit.py",
        "return [entry for entry in entries if since is not None and entry.at >= since]",
        "return entries",
        _DELETION,
        "-k",
        "new_tenant",
    ),
    _deletion(
        "a restored copy keeps the keys",
        "service/jobs/erasure_replay.py",
        "if any(line.closes for line in erased):",
        "if False:",
        _DELETION,
        "-k",
        "restored_copy",
    ),
    _deletion(
        "the log does not tell it from an erasure",
        "domain/erasure_log.py",
        "**({_CLOSES: True} if line.closes else {})",
        "**{}",
        _DELETION,
        "-k",
        "restored_copy",
    ),
    _deletion(
        "the name stays in the receipt",
        "domain/bulk_jobs.py",
        '_UNTIL_ITS_END = frozenset({FILTERS, TENANT_NAME, "ids",',
        '_UNTIL_ITS_END = frozenset({FILTERS, "ids",',
        _DELETION,
        "-k",
        "leaves_nothing",
    ),
    _deletion(
        "nobody is asked",
        "cli/tenants.py",
        "if not options.yes and not _confirmed(name):",
        "if False:",
        "tests/unit/cli/test_tenants.py",
        "-k",
        "asked_for",
    ),
    _deletion(
        "the operators' tenant goes",
        _JOB,
        "if tenant == OPERATOR:",
        "if False:",
        _DELETION,
        "-k",
        "unknown_names",
    ),
)

TENANTS = (*_LIFETIMES, *_FILTERS, *_EXPORTS, *_DELETIONS, *_WAITS, *_WORKERS)
