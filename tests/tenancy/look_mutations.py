"""Mutations of what is read by its bytes: looks of background work, imports, and repeats of adds.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["LOOKS"]

_CONTRACT = "tests/contract/ledger/test_background_looks.py"
_IMPORTED = "tests/unit/service/transfer/test_imported_jobs.py"
_BYTES = "tests/unit/api/test_import_bytes.py"
_TURNS = "tests/unit/service/jobs/test_ingest_turns.py"

_BACKGROUND = (
    Mutation(
        "looks: SQLite reads stuck adds by their number",
        "adapters/ledger_sqlite/jobs.py",
        "list(until_heavy(rows, _weight, most=JOBS_AT_ONCE))",
        "list(rows)",
        (_CONTRACT, "-k", "sqlite and stuck_jobs and holds_more"),
    ),
    Mutation(
        "looks: SQLite reads the adds in turn by their number",
        "adapters/ledger_sqlite/jobs.py",
        "list(until_heavy((row for row in rows if row is not None), _weight, most=JOBS_AT_ONCE))",
        "[row for row in rows if row is not None]",
        (_CONTRACT, "-k", "sqlite and stuck_in_turn and holds_more"),
    ),
    Mutation(
        "looks: DynamoDB reads stuck adds by their number",
        "adapters/ledger_dynamodb/jobs.py",
        "some = list(until_heavy(items, body_bytes, most=JOBS_AT_ONCE))",
        "some = list(items)",
        (_CONTRACT, "-k", "dynamodb and stuck_in_turn and holds_more"),
    ),
    Mutation(
        "looks: metrics read any number of bytes",
        "adapters/ledger_sqlite/backlog.py",
        "list(until_heavy(rows, lambda row: len(row[1]), most=JOBS_AT_ONCE))",
        "list(rows)",
        (_CONTRACT, "-k", "sqlite and the_error"),
    ),
    Mutation(
        "looks: documents that are due are read by their number",
        "adapters/ledger_sqlite/documents.py",
        "list(until_heavy(rows, lambda row: len(row[3]), most=JOBS_AT_ONCE))",
        "list(rows)",
        (_CONTRACT, "-k", "sqlite and documents"),
    ),
    Mutation(
        "looks: DynamoDB reads documents that are due by their number",
        "adapters/ledger_dynamodb/documents.py",
        "list(until_heavy(islice(items, limit), body_bytes, most=JOBS_AT_ONCE))",
        "list(islice(items, limit))",
        (_CONTRACT, "-k", "dynamodb and documents"),
    ),
    Mutation(
        "looks: sweep ends at a portion that was cut",
        "service/jobs/sweep.py",
        "count, last = count + sum(map(work, portion)), portion[-1]\n            if ",
        "count, last = count + sum(map(work, portion)), portion[-1]\n            if len(portion) < PORTION or ",
        ("tests/unit/service/jobs/test_sweep.py", "-k", "that_are_long"),
    ),
    Mutation(
        "looks: of adds that wait, only the first portion may be held",
        "service/jobs/held_adds.py",
        "            if not found:\n",
        "            if not found or last is not None:\n",
        ("tests/unit/service/jobs/test_held_adds.py", "-k", "sqlite and do_not_hide"),
    ),
    Mutation(
        "looks: any number of heavy adds run at once",
        "service/jobs/ingest_worker.py",
        "if self._heavy is not None:",
        "if False:",
        (_TURNS, "-k", "one_heavy"),
    ),
)

_IMPORTS = (
    Mutation(
        "imports: an add that waits asks for anything",
        "domain/imported_memory.py",
        "    if unknown is not None:\n",
        "    if False:\n",
        (_IMPORTED, "-k", "than_a_request_can"),
    ),
    Mutation(
        "imports: what an add asks for has no bounds",
        "domain/imported_memory.py",
        "if isinstance(value, Mapping) and not _is_small(value):",
        "if False:",
        (_IMPORTED, "-k", "than_a_request_can"),
    ),
    Mutation(
        "imports: a message has any length",
        "domain/imported_memory.py",
        "if len(message.content) > message_chars:",
        "if False:",
        (_IMPORTED, "-k", "lengths_of_a_request"),
    ),
    Mutation(
        "imports: an add keeps what workers elsewhere have noted",
        "service/transfer/event_import.py",
        "job = replace(job, request=kept_request(job))",
        "pass",
        (_IMPORTED, "-k", "stays_there"),
    ),
    Mutation(
        "imports: an error has any length",
        "domain/imported_memory.py",
        "_MOST_ERROR = 20_000",
        "_MOST_ERROR = 2**40",
        (_IMPORTED, "-k", "error_is_no_longer"),
    ),
    Mutation(
        "imports: a job has any number of results",
        "domain/imported_memory.py",
        "len(value) <= MAX_IMPORTED_RESULTS and all(",
        "all(",
        (_BYTES, "-k", "more_results"),
    ),
    Mutation(
        "imports: the results of a job are read",
        "service/transfer/event_import.py",
        "found = self._ledger.known_ids(tenant, list(dict.fromkeys(id_ for id_, _ in named)))",
        "found = {id_: one.deleted for id_, one in self._ledger.read(tenant, [id_ for id_, _ in named]).items()}",
        (_BYTES, "-k", "reads_none and job"),
    ),
    Mutation(
        "imports: a line reads the whole history",
        "service/transfer/event_import.py",
        "most = _BYTES_AT_ONCE if following < last else 1",
        "most = 2**40",
        (_BYTES, "-k", "long_history"),
    ),
    Mutation(
        "imports: a check reads the memories",
        "service/transfer/import_check.py",
        "held = self._ledger.known_ids(tenant, [memory.id for memory in memories])",
        "read = self._ledger.read(tenant, [memory.id for memory in memories])\n"
        "            held = {id_: one.deleted for id_, one in read.items()}",
        (_BYTES, "-k", "check"),
    ),
    Mutation(
        "imports: long lines are a batch like others",
        "service/transfer/import_jobs.py",
        "most=_BATCH_BYTES, count=BATCH",
        "most=2**40, count=BATCH",
        (_BYTES, "-k", "clock"),
    ),
    Mutation(
        "adds: a repeat reads more than an answer can hold",
        "service/writing/add.py",
        "if chars > ANSWER_BYTES:",
        "if False:",
        (_BYTES, "-k", "no_more_texts"),
    ),
    Mutation(
        "adds: the memories of an add whose record is gone are read",
        "service/writing/add.py",
        "found = self._ledger.known_ids(job.tenant, ids)",
        "found = self._ledger.read(job.tenant, ids)",
        (_BYTES, "-k", "record_is_gone"),
    ),
    Mutation(
        "batches: all that is to be deleted is read at once",
        "service/history_portions.py",
        "lambda id_: weights[id_], most=HISTORIES_AT_ONCE, count=count",
        "lambda id_: weights[id_], most=2**40, count=count",
        (_BYTES, "-k", "batch"),
    ),
    Mutation(
        "SQLite: which ids are known",
        "adapters/ledger_sqlite/memories.py",
        '"SELECT state FROM memories WHERE tenant = ? AND id = ?"',
        '"SELECT state FROM memories WHERE ? IS NOT NULL AND id = ?"',
        ("tests/contract/ledger/test_memories.py", "-k", "sqlite and ids_are_known"),
    ),
    Mutation(
        "limits: which ids are known",
        "service/access/limited_ledger.py",
        "return known_by_reading(self, tenant, ids)",
        "return self._ledger.known_ids(tenant, ids)",
        ("tests/unit/service/test_known_ids.py", "-k", "limited"),
    ),
    Mutation(
        "erasures: ids that one covers are known",
        "service/access/hiding_ledger.py",
        "if self._markers(tenant) is None:\n            return self._ledger.known_ids",
        "if True:\n            return self._ledger.known_ids",
        ("tests/unit/service/test_known_ids.py", "-k", "erasure"),
    ),
)

LOOKS = (*_BACKGROUND, *_IMPORTS)
