"""Mutations: checks of tenants, keys and extractions taken out one by one, and the tests that must notice.

Each replaces text that stands exactly once in its file, so that a mutation which no longer applies is noticed too.
"""

from __future__ import annotations

from tests.tenancy.audit_mutations import AUDIT
from tests.tenancy.body_mutations import BODIES
from tests.tenancy.cost_mutations import COSTS
from tests.tenancy.erasure_mutations import ERASURES
from tests.tenancy.look_mutations import LOOKS
from tests.tenancy.mutation import Mutation
from tests.tenancy.oauth_mutations import OAUTH
from tests.tenancy.outward_mutations import OUTWARD
from tests.tenancy.protections import PROTECTIONS
from tests.tenancy.quota_mutations import QUOTAS
from tests.tenancy.restore_mutations import RESTORES
from tests.tenancy.room_mutations import ROOM
from tests.tenancy.tenant_mutations import TENANTS
from tests.tenancy.turn_mutations import TURNS

__all__ = ["MUTATIONS", "QUICK"]

_ROUTES = "tests/tenancy/test_every_route.py"
_KEYS = "tests/unit/api/test_keys.py"
_LEDGER = "tests/contract/ledger"
_INDEX = "tests/contract/index/test_index_contract.py"


def _sql(name: str, file: str, old: str, *tests: str) -> Mutation:
    """The condition on the tenant becomes one that is always true and takes the same parameter."""
    assert "tenant = ?" in old
    new = old.replace("tenant = ?", "? IS NOT NULL", 1)
    return Mutation(f"SQLite: {name}", f"adapters/ledger_sqlite/{file}", old, new, tests)


