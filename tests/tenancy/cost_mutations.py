"""Mutations of what two attacks found: costs of work and files, foreign backups, keys and requests.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["COSTS"]

_BOUNDS = "tests/unit/test_request_bounds.py"
_STORED = "tests/unit/api/test_stored_bytes.py"

_LONG = ("tests/unit/service/test_long_histories.py",)
_SECRETS = ("tests/unit/adapters/test_llm_secrets.py",)
_TRIALS = ("tests/unit/service/test_llm_trials.py",)
_CURSORS = ("tests/unit/api/test_foreign_cursors.py",)
_EMBEDDING = "tests/unit/service/writing/test_embedding_trials.py"
_OPEN = "tests/unit/service/transfer/test_open_transfers.py"
_DRAIN = ("tests/unit/service/generations/test_drain_time.py",)


_SCHEMA = "tests/contract/ledger/test_schema_difference.py"
_BACKUP, _FILES = "tests/unit/cli/test_backup.py", "tests/unit/cli/formats/test_source_files.py"
_PACKED, _REMOTE = "tests/unit/cli/formats/test_packed_files.py", "tests/unit/cli/test_service.py"
_WORK = (
    Mutation(
        "LLM: one tenant's faults hold up all",
        "service/llm_trials.py",
        "held = self._ledger.document(job.tenant, _KIND, _ID)\n        fault, now",
        'held = self._ledger.document("", _KIND, _ID)\n        fault, now',
        _TRIALS,
    ),
    Mutation(
        "LLM: one add's fault holds up its tenant",
        "service/llm_trials.py",
        "if len(_failed_adds(held)) < _SHARED_BY:",
        "if False:",
        _TRIALS,
    ),
    Mutation(
        "generations: all that is pending is brought before a switch, whatever it takes",
        "service/generations/drain.py",
        "live[start : start + PORTION], stopped) and stopped():",
        "live[start : start + PORTION], stopped) and False:",
        _DRAIN,
    ),
    Mutation(
        "generations: all that a switch left is brought at once",
        "service/jobs/reindex.py",
        "if looked_at and not in_time():",
        "if False:",
        _DRAIN,
    ),
    Mutation(
        "adds: facts store any amount of metadata",
        "service/writing/portion_asks.py",
        "self._check_room([*done.facts, *facts])",
        "pass",
        ("tests/unit/service/writing/test_long_input.py", "-k", "too_much_of_the_metadata"),
    ),
    Mutation(
        "imports and exports: any number that have not ended",
        "service/transfer/transfer_jobs.py",
        "        self._open(tenant, job_id)\n",
        "",
        (_OPEN, "-k", "open_and or apart"),
    ),
    Mutation(
        "imports and exports: any number that begin again",
        "service/transfer/transfer_jobs.py",
        "        self._open(job.tenant, job.id)\n",
        "",
        (_OPEN, "-k", "open_and"),
    ),
    Mutation(
        "imports and exports: kept for good if nobody goes on",
        "service/transfer/transfer_jobs.py",
        "            due_at=later(now, TRANSFER_IDLE_S),\n",
        "",
        (_OPEN, "-k", "apart or nobody"),
    ),
    Mutation(
        "schema exports: any number of requests",
        "service/transfer/schema_export.py",
        "put_within(self._ledger, export, most=MOST_KEPT, full=_FULL)",
        "self._ledger.put_document(export)",
        ("tests/unit/api/platform/test_documents.py", "-k", "are_bounded"),
    ),
    Mutation(
        "import checks: any time",
        "service/transfer/import_check.py",
        "if start and self._clock.monotonic() >= give_up:",
        "if False:",
        ("tests/unit/api/test_transfer_jobs.py", "-k", "checked"),
    ),
    Mutation(
        "import --verify: what was not counted in time is left out",
        "cli/import_verify.py",
        "read = len(portion) if counts.lines is None else counts.lines",
        "read = len(portion)",
        ("tests/unit/cli/test_transfer.py", "-k", "goes_on_where"),
    ),
    Mutation(
        "imports: any growth of what is packed",
        "cli/formats/expansion.py",
        "if self.count > max(_FREE_BYTES, MOST_FOLD * made_from):",
        "if False:",
        (_PACKED, "-k", "without_end"),
    ),
    Mutation(
        "imports: packed any number of times",
        "cli/formats/recognise.py",
        "if packed == _MOST_PACKED and",
        "if False and",
        (_PACKED, "-k", "contains_itself"),
    ),
    Mutation(
        "imports: a zip of a method that is unpacked without a bound",
        "cli/formats/recognise.py",
        "not in _BOUNDED_METHODS:",
        "not in _METHODS and False:",
        (_PACKED, "-k", "without_a_bound"),
    ),
    Mutation(
        "imports: an answer of any length",
        "cli/service.py",
        "if len(received) > MOST_BYTES:",
        "if False:",
        (_REMOTE, "-k", "without_an_end"),
    ),
    Mutation(
        "imports: a service that takes no line is asked for ever",
        "cli/service.py",
        "if place.line == line and not place.ended:",
        "if place.line < line:",
        (_REMOTE, "-k", "no_answer_of_forgetless and end", "--timeout", "3"),
    ),
    Mutation(
        "imports: a worker of another ledger holds a job for ever",
        "service/transfer/event_import.py",
        "if not job.finished:\n        latest",
        "if False:\n        latest",
        ("tests/unit/service/transfer/test_imported_jobs.py", "-k", "no_worker"),
    ),
    Mutation(
        "imports: a line of any length",
        "cli/formats/streams.py",
        "if len(line) > LONGEST:",
        "if False:",
        (_FILES, "-k", "line_without_an_end"),
    ),
)

_RESTORED = (
    Mutation(
        "restore: triggers of strangers",
        "adapters/ledger_sqlite/backup.py",
        "if (difference := schema_difference(copy)) is not None:",
        "if (difference := None) is not None:",
        (_BACKUP, "-k", "sound_copy"),
    ),
    Mutation(
        "restore: a trigger with one of SQLite's names",
        "adapters/ledger_sqlite/schema_difference.py",
        "_objects(raw) - _STATISTICS,",
        "{one for one in _objects(raw) if not one[1].startswith('sqlite_')},",
        (_BACKUP, "-k", "sound_copy"),
    ),
    Mutation(
        "restore: columns and constraints of strangers",
        "adapters/ledger_sqlite/schema_difference.py",
        'str(table), _SPACES.sub(" ", str(sql)))',
        "str(table), '')",
        (_SCHEMA, "-k", "unique or check or collation"),
    ),
    Mutation(
        "restore: tables of a version that we do not know",
        "adapters/ledger_sqlite/backup.py",
        "if version > SCHEMA_VERSION:",
        "if False:",
        (_SCHEMA, "-k", "newer"),
    ),
    Mutation(
        "restore: an index that is not there",
        "adapters/ledger_sqlite/schema_difference.py",
        "if (kind, name) not in present:",
        "if False:",
        (_SCHEMA, "-k", "missing"),
    ),
)

_SURFACES = (
    Mutation(
        "serve: one tenant may have all turns",
        "api/fair_turns.py",
        "if self._free > 0 and self._may_take(owner):",
        "if self._free > 0:",
        ("tests/unit/api/test_fair_turns.py", "-k", "nobody_has_all"),
    ),
    Mutation(
        "filters: heavy ones run all at once",
        "domain/filters/evaluate.py",
        "with HEAVY_WORK.of_owner(may_fail=True):",
        "if True:",
        ("tests/unit/domain/filters/test_evaluate.py", "-k", "waits_for_others"),
    ),
    Mutation(
        "answers that nobody reads take any room",
        "runtime/http_protocol.py",
        "if over <= 0:",
        "if True:",
        (_BOUNDS, "-k", "room_together and serve"),
    ),
    Mutation(
        "documents: all are read to count them",
        "service/document_change.py",
        "return ledger.count_documents(document.tenant, document.kind, limit=count + 1) > count",
        "return len(ledger.documents(document.tenant, document.kind, limit=count + 1)[0]) > count",
        ("tests/unit/service/test_document_change.py", "-k", "none_of_them_is_read"),
    ),
    Mutation(
        "cursors: numbers that no column holds, and times that are none",
        "domain/cursors.py",
        "if not is_timestamp(created_at) or position not in INT64:",
        "if False:",
        _CURSORS,
    ),
    Mutation(
        "cursors: lists in lists",
        "domain/cursors.py",
        "except (ValueError, RecursionError):",
        "except ValueError:",
        _CURSORS,
    ),
    Mutation(
        "serve: the requests of a busy tenant come first",
        "api/fair_turns.py",
        "following = min(allowed, key=lambda one: self._taken[one])",
        "following = allowed[0]",
        ("tests/unit/api/test_fair_turns.py",),
    ),
    Mutation(
        "embedder: a text that it never answers stops the indexing of all tenants",
        "service/services.py",
        "indexer = self._indexer.in_background(trials)",
        "indexer = self._indexer",
        (_EMBEDDING, "-k", "another_tenant"),
    ),
    Mutation(
        "erasure: counters of an erased id that a fault has left",
        "adapters/ledger_dynamodb/erasures.py",
        "for some in portions(named, _CLEARED_AT_ONCE):",
        "for some in ():",
        ("tests/contract/ledger/test_forgotten_ids.py", "-k", "counters"),
    ),
    Mutation(
        "embedder: an outage is blamed on texts",
        "service/writing/embedding_trials.py",
        "raise error from None",
        "pass",
        (_EMBEDDING, "-k", "outage"),
    ),
    Mutation(
        "embedder: the tenant with such a text has its turn among the others",
        "service/jobs/sweep.py",
        "if not self._doubtful(tenant):",
        "if True:",
        (_EMBEDDING, "-k", "another_tenant"),
    ),
    Mutation(
        "LLM: a key that its server repeats is shown",
        "adapters/llm_http.py",
        "told = refusal.without(self._http.secrets())",
        "told = refusal",
        _SECRETS,
    ),
    Mutation(
        "LLM: its address is shown",
        "adapters/http_client.py",
        'raise ConnectionError(f"{self.label} gave no reply ({reason})") from error',
        'raise ConnectionError(f"{self.label} at {self.place} gave no reply ({reason})") from error',
        _SECRETS,
    ),
    Mutation(
        "exports: they go on in any file in their place",
        "cli/private_files.py",
        "if stat.S_ISREG(found.st_mode) and private and found.st_nlink == 1:",
        "if True:",
        ("tests/unit/cli/test_transfer.py", "-k", "another_user"),
    ),
    Mutation(
        "exports: they follow links in their place",
        "cli/private_files.py",
        "os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK",
        "os.O_RDWR | os.O_NONBLOCK",
        ("tests/unit/cli/test_transfer.py", "-k", "another_user"),
    ),
    Mutation(
        "keys: a rotation beside a revocation gives a key",
        "service/access/keys.py",
        "if one.revoked:\n                raise ConflictError(",
        "if False:\n                raise ConflictError(",
        ("tests/unit/api/test_keys.py", "-k", "beside_a_revocation"),
    ),
    Mutation(
        "keys: the successor of a key that was revoked meanwhile lives",
        "service/access/keys.py",
        "self._changed(tenant, key.id, lambda one: one.bare)",
        "pass",
        ("tests/unit/api/test_keys.py", "-k", "beside_a_revocation"),
    ),
    Mutation(
        "serve: trailers are headers",
        "runtime/http_protocol.py",
        "if not self.headers_ended:",
        "if True:",
        ("tests/unit/test_trailers.py",),
    ),
    Mutation(
        "emulator: trailers are headers",
        "emulator/http_protocol.py",
        "if not self.headers_ended:",
        "if True:",
        ("tests/unit/test_trailers.py",),
        package="local",
    ),
    Mutation(
        "serve: heads and trailers go on for ever",
        "runtime/http_protocol.py",
        "if self._pending > (MAX_TRAILER_BYTES if self.headers_ended else MAX_HEAD_BYTES):",
        "if False:",
        (_BOUNDS, "-k", "never_ends and serve"),
    ),
    Mutation(
        "emulator: trailers may be as long as a head",
        "emulator/http_protocol.py",
        "(MAX_TRAILER_BYTES if self.headers_ended else MAX_HEAD_BYTES)",
        "MAX_HEAD_BYTES",
        (_BOUNDS, "-k", "never_ends and emulator"),
        package="local",
    ),
    Mutation(
        "serve: a head that drips keeps its connection",
        "runtime/http_protocol.py",
        "return self.cycle is None or self._pending > 0",
        "return self.cycle is None and self._pending == 0",
        (_BOUNDS, "-k", "408 and serve"),
    ),
    Mutation(
        "emulator: a body that does not go on keeps its connection",
        "emulator/http_protocol.py",
        "return not self.flow.read_paused",
        "return False",
        (_BOUNDS, "-k", "408 and emulator"),
        package="local",
    ),
    Mutation(
        "embedder: an answer that nobody reads keeps its connection",
        "http/protocol.py",
        "self.transport.abort()",
        "pass",
        (_BOUNDS, "-k", "nobody_reads and embedder"),
        package="embedder",
    ),
    Mutation(
        "serve: as many connections as a system's files begin with",
        "runtime/http_protocol.py",
        "now < wanted:",
        "False:",
        ("tests/unit/cli/test_serve.py", "-k", "idle_connections"),
    ),
    Mutation(
        "docs: the document is made for each request",
        "api/app.py",
        "lru_cache(maxsize=4)(self._make_page), lru_cache(maxsize=4)(self._make_document)",
        "self._make_page, self._make_document",
        ("tests/unit/api/test_openapi.py", "-k", "made_once"),
    ),
    Mutation(
        "embedder: what comes after the answer is read for ever",
        "http/protocol.py",
        "if self._unread > MAX_UNREAD_BYTES:",
        "if False:",
        (_BOUNDS, "-k", "after_the_answer and embedder"),
        package="embedder",
    ),
    Mutation(
        "embedder: heads go on for ever",
        "server.py",
        "http=BoundedHttp,",
        'http="httptools",',
        ("tests/embedder/test_http.py", "-k", "cut_off"),
        package="embedder",
    ),
)

_READ = (
    Mutation(
        "reads: a request holds whole histories, and all memories of its events",
        "service/read_portions.py",
        "_PORTION_BYTES = 512 * 1024",
        "_PORTION_BYTES = 512 * 1024 * 1024",
        (_STORED, "-k", "history_is_read or memories_in_portions or batch"),
    ),
    Mutation(
        "reads: one request goes through a history of any length",
        "api/history_answer.py",
        "(left < 0 or number >= _MOST_PORTIONS)",
        "left < 0",
        (_STORED, "-k", "goes_on"),
    ),
    Mutation(
        "reads: one request reads the memories of all its events",
        "api/platform/event_texts.py",
        "(found.left < 0 or number >= _MOST_PORTIONS)",
        "found.left < 0",
        (_STORED, "-k", "so_many_portions"),
    ),
    Mutation(
        "reads: texts are kept that no answer can hold",
        "api/platform/event_texts.py",
        "text if self.left >= 0 else text[:_KEPT_CHARS]",
        "text",
        (_STORED, "-k", "beginnings"),
    ),
    Mutation(
        "reads: long jobs are read all at once",
        "domain/limits.py",
        "JOBS_AT_ONCE = 2 * 1024 * 1024",
        "JOBS_AT_ONCE = 2 * 1024 * 1024 * 1024",
        (_STORED, "-k", "looked_at"),
    ),
    Mutation(
        "reads: all exports are read to find one",
        "service/transfer/schema_export.py",
        "_READ_AT_ONCE = 10",
        "_READ_AT_ONCE = 1000",
        (_STORED, "-k", "export"),
    ),
    Mutation(
        "webhooks: a delivery reads the whole history",
        "service/webhooks/delivery.py",
        "ref.memory_id, ref.version, most=1)",
        "ref.memory_id, ref.version, most=2**40)",
        ("tests/unit/service/webhooks/test_delivery.py", "-k", "one_version"),
    ),
)

_MANY_KEYS, _KEYS = "tests/unit/api/test_many_keys.py", "tests/contract/ledger/test_keys.py"
_MANY = (
    Mutation(
        "keys: SQLite looks through those of all tenants for one",
        "adapters/ledger_sqlite/keys.py",
        "WHERE tenant = ? AND id = ?",
        "WHERE +tenant = ? AND +id = ?",
        ("tests/scale/test_routes.py", "-k", "api-keys and rotate"),
    ),
    Mutation(
        "keys: SQLite sorts all of a tenant for a page",
        "adapters/ledger_sqlite/keys.py",
        "ORDER BY created_at DESC, id DESC LIMIT ?",
        "ORDER BY created_at || '' DESC, id DESC LIMIT ?",
        ("tests/contract/ledger/test_query_plans.py", "-k", "keys_of_a_tenant"),
    ),
    Mutation(
        "keys: SQLite does not count them",
        "adapters/ledger_sqlite/keys.py",
        "        if standing >= most:",
        "        if False:",
        (_KEYS, "-k", "no_more_keys and sqlite"),
    ),
    Mutation(
        "keys: SQLite does not see what an earlier version has written",
        "adapters/ledger_sqlite/keys.py",
        "            self._connections.write(fill, durable=True)",
        "            pass",
        (_KEYS, "-k", "before_schema_21"),
    ),
    Mutation(
        "keys: of those that ended, SQLite forgets that they did",
        "adapters/ledger_sqlite/keys.py",
        "        put_key(db, expired[-1])",
        '        db.execute("DELETE FROM keys WHERE hash = ?", row[:1])',
        (_KEYS, "-k", "ended_long_ago and sqlite"),
    ),
    Mutation(
        "keys: DynamoDB does not count them",
        "adapters/ledger_dynamodb/keys.py",
        "            if standing >= most:",
        "            if False:",
        (_KEYS, "-k", "no_more_keys and dynamodb"),
    ),
    Mutation(
        "keys: two may count at once on DynamoDB",
        "adapters/ledger_dynamodb/keys.py",
        '        unit.put(gate, {"last": unit.id})',
        "        pass",
        ("tests/concurrency/test_small_stores.py", "-k", "exactly_as_many and dynamodb"),
    ),
    Mutation(
        "keys: requests may make any number",
        "service/access/keys.py",
        "put_key(made, most=self._most, now=self._clock.now())",
        "put_key(made)",
        (_MANY_KEYS, "-k", "told_the_way_out"),
    ),
    Mutation(
        "keys: one may be limited to any number of bytes",
        "service/access/keys.py",
        "> MAX_KEY_LIMITS_BYTES:",
        "> 10**9:",
        (_MANY_KEYS, "-k", "bytes_of_ids"),
    ),
    Mutation(
        "keys: large ones are read all at once",
        "domain/limits.py",
        "KEYS_AT_ONCE = 1024 * 1024",
        "KEYS_AT_ONCE = 1024 * 1024 * 1024",
        (_MANY_KEYS, "-k", "too_large"),
    ),
    Mutation(
        "keys: a revoked one keeps whom it was limited to",
        "service/access/keys.py",
        "            return key.bare\n",
        "            return replace(key, revoked=True)\n",
        (_MANY_KEYS, "-k", "only_that_it_is_revoked"),
    ),
)

COSTS = (*_WORK, *_RESTORED, *_SURFACES, *_READ, *_MANY)
