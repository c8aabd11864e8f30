"""Mutations of bounds for the memory that requests take: bodies, metadata, and what is read.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["ROOM"]

_BOUNDS = "tests/unit/test_request_bounds.py"
_BODIES, _READS = "tests/unit/api/test_bodies.py", "tests/unit/api/test_large_reads.py"
_SMALL = "tests/unit/test_small_http.py"
_LOADED = "tests/unit/domain/test_loaded_bytes.py"

ROOM = (
    Mutation(
        "replies: brackets alone keep a process busy",
        "domain/json_values.py",
        "if self.steps > self.most:",
        "if False:",
        ("tests/unit/service/writing/test_replies.py", "-k", "of_brackets"),
    ),
    Mutation(
        "turns: questions about health have as many as a tenant",
        "api/auth.py",
        "                begin_open_page()\n",
        "                pass\n",
        ("tests/unit/api/test_fair_turns.py", "-k", "about_health"),
    ),
    Mutation(
        "reads: a search that ends early does not say so",
        "service/reading/retrieval.py",
        "note_ended_early()\n",
        "pass\n",
        (_READS, "-k", "says_so_in_every or looks_no_further"),
    ),
    Mutation(
        "webhooks: an answer that does not begin is read for ever",
        "adapters/webhook_http.py",
        "if self._read >= _MOST_READ:",
        "if False:",
        ("tests/unit/adapters/test_webhook_http.py", "-k", "without_end"),
    ),
    Mutation(
        "emulator: bodies that wait take any room",
        "emulator/held_bodies.py",
        "if self._held + size > most:",
        "if False:",
        ("tests/emulator/test_gateway.py", "-k", "have_a_bound"),
        package="local",
    ),
    Mutation(
        "metrics: their port takes any number of connections",
        "adapters/small_http.py",
        "if len(self._open) > MOST_CONNECTIONS:",
        "if False:",
        (_SMALL, "-k", "close_the_oldest and service"),
    ),
    Mutation(
        "metrics: a head may arrive byte by byte for ever",
        "adapters/small_http.py",
        "async with asyncio.timeout(SECONDS):",
        "async with asyncio.timeout(None):",
        (_SMALL, "-k", "byte_by_byte and service"),
    ),
    Mutation(
        "control of Milvus: it takes any number of connections",
        "milvus/small_http.py",
        "if len(self._open) > MOST_CONNECTIONS:",
        "if False:",
        (_SMALL, "-k", "close_the_oldest and milvus"),
        package="local",
    ),
    Mutation(
        "worker: it keeps to the number of files that the system begins with",
        "cli/serve.py",
        "allow_connections()\n    stopped",
        "stopped",
        ("tests/unit/cli/test_serve.py", "-k", "worker_may_open"),
    ),
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
        "mine is None or mine.has_turn or mine.size <= _LIGHT",
        "True",
        (_LOADED,),
    ),
    Mutation(
        "reads: the turn is never given back",
        "domain/loaded_bytes.py",
        "mine.has_turn = False\n        _turn.release()",
        "mine.has_turn = False",
        (_LOADED,),
    ),
    Mutation(
        "reads: a search reads any amount",
        "service/reading/retrieval.py",
        " and not has_read_enough():",
        ":",
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
        "if needs is Role.READ and run is not run_inline",
        "if run is not run_inline",
        (_READS, "-k", "writes_need"),
    ),
    Mutation(
        "reads: a second look loses what the first found",
        "service/reading/retrieval.py",
        "and not has_read_enough()\n                    and _complete(",
        "and _complete(",
        (_READS, "-k", "second_look"),
    ),
    Mutation(
        "imports: a memory has any number of sources",
        "domain/imported_memory.py",
        "Kind.TEXTS: 1000, Kind.REFS: 1000}",
        "}",
        ("tests/unit/service/transfer/test_event_transfer.py", "-k", "never_be_indexed"),
    ),
    Mutation(
        "imports: one transaction has the sources of all lines",
        "service/transfer/event_import.py",
        "most=_ROWS_AT_ONCE, count=len(free)",
        "most=10**9, count=len(free)",
        ("tests/unit/service/transfer/test_event_transfer.py", "-k", "short_transactions"),
    ),
    Mutation(
        "index: what waits is read whole",
        "adapters/ledger_sqlite/memories.py",
        "lambda row: len(row[-1]), most=most",
        "lambda row: 0, most=most",
        ("tests/contract/ledger/test_memories.py", "-k", "portions_of_bytes"),
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