def _limited(name: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(f"limits: {name}", "service/access/limited_ledger.py", old, new, tests)


_NAMES = "tests/unit/service/test_known_names.py"
_SQLITE = (
    _sql(
        "read memories",
        "memories.py",
        "CROSS JOIN texts USING (text_id) WHERE tenant = ? AND id IN",
        _ROUTES,
        "-k",
        "another_tenant and memory_id",
    ),
    _sql("history", "memories.py", "WHERE tenant = ? AND memory_id = ?", _ROUTES, "-k", "another_tenant and history"),
    _sql(
        "entities",
        "totals.py",
        "WHERE tenant = ? AND kind = ? AND id > ? ORDER BY id",
        _ROUTES,
        "-k",
        "another_tenant and entities",
    ),
    _sql("lists and erasure", "scope_sql.py", '["tenant = ?"]', _ROUTES, "-k", "another_tenant and memories"),
    _sql("jobs by id", "jobs.py", '{_SELECT} WHERE tenant = ? AND id = ?"', _ROUTES, "-k", "another_tenant and event"),
    _sql("lists of jobs", "jobs.py", 'condition = "tenant = ?"', f"{_LEDGER}/test_jobs.py", "-k", "listed"),
    Mutation(
        "SQLite: what a memory superseded",
        "adapters/ledger_sqlite/memories.py",
        "INDEXED BY memories_superseded WHERE tenant = ?1 AND superseded_by = ?2",
        "WHERE ?1 IS NOT NULL AND superseded_by = ?2",
        (f"{_LEDGER}/test_superseded.py", "-k", "nearest"),
    ),
    _sql(
        "kept totals",
        "totals.py",
        'stale FROM totals WHERE tenant = ? AND kind = ? AND id = ?"',
        f"{_LEDGER}/test_totals.py",
        "-k",
        "every_change",
    ),
    _sql(
        "ends of pages",
        "page_ends.py",
        "FROM page_ends WHERE tenant = ? AND name = ?",
        f"{_LEDGER}/test_totals.py",
        "-k",
        "is_kept_until",
    ),
    _sql(
        "documents by id",
        "documents.py",
        'f"{_SELECT} WHERE tenant = ? AND kind = ? AND id = ?"',
        f"{_LEDGER}/test_documents.py",
        "-k",
        "apart",
    ),
    _sql(
        "versions of documents",
        "documents.py",
        '"SELECT version, created_at, text_id FROM documents WHERE tenant = ? AND kind = ?',
        f"{_LEDGER}/test_documents.py",
        "-k",
        "apart",
    ),
    _sql(
        "messages by ref",
        "messages.py",
        'query = _SELECT + "WHERE tenant = ? AND job_id = ? AND position = ?"',
        f"{_LEDGER}/test_messages.py",
        "-k",
        "by_ref",
    ),
    _sql(
        "messages of a job",
        "messages.py",
        '"WHERE tenant = ? AND job_id = ? ORDER BY position"',
        f"{_LEDGER}/test_messages.py",
        "-k",
        "by_ref",
    ),
    _sql(
        "answers kept",
        "idempotency_records.py",
        "WHERE tenant = ? AND name = ?\n",
        f"{_LEDGER}/test_leases.py",
        "-k",
        "begins",
    ),
    Mutation(
        "SQLite: keys of a tenant",
        "adapters/ledger_sqlite/keys.py",
        "WHERE tenant = ? AND id = ?",
        "WHERE ? IS NOT NULL AND id = ?",
        (_ROUTES, "-k", "another_tenant and api-keys"),
    ),
)

_INDEXES = (
    Mutation(
        "Milvus: the expression's tenant",
        "adapters/index_milvus/compiler.py",
        'f"tenant == {lit(key_text(tenant))}"',
        'f"tenant != {lit(chr(48))}"',
        ("tests/unit/adapters/test_filter_compiler.py",),
    ),
    Mutation(
        "Milvus: the primary key's tenant",
        "adapters/index_milvus/rows.py",
        "hashlib.sha256(tenant.encode('utf-8', 'surrogatepass'))",
        "hashlib.sha256(b'')",
        (_INDEX, "-k", "same_id_in_two_tenants"),
    ),
)

_LIMITS = (
    _limited(
        "names of others", "return [owner] if self._mine(scope) else []", "return [owner]", _NAMES, "-k", "may_read"
    ),
    _limited(
        "names that other agents have heard",
        "if not owner.whole_user or limits.whole_users:",
        "if scope.user_id in self._users:",
        _NAMES,
        "-k",
        "may_read or another",
    ),
    _limited(
        "read",
        "self._ledger.read(tenant, ids).items() if self._mine(memory.scope)}",
        "self._ledger.read(tenant, ids).items()}",
        _ROUTES,
        "-k",
        "limited and memory_id",
    ),
    _limited(
        "history",
        "mine = [event for event in events if self._mine(event.memory.scope)]",
        "mine = events",
        _ROUTES,
        "-k",
        "limited and history",
    ),
    _limited(
        "memories of a batch",
        "if self._mine(memory.scope)}, looked",
        "}, looked",
        _ROUTES,
        "-k",
        "limited and batch",
    ),
    _limited(
        "earlier versions",
        "return {key: memory for key, memory in found.items() if self._mine(memory.scope)}",
        "return found",
        "tests/tenancy/test_limits.py",
        "-k",
        "earlier_version",
    ),
    _limited(
        "lists",
        'tenant, {**ids, "user_id": user}, limit=limit, cursor=cursor',
        "tenant, ids, limit=limit, cursor=cursor",
        _ROUTES,
        _KEYS,
        "-k",
        "limited and (lists or memories)",
    ),
    _limited(
        "entities",
        "page = self.list_memories(tenant, {}, limit=_PAGE, cursor=cursor)",
        "page = self._ledger.list_memories(tenant, {}, limit=_PAGE, cursor=cursor)",
        _ROUTES,
        "-k",
        "limited and entities",
    ),
    _limited(
        "kept totals",
        'self._ledger.kept_totals(tenant, {"user_id": user})',
        "self._ledger.kept_totals(tenant, ids)",
        "tests/unit/service/reading/test_pages.py",
        "-k",
        "limited_key_reads",
    ),
    _limited(
        "writes",
        "if refusal := self._limits.refusal(scope):",
        'if refusal := "":',
        _KEYS,
        "-k",
        "adds_for_nobody_else",
    ),
    _limited(
        "lists of agents",
        "if self._mine(one.scope)), page.cursor)",
        "), page.cursor)",
        "tests/tenancy/test_agents_and_apps.py",
    ),
    _limited(
        "totals of agents",
        'set(ids) - {"user_id"} or not self._limits.whole_users:',
        'set(ids) - {"user_id"}:',
        "tests/tenancy/test_agents_and_apps.py",
    ),
    _limited(
        "erasures of agents",
        "if not self._limits.whole_users:\n            raise",
        "if False:\n            raise",
        "tests/tenancy/test_agents_and_apps.py",
    ),
    Mutation(
        "limits: agents",
        "domain/key_limits.py",
        "if not _listed(scope.agent_id, self.agents):",
        "if False:",
        ("tests/tenancy/test_agents_and_apps.py",),
    ),
    Mutation(
        "limits: apps",
        "domain/key_limits.py",
        "if not _listed(scope.app_id, self.apps):",
        "if False:",
        ("tests/tenancy/test_agents_and_apps.py",),
    ),
    Mutation(
        "limits: agents in the index",
        "domain/key_limits.py",
        "with_spellings(And((users, *(one for one in lists if one is not None))))",
        "with_spellings(users)",
        ("tests/tenancy/test_agents_and_apps.py",),
    ),
    _limited(
        "jobs",
        "return job if job is not None and self._mine(job.scope) else None",
        "return job",
        _ROUTES,
        "-k",
        "limited and event",
    ),
    _limited("answers kept", 'return f"{self._name} {name}"', "return name", _KEYS, "-k", "idempotent_answers"),
    Mutation(
        "limits: the index",
        "service/access/limited_index.py",
        "return self._index.search_vector(tenant, vector, And((self._mine, where)), limit)",
        "return self._index.search_vector(tenant, vector, And((where,)), limit)",
        ("tests/tenancy/test_limits.py", "-k", "index"),
    ),
    Mutation(
        "limits: the index, several vectors",
        "service/access/limited_index.py",
        "return self._index.search_vectors(tenant, vectors, And((self._mine, where)), limit)",
        "return self._index.search_vectors(tenant, vectors, And((where,)), limit)",
        ("tests/tenancy/test_limits.py", "-k", "index"),
    ),
    Mutation(
        "limits: forgotten by the caller",
        "api/caller.py",
        "return services if limits is None else services.limited_to(limits)",
        "return services",
        (_ROUTES, "-k", "limited"),
    ),
    _limited(
        "links to what was superseded",
        "return [id_ for id_ in found if id_ in mine]",
        "return found",
        "tests/tenancy/test_limits.py",
        "-k",
        "links",
    ),
    _limited(
        "messages that go with memories",
        "if ref not in found or self._mine(found[ref].scope)]",
        "if ref not in found or found]",
        "tests/tenancy/test_limits.py",
        "-k",
        "messages",
    ),
    Mutation(
        "limits: deletes by filter",
        "service/jobs/delete_matching.py",
        "        _limits(request),",
        "        None,",
        ("tests/unit/service/jobs/test_delete_matching.py", "-k", "limited"),
    ),
)

_ACCESS = (
    Mutation(
        "roles: not compared",
        "api/access.py",
        "not key.role.allows(role)",
        "not key.role",
        ("tests/tenancy/test_roles.py",),
    ),
    Mutation(
        "roles: no route asks for one",
        "api/access.py",
        "require(get_caller(scope).key, self.route.role)",
        "get_caller(scope)",
        ("tests/tenancy/test_roles.py",),
    ),
    Mutation(
        "roles: every route is open",
        "api/access.py",
        "self._open = route.path in OPEN_PATHS",
        "self._open = True",
        ("tests/tenancy/test_roles.py",),
    ),
    Mutation(
        "roles: every role allows everything",
        "domain/keys.py",
        "return _RANK[self] >= _RANK[needed]",
        "return _RANK[self] <= _RANK[self]",
        ("tests/tenancy/test_roles.py",),
    ),
    Mutation(
        "roles: what declares nothing is open to readers",
        "api/routing.py",
        '(Role.READ if self.method == "GET" else Role.WRITE)',
        "Role.READ",
        ("tests/tenancy/test_roles.py",),
    ),
    Mutation(
        "keys: a revoked one is taken",
        "service/access/keys.py",
        "if key is None or self._refused(key):",
        "if key is None:",
        (_KEYS, "-k", "revoked or cache_has_aged"),
    ),
    Mutation(
        "keys: one that has expired is taken",
        "domain/keys.py",
        "self._unknown_limits or (self.ends_at is not None and self.ends_at <= now)",
        "self._unknown_limits",
        (_KEYS, "-k", "expire"),
    ),
    Mutation(
        "keys: a kept one does not expire",
        "service/access/keys.py",
        "now - seen[0] < CACHE_S and not self._refused(seen[1]):",
        "now - seen[0] < CACHE_S:",
        (_KEYS, "-k", "expire"),
    ),
    Mutation(
        "keys: a short one is registered",
        "service/access/keys.py",
        "if held is None and len(secret) < LEAST_CHARS:",
        "if held is None and len(secret) < 1:",
        ("tests/unit/cli/test_keys.py", "-k", "short"),
    ),
    Mutation(
        "keys: all pages are open",
        "api/auth.py",
        'is_open_path(scope["path"]) and',
        "",
        ("tests/tenancy/test_roles.py", "-k", "without_a_key"),
    ),
)

_IDS, _AUDIT = "tests/unit/api/test_identifiers.py", "tests/unit/api/test_audit.py"

_IDENTIFIERS = (
    Mutation(
        "ids: invisible characters are taken",
        "domain/identifiers.py",
        "if (unseen := first_unseen(normal)) is not None:",
        "if (unseen := None) is not None:",
        ("tests/unit/domain/test_identifiers.py",),
    ),
    Mutation(
        "ids: codes that Unicode keeps for invisible characters",
        "domain/identifiers.py",
        " or _is_ignored(ord(char))",
        "",
        ("tests/unit/domain/test_identifiers.py",),
    ),
    Mutation(
        "ids: no normal form",
        "domain/identifiers.py",
        'normal = unicodedata.normalize("NFC", named_identifier(name, given))',
        "normal = named_identifier(name, given)",
        ("tests/unit/domain/test_identifiers.py",),
    ),
    Mutation(
        "ids: one spelling is erased",
        "service/writing/change.py",
        "erased = self._erase(tenant, *map(Target, targets))",
        "erased = self._erase(tenant, Target(ids))",
        (_IDS, "-k", "erases_both"),
    ),
    Mutation(
        "ids: one spelling is listed",
        "service/merged_lists.py",
        "for spelled in all_spellings(ids)",
        "for spelled in [ids]",
        (_IDS, "-k", "reads_both"),
    ),
    Mutation(
        "terminals get control characters",
        "cli/text.py",
        "_escape(char) if is_unseen(stored, place) else char for",
        "char for",
        ("tests/unit/cli/test_text.py",),
    ),
    Mutation(
        "audit: no refusals", "api/audit.py", "if status == _FORBIDDEN:", "if False:", (_AUDIT, "-k", "newest_first")
    ),
    Mutation(
        "audit: ids in clear",
        "domain/audit.py",
        'return keyed_digest(key, name, unicodedata.normalize("NFC", id_))',
        "return id_",
        (_AUDIT, "-k", "digests"),
    ),
)

_SUPERSESSION = "service/writing/supersession.py"
_RULES = "tests/unit/service/writing/test_supersession.py"
_RESTORES = "tests/unit/service/writing/test_restore.py"

#: What keeps an extraction from reading or superseding what it must not.
_EXTRACTION = (
    Mutation(
        "extraction: another user's memories are shown to the LLM",
        "domain/filters/scope_ids.py",
        "Compare(Field(name), Operator.EQ, getattr(speaker, name) or None) for name in names",
        "Compare(Field(name), Operator.EQ, getattr(speaker, name)) for name in names if getattr(speaker, name)",
        (_RULES, "-k", "neither_shown"),
    ),
    Mutation(
        "extraction: immutable memories are superseded",
        _SUPERSESSION,
        "memory.live and not memory.immutable and",
        "memory.live and",
        (_RULES, "-k", "immutable"),
    ),
    Mutation(
        "extraction: a memory with a text that the LLM has not seen is superseded",
        "service/writing/infer.py",
        "and seen.get(memory.id) == memory.hash",
        "",
        (_RULES, "-k", "while_the_llm_worked"),
    ),
    Mutation(
        "extraction: expired memories are shown to the LLM",
        "service/writing/related_memories.py",
        "where = And((same_speaker(scope), unexpired(now)))",
        "where = same_speaker(scope)",
        (_RULES, "-k", "has_expired"),
    ),
    Mutation(
        "extraction: an expired memory keeps its text from being stored again",
        "adapters/ledger_sqlite/append.py",
        "judge.hides(other) or other.expired(memory.accepted_at)",
        "judge.hides(other)",
        ("tests/contract/ledger/test_memories.py", "-k", "expired_memory"),
    ),
    Mutation(
        "erasure: a row waits for the time that a client stated",
        "service/writing/add.py",
        "updated_at=min(message.created_at, job.created_at)",
        "updated_at=message.created_at",
        ("tests/unit/service/writing/test_stated_times.py", "-k", "never_updated_later"),
    ),
    Mutation(
        "extraction: what one tenant's text is refused for changes adds of others",
        "service/writing/extraction_calls.py",
        "self._known.found(job.tenant, course.context)",
        '[self._known.found(name, course.context) for name in (job.tenant, "other")]',
        ("tests/unit/service/writing/test_long_input_faults.py", "-k", "no_adds_of_others"),
    ),
    Mutation(
        "extraction: a schema that is refused changes requests with others",
        "adapters/llm_http.py",
        "self._form = replace(lasting, format=self._form.format)",
        "self._form = lasting",
        ("tests/unit/adapters/test_llm_http.py", "-k", "leaves_others"),
    ),
    Mutation(
        "extraction: what a refusal quotes changes other requests",
        "adapters/llm_http.py",
        "if form.lasts(refusal, body, messages):",
        "if True:",
        ("tests/unit/adapters/test_llm_http.py", "-k", "quotes_of_the_request"),
    ),
    Mutation(
        "extraction: any number is superseded",
        _SUPERSESSION,
        "key=lambda id_: -nearness[id_])[:MOST_SUPERSEDED]",
        "key=lambda id_: -nearness[id_])",
        (_RULES, "-k", "two_nearest"),
    ),
    Mutation(
        "extraction: the least nearness does not matter",
        _SUPERSESSION,
        "if nearness[id_] >= self._rules.nearness and nearness[id_] > unrelated",
        "if nearness[id_] > unrelated",
        (_RULES, "-k", "is_a_setting"),
    ),
    Mutation(
        "extraction: unrelated memories are superseded",
        _SUPERSESSION,
        "if nearness[id_] >= self._rules.nearness and nearness[id_] > unrelated",
        "if nearness[id_] >= self._rules.nearness",
        (_RULES, "-k", "not_near or nearer_than"),
    ),
    Mutation(
        "extraction: a tool's text supersedes the user's",
        _SUPERSESSION,
        "and (vouched or not may_be_users(memory))",
        "",
        (_RULES, "-k", "only_the_users_words"),
    ),
    Mutation(
        "extraction: a fact without sources counts as the user's",
        "domain/supersession.py",
        "return all(message.role == USER for message in messages)",
        "return any(message.role == USER for message in messages)",
        (_RULES, "-k", "only_the_users_words"),
    ),
    Mutation(
        "extraction: what nobody is named for counts as nobody's",
        "domain/supersession.py",
        "    if memory.attributed_to is None and memory.role is None:\n        return True\n",
        "",
        (_RULES, "-k", "nobody_is_named"),
    ),
    Mutation(
        "extraction: a fact with a tool's text counts as the user's",
        "domain/supersession.py",
        "return min(roles,",
        "return max(roles,",
        (_RULES, "-k", "least_trusted"),
    ),
    Mutation(
        "restore: a deleted memory comes back",
        "service/writing/restore.py",
        "if memory is None or memory.deleted:",
        "if memory is None:",
        (_RESTORES, "-k", "deleted"),
    ),
    Mutation(
        "deletes: a filter that only excludes a source deletes everything",
        "domain/filters/scope_ids.py",
        "return bool(items) and all(_pins(item, names, wildcards=wildcards) for item in items)",
        "return any(_pins(item, names) for item in items)",
        ("tests/unit/api/platform/test_provenance.py", "-k", "only_mentions"),
    ),
)

_GUESSES = (
    Mutation(
        "keys: unknown keys are looked up without end",
        "service/access/keys.py",
        "        self._guesses.begin(address, hash_)\n",
        "",
        ("tests/unit/service/access/test_key_guesses.py", "-k", "without_a_look_up"),
    ),
    Mutation(
        "keys: a valid key behind an address that guesses is locked out",
        "service/access/key_guesses.py",
        "if self._again.take(source, now) or returns >= _ENOUGH_RETURNS:",
        "if False:",
        ("tests/unit/service/access/test_key_guesses.py", "-k", "gets_through"),
    ),
    Mutation(
        "keys: guesses that are repeated keep a valid key out",
        "service/access/key_guesses.py",
        " or returns >= _ENOUGH_RETURNS:",
        ":",
        ("tests/unit/service/access/test_key_guesses.py", "-k", "again_and_again"),
    ),
    Mutation(
        "keys: the same guesses are looked up again and again",
        "service/access/key_guesses.py",
        "if now - self._unknown.get(hash_, -_UNKNOWN_S) < _UNKNOWN_S:",
        "if False:",
        ("tests/unit/service/access/test_key_guesses.py", "-k", "looked_up_in_vain"),
    ),
    Mutation(
        "keys: limits that are not known are no limits",
        "domain/keys.py",
        "self.revoked or self._unknown_limits or",
        "self.revoked or",
        (_KEYS, "-k", "does_not_know"),
    ),
    Mutation(
        "limits: members' addresses are shown to limited keys",
        "api/platform/routes/projects.py",
        "return members if caller.key_limits is None else {}",
        "return members",
        ("tests/tenancy/test_agents_and_apps.py", "-k", "members"),
    ),
    Mutation(
        "cache of vectors: texts of a tenant's other users are found",
        "service/writing/indexer.py",
        "writers = {memory.scope.writer_key() for memory in memories}",
        "writers = {memory.scope.tenant for memory in memories}",
        ("tests/tenancy/test_differential.py", "-k", "computed_again and writer and users"),
    ),
)

MUTATIONS = (
    *_SQLITE,
    *_INDEXES,
    *_LIMITS,
    *_ACCESS,
    *_GUESSES,
    *_IDENTIFIERS,
    *_EXTRACTION,
    *PROTECTIONS,
    *COSTS,
    *LOOKS,
    *BODIES,
    *QUOTAS,
    *OAUTH,
    *OUTWARD,
    *ERASURES,
    *TENANTS,
    *RESTORES,
    *ROOM,
    *TURNS,
    *AUDIT,
)

#: One of each layer, for `make test`; all of them are `make test-mutations`.
QUICK = (_SQLITE[0], _LIMITS[0], _ACCESS[0])
