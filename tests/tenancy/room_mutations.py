"""Mutations of bounds for the memory that requests take: bodies, metadata, and what is read.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["ROOM"]

_BOUNDS = "tests/unit/test_request_bounds.py"
_BODIES, _READS = "tests/unit/api/test_bodies.py", "tests/unit/api/test_large_reads.py"
_LOADED, _TURN = "tests/unit/domain/test_loaded_bytes.py", "tests/unit/domain/test_large_read_turn.py"
_MESSAGES = "tests/contract/ledger/test_long_messages.py"
_IMPORTED = "tests/unit/service/transfer/test_imported_jobs.py"

ROOM = (
    Mutation(
        "bodies: they may arrive byte by byte for ever",
        "runtime/http_protocol.py",
        " or now - self._body_since > WHOLE_BODY_SECONDS",
        "",
        (_BOUNDS, "-k", "does_not_arrive and serve"),
    ),
    Mutation(
        "bodies: those that have not ended take any room",
        "runtime/http_protocol.py",
        "if self._unfinished_bytes > MAX_UNFINISHED_BYTES:",
        "if False:",
        (_BOUNDS, "-k", "do_not_end and serve"),
    ),
    Mutation(
        "bodies: what has ended is counted for ever",
        "runtime/http_protocol.py",
        "self._end_body()\n        super().on_message_complete()",
        "super().on_message_complete()",
        (_BOUNDS, "-k", "do_not_end and serve"),
    ),
    Mutation(
        "bodies: one tenant may have all the room",
        "api/held_bodies.py",
        "self._each = most - most // 4",
        "self._each = most",
        (_BODIES, "-k", "leave_room"),
    ),
    Mutation(
        "bodies: any number of them",
        "api/body_limit.py",
        "self._held.take(tenant, size)",
        "pass",
        (_BODIES, "-k", "beside_the_others"),
    ),
    Mutation(
        "bodies: what was answered is counted for ever",
        "api/body_limit.py",
        "self._held.give(tenant, received)",
        "pass",
        (_BODIES, "-k", "beside_the_others"),
    ),
    Mutation(
        "metadata: any number of values",
        "domain/metadata.py",
        "if not merges and count_values(metadata) > MAX_METADATA_VALUES:",
        "if False:",
        (_READS, "-k", "bounded_number"),
    ),
    Mutation(
        "metadata: updates add up to any number of values",
        "domain/metadata.py",
        '_check_growth(count_values(merged), count_values(before), MAX_METADATA_VALUES, "keys and list entries")',
        "pass",
        (_READS, "-k", "add_up"),
    ),
    Mutation(
        "reads: all who read much do so at once",
        "domain/loaded_bytes.py",
        "mine is None or mine.size <= _LIGHT:",
        "True:",
        (_LOADED,),
    ),
    Mutation(
        "reads: the turn is never given back",
        "domain/loaded_bytes.py",
        "mine.has_turn = False\n        _turn.give(mine.tenant)",
        "mine.has_turn = False",
        (_LOADED,),
    ),
    Mutation(
        "reads: a search reads any amount",
        "service/reading/retrieval.py",
        "request.top_k and not has_read_enough():",
        "request.top_k:",
        (_READS, "-k", "looks_no_further"),
    ),
    Mutation(
        "reads: what a ledger decodes is not counted",
        "adapters/ledger_codec.py",
        "count_loaded(body)",
        "pass",
        (_READS, "-k", "looks_no_further"),
    ),
    Mutation(
        "reads: who waits for the LLM keeps the turn",
        "service/llm_state.py",
        "            give_turn()\n",
        "",
        (_READS, "-k", "waits_for_the_llm"),
    ),
    Mutation(
        "reads: writes wait for the turn of large reads",
        "api/routing.py",
        "if changes or run is run_inline:",
        "if run is run_inline:",
        (_READS, "-k", "writes_need"),
    ),
    Mutation(
        "reads: a second look loses what the first found",
        "service/reading/retrieval.py",
        "if refused and not has_read_enough():",
        "if refused:",
        (_READS, "-k", "second_look"),
    ),
    Mutation(
        "reads: administrators' reads take no turn",
        "api/routing.py",
        'return not (self.method == "GET" or self.only_reads or self.role is Role.READ)',
        "return self.role is not Role.READ",
        (_READS, "-k", "administrators_reads"),
    ),
    Mutation(
        "reads: portions of exports take no turn",
        "api/selfhosted/routes/transfer_jobs.py",
        "export_lines, needs=Role.ADMIN, kept=False, only_reads=True",
        "export_lines, needs=Role.ADMIN, kept=False",
        (_READS, "-k", "administrators_reads"),
    ),
    Mutation(
        "reads: what jobs said is read without the turn",
        "service/access/hiding_ledger.py",
        "found, looked = self._ledger.messages_of_jobs(tenant, job_ids)\n        await_turn()",
        "found, looked = self._ledger.messages_of_jobs(tenant, job_ids)",
        (_READS, "-k", "messages_of_an_export"),
    ),
    Mutation(
        "reads: the second part of a look keeps the turn",
        "service/reading/retrieval.py",
        "if refused and not has_read_enough():\n                    give_turn()",
        "if refused and not has_read_enough():",
        (_READS, "-k", "waits_for_the_index"),
    ),
    Mutation(
        "reads: the turn is for whoever came first",
        "domain/large_read_turn.py",
        "(mine := self._waiting.pop(tenant, None)) is not None",
        "(mine := None) is not None",
        (_TURN,),
    ),
    Mutation(
        "reads: any number of one tenant's requests wait for the turn",
        "domain/large_read_turn.py",
        "if len(self._waiting.get(tenant, ())) >= _WAITING_EACH:",
        "if False:",
        (_TURN, "-k", "few_requests_wait"),
    ),
    Mutation(
        "reads: who has the turn keeps it to the end",
        "domain/large_read_turn.py",
        "if self._paused >= _PAUSED or",
        "if True or",
        (_TURN, "-k", "between_two_portions or leave_the_turn"),
    ),
    Mutation(
        "reads: any number of requests wait with what they have read",
        "domain/large_read_turn.py",
        "if self._paused >= _PAUSED or",
        "if",
        (_TURN, "-k", "what_they_have_read"),
    ),
    Mutation(
        "messages: those of a scope are read whatever they weigh (SQLite)",
        "adapters/ledger_sqlite/messages.py",
        "_first(db, query, params, JOBS_AT_ONCE, limit)",
        "_first(db, query, params, 1 << 60, limit)",
        (_MESSAGES, "-k", "of_a_scope and sqlite"),
    ),
    Mutation(
        "messages: those of a scope are read whatever they weigh (DynamoDB)",
        "adapters/ledger_dynamodb/messages.py",
        "messages, looked = self._first_of(tenant, refs, JOBS_AT_ONCE)",
        "messages, looked = self._first_of(tenant, refs, 1 << 60)",
        (_MESSAGES, "-k", "of_a_scope and dynamodb"),
    ),
    Mutation(
        "messages: those without a job are read whatever they weigh (SQLite)",
        "adapters/ledger_sqlite/messages.py",
        "_first(db, FIRST_MESSAGES, params, JOBS_AT_ONCE, limit)",
        "_first(db, FIRST_MESSAGES, params, 1 << 60, limit)",
        (_MESSAGES, "-k", "without_a_job and sqlite"),
    ),
    Mutation(
        "messages: those without a job are read whatever they weigh (DynamoDB)",
        "adapters/ledger_dynamodb/messages.py",
        "messages, looked = self._first_of(tenant, orphans, JOBS_AT_ONCE)",
        "messages, looked = self._first_of(tenant, orphans, 1 << 60)",
        (_MESSAGES, "-k", "without_a_job and dynamodb"),
    ),
    Mutation(
        "messages: those of many jobs are read whatever they weigh (SQLite)",
        "adapters/ledger_sqlite/messages.py",
        "lambda job: sizes.get(job, 0)",
        "lambda job: 0",
        (_MESSAGES, "-k", "of_many_jobs and sqlite"),
    ),
    Mutation(
        "messages: those of many jobs are read whatever they weigh (DynamoDB)",
        "adapters/ledger_dynamodb/messages.py",
        "if looked and size > JOBS_AT_ONCE:",
        "if False:",
        (_MESSAGES, "-k", "of_many_jobs and dynamodb"),
    ),
    Mutation(
        "messages: recent ones are read whatever they weigh (SQLite)",
        "adapters/ledger_sqlite/messages.py",
        "_first(db, query, params, HISTORIES_AT_ONCE, limit)",
        "_first(db, query, params, 1 << 60, limit)",
        (_MESSAGES, "-k", "recent and sqlite"),
    ),
    Mutation(
        "messages: recent ones are read whatever they weigh (DynamoDB)",
        "adapters/ledger_dynamodb/messages.py",
        "self._first_of(scope.tenant, refs, HISTORIES_AT_ONCE)",
        "self._first_of(scope.tenant, refs, 1 << 60)",
        (_MESSAGES, "-k", "recent and dynamodb"),
    ),
    Mutation(
        "messages: the context of memories is read as a whole",
        "service/writing/indexer.py",
        "sorted(refs), most_chars=MOST_CONTEXT_CHARS)",
        "sorted(refs))",
        ("tests/unit/service/erasures/test_long_messages.py", "-k", "context"),
    ),
    Mutation(
        "messages: beginnings are cut off after all is read (DynamoDB)",
        "adapters/ledger_dynamodb/messages.py",
        "[items] if most_chars is None else",
        "[items] if True else",
        (_MESSAGES, "-k", "beginnings and dynamodb"),
    ),
    Mutation(
        "messages: an imported job has messages of any length together",
        "domain/imported_messages.py",
        "> MAX_IMPORTED_JOB_CHARS:",
        "> 1 << 60:",
        (_IMPORTED, "-k", "bound_together"),
    ),
    Mutation(
        "messages: an imported job has any number of them",
        "domain/imported_messages.py",
        "if len(messages) > (count := max(limits.messages, MAX_IMPORTED_MESSAGES)):",
        "if len(messages) > (count := 1 << 60):",
        (_IMPORTED, "-k", "bound_together"),
    ),
    Mutation(
        "reads: what waits for the index is read whatever it weighs (SQLite)",
        "adapters/ledger_sqlite/memories.py",
        "first_portion(rows, lambda row: len(row[-1]), most=HISTORIES_AT_ONCE)",
        "first_portion(rows, lambda row: 0, most=HISTORIES_AT_ONCE)",
        (_MESSAGES, "-k", "waits_for_the_index and sqlite"),
    ),
    Mutation(
        "reads: what waits for the index is read whatever it weighs (DynamoDB)",
        "adapters/ledger_dynamodb/pending.py",
        "body_bytes, most=HISTORIES_AT_ONCE",
        "body_bytes, most=1 << 60",
        (_MESSAGES, "-k", "waits_for_the_index and dynamodb"),
    ),
    Mutation(
        "answers: any number of them show one memory",
        "adapters/ledger_sqlite/idempotency_records.py",
        "        _drop_oldest(db, key[0], memory_id)\n",
        "",
        ("tests/contract/ledger/test_sqlite_expiry.py", "-k", "few_answers"),
    ),
    Mutation(
        "answers: words that look like ids are those of memories",
        "domain/answer_ids.py",
        "return {id_ for id_ in found if",
        'return set(MEMORY_ID.findall(body or "")) or {id_ for id_ in found if',
        ("tests/unit/api/test_idempotency.py", "-k", "clients_words"),
    ),
    Mutation(
        "messages: ends of sentences are looked for from each mark",
        "service/writing/message_portions.py",
        "[.!?…][",
        "[.!?…]+[",
        ("tests/unit/service/writing/test_message_portions.py", "-k", "ends_of_sentences"),
    ),
)
