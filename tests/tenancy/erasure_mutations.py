"""Mutations of what SECURITY.md promises of erasures: nothing that stays of something deleted says whose it was.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["ERASURES"]

_FORGOTTEN = ("tests/contract/ledger/test_forgotten_ids.py", "-k", "sqlite")
_EXPIRED = ("tests/contract/ledger/test_messages.py", "-k", "last_message_expires")
_NAMES = "tests/unit/service/test_known_names.py"
_DOCUMENTS = "tests/contract/ledger/test_documents_of_memories.py"
_STORED = ("tests/unit/api/test_idempotency.py", "-k")
_SCAN, _RECEIPTS = "tests/erasure/test_in_process.py", "tests/unit/service/erasures/test_receipts.py"


def _stays(name: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(f"stays of something deleted: {name}", file, old, new, tests)


_WALKS = ("tests/unit/service/erasures/test_entity_walks.py", "-k")
_ANSWERS = ("tests/contract/ledger/test_stored_answers.py", "-k")
_ANSWERS_FILE = "adapters/ledger_dynamodb/idempotency_records.py"
_BOUNDED = (
    Mutation(
        "stored answers: any number shows one memory",
        _ANSWERS_FILE,
        'return f"{number % _MOST_ANSWERS:02d}"',
        'return f"{number:02d}"',
        (*_ANSWERS, "dynamodb and newest"),
    ),
    Mutation(
        "stored answers: an update of the memory forgets their number",
        "adapters/ledger_dynamodb/append.py",
        '_KEPT = ("behind", idempotency_records.NEXT_NOTE)',
        '_KEPT = ("behind",)',
        (*_ANSWERS, "dynamodb and newest"),
    ),
    Mutation(
        "stored answers: what an old note names goes, whatever has the name now",
        _ANSWERS_FILE,
        "if item is not None and note in _notes(item, tenant, name):",
        "if item is not None:",
        (*_ANSWERS, "dynamodb and those_of_others"),
    ),
    Mutation(
        "stored answers: those of the version before survive their memory",
        _ANSWERS_FILE,
        'item.get("places") or [name] * len(item["named"])',
        'item.get("places") or ["00"] * len(item["named"])',
        (*_ANSWERS, "version_before"),
    ),
)

ERASURES = (
    *_BOUNDED,
    _stays(
        "whose a memory was",
        "domain/memory.py",
        "return replace(self, scope=Scope(self.scope.tenant))",
        "return self",
        *_FORGOTTEN,
    ),
    _stays(
        "whose a job was",
        "domain/jobs.py",
        "return replace(self, scope=Scope(self.scope.tenant), request={}, error=",
        "return replace(self, request={}, error=",
        *_FORGOTTEN,
    ),
    _stays(
        "the words of its role",
        "domain/memory.py",
        'role=known_role(self.role or ""),',
        "role=self.role,",
        *_FORGOTTEN,
    ),
    _stays(
        "the words of who said it",
        "domain/memory.py",
        'attributed_to=known_role(self.attributed_to or ""),',
        "attributed_to=self.attributed_to,",
        *_FORGOTTEN,
    ),
    _stays(
        "what an import called its key",
        "domain/memory.py",
        'source_key=self.source_key if MEMORY_ID.fullmatch(self.source_key or "") else None,',
        "source_key=self.source_key,",
        *_FORGOTTEN,
    ),
    _stays(
        "what an error said of it",
        "domain/jobs.py",
        "error=code and code[0])",
        "error=self.error)",
        *_EXPIRED,
    ),
    _stays(
        "whose a job was whose messages have expired",
        "adapters/ledger_sqlite/expiry.py",
        "messages.forget_orphaned_job(db, tenant, job_id)",
        "pass",
        *_EXPIRED,
    ),
    _stays(
        "the same in a table",
        "adapters/ledger_dynamodb/erase_messages.py",
        "in dict.fromkeys(jobs_of[key] for key in over):",
        "in {}:",
        *_EXPIRED,
    ),
    _stays(
        "names of requests, leases and pages",
        "adapters/ledger_codec.py",
        'return to_blob(keyed_digest(key, "name", name))',
        "return to_blob(name)",
        *_FORGOTTEN,
    ),
    _stays(
        "requests of exports",
        "service/jobs/erase_exports.py",
        'if older and is_about(erasure.targets, document.body.get("filters")):',
        "if False:",
        _SCAN,
        "-k",
        "files and user",
    ),
    _stays(
        "ids in ended deletes by filter",
        "domain/bulk_jobs.py",
        '_UNTIL_ITS_END = frozenset({FILTERS, TENANT_NAME, "ids", "names", "users", "agents", "apps"})',
        "_UNTIL_ITS_END = frozenset({FILTERS, TENANT_NAME})",
        _SCAN,
        "-k",
        "files and user",
    ),
    _stays(
        "ids in deliveries that have arrived",
        "service/webhooks/delivery.py",
        "summary = None if delivery.summary is None else replace(delivery.summary, scope={})",
        "summary = delivery.summary",
        _SCAN,
        "-k",
        "files and user",
    ),
    _stays(
        "feedback",
        "adapters/ledger_sqlite/append.py",
        "documents.forget_of_memory(db, tenant, id_)",
        "pass",
        _DOCUMENTS,
    ),
    _stays(
        "feedback in a table",
        "adapters/ledger_dynamodb/append.py",
        "documents.forget(unit, _documents(events))",
        "pass",
        _DOCUMENTS,
    ),
    _stays(
        "feedback that comes after the deletion",
        "adapters/ledger_sqlite/documents.py",
        "db.execute(_IS_TOMBSTONE, (key[0], key[2])).fetchone() is not None",
        "False",
        _DOCUMENTS,
    ),
    _stays(
        "feedback that comes after the deletion, in a table",
        "adapters/ledger_dynamodb/documents.py",
        'if head["state"] == item_keys.DELETED:',
        "if False:",
        _DOCUMENTS,
    ),
    _stays(
        "feedback that comes during the deletion, in a table",
        "adapters/ledger_dynamodb/documents.py",
        'unit.put(head_key, {**head, "rated": unit.id})',
        "pass",
        _DOCUMENTS,
    ),
    _stays(
        "feedback that an earlier version left",
        "service/projects/left_documents.py",
        "removed += ledger.delete_document(tenant, left.kind, left.id)",
        "removed += 1",
        "tests/contract/ledger/test_left_documents.py",
    ),
    _stays(
        "feedback that an earlier version left, which a check must tell",
        "service/transfer/erasure_check.py",
        "left = sum(1 for _ in left_documents(self._ledger, tenant))",
        "left = 0",
        "tests/unit/cli/test_erase.py",
        "-k",
        "feedback",
    ),
    _stays(
        "names of speakers, while a marker hides them",
        "service/access/hiding_ledger.py",
        "tuple(one for one in record.entries if not markers.cover_scope(one.ids, one.erasures_before))",
        "record.entries",
        _NAMES,
        "-k",
        "erased_name",
    ),
    _stays(
        "names of speakers",
        "service/jobs/erase.py",
        "page = self._erase_names(erasure, place)",
        "page = None",
        _NAMES,
        "-k",
        "erased_name",
    ),
    _stays(
        "names of late writers",
        "adapters/ledger_sqlite/names.py",
        "if judge.closed or judge.refuses(said):",
        "if judge.closed:",
        _NAMES,
        "-k",
        "late_writer",
    ),
    Mutation(
        "receipt: clean although rows wait",
        "domain/erasure_receipts.py",
        "and job.tenant not in self.pending",
        "and True",
        (_RECEIPTS, "-k", "wait_to_be_deleted"),
    ),
    Mutation(
        "receipt: clean before anybody looked",
        "domain/erasure_receipts.py",
        "job.completed_at <= self.since",
        "True",
        (_RECEIPTS, "-k", "before_the_look"),
    ),
    _stays(
        "requests of exports that write its id as a number",
        "domain/schema_exports.py",
        "elif name and isinstance(text := id_text(value), str):",
        "elif name and isinstance(text := value, str):",
        "tests/unit/api/platform/test_documents.py",
        "-k",
        "however",
    ),
    _stays(
        "counters of ids that an erasure does not name, after a kill",
        "service/jobs/erase.py",
        "if not self._walks.needed(erasure):",
        "if True:",
        *_WALKS,
        "a_death_left",
    ),
    _stays(
        "counters of ids that an erasure does not name, because it notes nothing before it removes",
        "service/jobs/erase.py",
        "stopped=over, before=note)",
        "stopped=over)",
        *_WALKS,
        "a_death_left",
    ),
    _stays(
        "counters that a walk had passed before they were empty",
        "service/jobs/erase.py",
        "walk=self._walks.following(tenant))",
        "walk=self._walks.following(tenant) - 1)",
        *_WALKS,
        "that_began_after",
    ),
    Mutation(
        "erasures: one of nothing walks through all ids of the tenant",
        "service/jobs/erase.py",
        "if not self._walks.needed(erasure):",
        "if False:",
        (*_WALKS, "of_nothing"),
    ),
    Mutation(
        "erasures: each walks by itself",
        "service/jobs/erase.py",
        "            if self._has_company(erasure):",
        "            if False:",
        (*_WALKS, "share_one_walk"),
    ),
    Mutation(
        "erasures: sweep starts a late pass beside one that waits",
        "service/jobs/erase.py",
        "if job is None or not job.finished:",
        "if job is None:",
        (*_WALKS, "no_further_late_job"),
    ),
    _stays(
        "a request of an export that was stored after the erasure's look",
        "service/transfer/schema_export.py",
        "if self._ledger.erasure_state(tenant).last > accepted:",
        "if False:",
        "tests/unit/api/platform/test_documents.py",
        "-k",
        "while_something_is_erased",
    ),
    _stays(
        "a request of an export whose filters cannot be read",
        "domain/schema_exports.py",
        "if not _is_readable(filters):",
        "if False:",
        "tests/unit/domain/test_schema_exports.py",
        "-k",
        "cannot_be_read",
    ),
    Mutation(
        "erasure: takes messages of others that an imported memory names",
        "service/transfer/own_sources.py",
        "if scopes.get(ref, memory.scope) == memory.scope",
        "if True",
        ("tests/unit/service/transfer/test_own_sources.py", "-k", "no_source"),
    ),
    Mutation(
        "import: messages of others are found under the memory that names them",
        "service/writing/told.py",
        "if ref in talk and talk[ref].scope == memory.scope]",
        "if ref in talk]",
        ("tests/unit/service/transfer/test_own_sources.py", "-k", "arrives_later"),
    ),
    Mutation(
        "erasure: takes exports that have its word in another field",
        "domain/schema_exports.py",
        "not named.isdisjoint(one.ids.items())",
        "not {value for _, value in named}.isdisjoint(one.ids.values())",
        ("tests/unit/domain/test_schema_exports.py",),
    ),
    _stays(
        "answers of retries",
        "api/platform/routes/events.py",
        "retry_event, harmless=True",
        "retry_event",
        *_STORED,
        "answer_of_a_retry",
    ),
    _stays(
        "answers about memories of odd ids",
        "api/idempotency.py",
        "if 200 <= answer.status < 300 and _can_be_found(scope):",
        "if 200 <= answer.status < 300:",
        *_STORED,
        "no_erasure_would_find",
    ),
    _stays(
        "an add that was revived without its messages",
        "service/writing/add.py",
        "if not self._ledger.job_messages(failed.tenant, failed.id):",
        "if False:",
        *_STORED,
        "add_of_its_own",
    ),
    _stays(
        "the ids of an import in progress",
        "service/transfer/import_jobs.py",
        'apart = {"refused", "problems", "shared_ids",',
        'apart = {"refused", "problems",',
        "tests/unit/api/test_transfer_jobs.py",
        "-k",
        "keeps_no_ids",
    ),
)
