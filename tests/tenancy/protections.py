"""Mutations of what SECURITY.md promises beside tenants and keys: webhooks, surfaces, erasures, what is installed.

They have the form of `mutations.py`, which runs with them; `package` says in which package the file is.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["PROTECTIONS"]

_ADDRESSES, _SENDER = "tests/unit/adapters/test_public_addresses.py", "tests/unit/adapters/test_webhook_http.py"
_FAIR, _URLS = "tests/unit/service/webhooks/test_fair_delivery.py", "tests/unit/domain/test_webhook_urls.py"
_SURFACES, _SIZES = "tests/unit/api/test_settings_and_health.py", "tests/unit/api/test_size_limits.py"
_HIDING, _SIGNER = "tests/unit/service/erasures/test_hiding.py", "tests/unit/adapters/test_aws_signer.py"
_EMBEDDER, _PREPARE = "tests/embedder/test_http.py", "tests/embedder/test_prepare.py"
_EMULATOR = "tests/emulator/test_hosts.py"


def _webhooks(name: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(f"webhooks: {name}", file, old, new, tests)


def _hidden(name: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(f"erased: {name}", "service/access/hiding_ledger.py", old, new, (_HIDING, *tests))


_WEBHOOKS = (
    _webhooks(
        "private IPv4 is public",
        "adapters/public_addresses.py",
        "return not any(ip in block for block in _PRIVATE_4)",
        "return True",
        _ADDRESSES,
    ),
    _webhooks(
        "all of IPv6 is public",
        "adapters/public_addresses.py",
        "return ip in _PUBLIC_6 and not any(ip in block for block in _PRIVATE_6)",
        "return True",
        _ADDRESSES,
    ),
    _webhooks(
        "IPv4 in IPv6 is not looked at",
        "adapters/public_addresses.py",
        "any(ip in block for block in _CARRIERS_OF_4):",
        "not _CARRIERS_OF_4:",
        _ADDRESSES,
    ),
    _webhooks(
        "one public address is enough",
        "adapters/webhook_http.py",
        "not all(map(is_public, addresses))",
        "not any(map(is_public, addresses))",
        _SENDER,
    ),
    _webhooks(
        "the name is looked up again",
        "adapters/webhook_http.py",
        "connect_tcp(addresses[0], port,",
        "connect_tcp(host, port,",
        _SENDER,
    ),
    _webhooks(
        "one tenant takes all workers",
        "service/webhooks/turns.py",
        "if self._serving[group.tenant] < self._most]",
        "]",
        _FAIR,
    ),
    _webhooks(
        "tenants do not take turns",
        "service/webhooks/turns.py",
        "group = min(allowed, key=lambda one: (self._serving[one.tenant], self._begun[one.tenant]))",
        "group = allowed[0]",
        _FAIR,
    ),
    _webhooks(
        "an odd address ends the run",
        "service/webhooks/delivery.py",
        'return Attempt(now, None, f"it could not be sent ({type(error).__name__})")',
        "raise",
        _FAIR,
    ),
    _webhooks(
        "a webhook that fails is asked with all it has",
        "service/webhooks/delivery.py",
        "if webhook.is_active and webhook.waits(self._clock.now()):",
        "if False:",
        _FAIR,
    ),
    _webhooks("port 0 is registered", "domain/webhook_urls.py", "if port == 0:", "if False:", _URLS),
    _webhooks(
        "a label of any length is registered",
        "domain/webhook_urls.py",
        "if len(label) > _MAX_LABEL:",
        "if False:",
        _URLS,
    ),
    _webhooks(
        "nothing delivers them under uvicorn",
        "runtime/background_work.py",
        'works = [RepeatedWork("sweep", sweep, MINUTE_S), RepeatedWork("webhooks", deliver, MINUTE_S)]',
        'works = [RepeatedWork("sweep", sweep, MINUTE_S)]',
        "tests/unit/test_asgi.py",
    ),
)

_SURFACE = (
    Mutation("bodies: any number of values", "api/value_count.py", "if left < 0:", "if False:", (_SIZES,)),
    Mutation("bodies: garbage is looked for while they are read", "api/value_count.py", "gc.disable()", "", (_SIZES,)),
    Mutation("bodies: any number of values at /mcp", "api/mcp/server.py", "_check_values(body)", "pass", (_SIZES,)),
    Mutation(
        "requests: a limited key gets the job of another's Idempotency-Key",
        "service/access/idempotency.py",
        "if limits is None else",
        "if True else",
        ("tests/unit/api/test_idempotency.py", "-k", "limited_key_never"),
    ),
    Mutation(
        "metadata: updates let it grow",
        "domain/metadata.py",
        "if size > most and size > before:",
        "if False:",
        ("tests/unit/service/writing/test_change.py",),
    ),
    Mutation(
        "schema exports: any number of steps",
        "service/transfer/schema_shape.py",
        "if self._left < 0:",
        "if False:",
        ("tests/unit/service/transfer/test_schema_shape.py", "-k", "busy and long"),
    ),
    Mutation(
        "health: every question is a check",
        "service/health.py",
        "if time.monotonic() - self._checked_at >= self._kept_s:",
        "if True:",
        ("tests/unit/service/test_health.py",),
    ),
    Mutation(
        "health: parts are named to everybody",
        "api/selfhosted/routes/health.py",
        "if caller.operator:",
        "if True:",
        (_SURFACES, "-k", "health"),
    ),
    Mutation(
        "docs: scripts may run",
        "api/docs_page.py",
        "default-src 'none'; style-src",
        "default-src *; style-src",
        (_SURFACES, "-k", "documentation"),
    ),
    Mutation(
        "docs: cannot be switched off",
        "api/app.py",
        "    if docs:\n        shown",
        "    if True:\n        shown",
        (_SURFACES, "-k", "documentation"),
    ),
    Mutation(
        "answers: caches may keep them",
        "api/request_middleware.py",
        '_PRIVATE = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))',
        "_PRIVATE = ()",
        ("tests/unit/api/test_errors.py",),
    ),
    Mutation(
        "settings: credentials in URLs are shown",
        "runtime/settings.py",
        'value = _USERINFO.sub(r"\\1[redacted]@", value)',
        "",
        ("tests/unit/test_settings.py", "-k", "of_urls"),
    ),
    Mutation(
        "settings: queries of URLs are shown",
        "runtime/settings.py",
        'return _URL_QUERY.sub(r"\\1[redacted]", value)',
        "return value",
        ("tests/unit/test_settings.py", "-k", "of_urls"),
    ),
    Mutation(
        "filters: any number of nodes", "api/size_limits.py", "if nodes > limits.filter_nodes:", "if False:", (_SIZES,)
    ),
    Mutation(
        "exports: whoever knows an id reads one",
        "service/transfer/schema_export.py",
        "        check_reader(where)\n",
        "",
        ("tests/unit/api/platform/test_whole_tenant.py", "tests/unit/api/platform/test_documents.py"),
    ),
    Mutation(
        "filters: a list looks on whatever its filter costs",
        "service/pages.py",
        "or (spent > 0 and source.exhausted())",
        "",
        ("tests/unit/service/reading/test_pages.py", "-k", "costly"),
    ),
    Mutation(
        "filters: a search looks on whatever its filter costs",
        "service/reading/search.py",
        "if matches.exhausted:",
        "if False:",
        ("tests/unit/service/reading/test_search.py", "-k", "too_much_work"),
    ),
    Mutation(
        "filters: any number of conditions on metadata goes to Milvus",
        "adapters/index_milvus/compiler.py",
        "and self.metadata <= MAX_METADATA_CONDITIONS",
        "",
        ("tests/unit/adapters/test_filter_compiler.py",),
    ),
    Mutation(
        "filters: OR and NOT read a whole tenant",
        "api/named_entities.py",
        "if not caller.admin and not pins_an_entity(where):",
        "if not caller.admin and not note_entities(where):",
        ("tests/unit/api/platform/test_whole_tenant.py",),
    ),
    Mutation(
        "events and feedback of everybody are for every key",
        "api/named_entities.py",
        "if not caller.admin and caller.key_limits is None:",
        "if False:",
        ("tests/unit/api/platform/test_whole_tenant.py", "-k", "events"),
    ),
    Mutation(
        "events of a scope: of any other too",
        "service/reading/job_lists.py",
        "return all(ids.get(name) in spellings(value) for name, value in self.ids)",
        "return True",
        ("tests/unit/api/platform/test_whole_tenant.py", "-k", "events or bulk"),
    ),
    Mutation(
        "keys: a misspelt limit is ignored",
        "api/selfhosted/wire.py",
        'model_config = ConfigDict(extra="forbid")\n\n    label:',
        "label:",
        ("tests/unit/api/test_keys.py", "-k", "no_key"),
    ),
    Mutation(
        "settings: secrets in JSON are shown",
        "runtime/settings.py",
        "value = _SECRET_VALUE.sub(r'\\1\"[redacted]\"', value)",
        "pass",
        ("tests/unit/test_settings.py", "-k", "secrets"),
    ),
    Mutation(
        "an export obeys control characters",
        "cli/transfer.py",
        "printable_json(decoder.decode(portion))",
        "decoder.decode(portion)",
        ("tests/unit/cli/test_text.py", "-k", "standard_output"),
    ),
    Mutation(
        "audit: batches name no memories",
        "api/platform/routes/memories.py",
        'return note_id("memory_id", memory_id)',
        "return memory_id",
        ("tests/unit/api/test_audit.py", "-k", "without_a_trace"),
    ),
    Mutation(
        "audit: each refusal is an entry",
        "service/access/audit.py",
        "if (both := held.takes(entry)) is not None:",
        "if (both := held.takes(entry)) is not None and False:",
        ("tests/unit/api/test_audit.py", "-k", "equal_refusals"),
    ),
)

_ERASED = (
    _hidden(
        "reads show it",
        "return {id_: one.blanked(deleted=True) if markers.cover(one) else one for id_, one in found.items()}",
        "return found",
        "-k",
        "get_list or covered",
    ),
    _hidden(
        "histories show it",
        "return [] if markers is not None and events and markers.cover(events[-1].memory) else events",
        "return events",
        "-k",
        "get_list",
    ),
    _hidden(
        "portions of histories show it",
        "return ([], False) if markers is not None and markers.cover(events[-1].memory) else (events, more)",
        "return events, more",
        "-k",
        "get_list",
    ),
    _hidden(
        "portions of memories show it",
        "return self._all_as_shown(found, self._judging(tenant, found, beside)), looked",
        "return found, looked",
        "-k",
        "get_list",
    ),
    _hidden(
        "lists show it",
        "hidden = [markers.cover(memory) for memory in page.items]",
        "hidden = [False for _ in page.items]",
    ),
    Mutation(
        "erased: answers that only read are stored",
        "api/routing.py",
        'return self.method == "GET" or self.harmless or self.role is Role.READ',
        'return self.method == "GET" or self.harmless',
        ("tests/unit/api/test_idempotency.py", "-k", "only_reads"),
    ),
    Mutation(
        "erased: what was accepted before it is stored after it",
        "adapters/ledger_sqlite/erasures.py",
        "if any(judge.refuses(thing) for thing in new):",
        "if False:",
        ("tests/contract/ledger/test_erasures.py", "-k", "sqlite and accepted_before"),
    ),
    Mutation(
        "erased: a covered memory is changed",
        "adapters/ledger_sqlite/erasures.py",
        "if held is not None and judge.hides(held):",
        "if False:",
        ("tests/contract/ledger/test_erasures.py", "-k", "sqlite and cannot_be_changed"),
    ),
    Mutation(
        "erased: work goes on with what was deleted",
        "adapters/ledger_sqlite/erasures.py",
        "if memory is None or memory.deleted or judge.hides(memory):",
        "if False:",
        ("tests/contract/ledger/test_erasures.py", "-k", "sqlite and has_seen"),
    ),
    Mutation(
        "erased: freed pages are not overwritten",
        "adapters/ledger_sqlite/connections.py",
        'raw.execute("PRAGMA secure_delete = ON")',
        'raw.execute("PRAGMA secure_delete = OFF")',
        ("tests/contract/ledger/test_sqlite.py", "tests/contract/ledger/test_sqlite_scrub.py"),
    ),
    Mutation(
        "erased: a request does not wait until the log of the ledger is empty",
        "service/jobs/removal.py",
        "Progress(None if scrubbed else {_SCRUB: True}, removed, removed)",
        "Progress(None, removed, removed)",
        ("tests/unit/service/jobs/test_delete_matching.py",),
    ),
    Mutation(
        "erased: an earlier version that a moment needs is shown",
        "service/access/hiding_ledger.py",
        "return {key: memory for key, memory in found.items() if not markers.cover(memory)}",
        "return found",
        (_HIDING,),
    ),
    Mutation(
        "erased: nothing is noted outside the ledger",
        "service/jobs/erasure_logbook.py",
        "self._log.write(logged(self._log.key(), self._incarnation, erasure))",
        "pass",
        ("tests/unit/service/erasures/test_erasure_logbook.py",),
    ),
    Mutation(
        "erased: an import brings it back",
        "service/transfer/erased_lines.py",
        'return b"" if markers.cover(read.memory) else line',
        "return line",
        ("tests/unit/cli/test_import_erasures.py",),
    ),
    Mutation(
        "erased: Milvus Lite's free pages keep it",
        "milvus/compaction.py",
        'db.execute("VACUUM")',
        "pass",
        ("tests/contract/index/test_compaction.py",),
        package="local",
    ),
)

_SUPPLY = (
    Mutation(
        "embedder: requests are not signed",
        "adapters/http_client.py",
        "if self.sign is not None:",
        "if False:",
        (_SIGNER,),
    ),
    Mutation(
        "embedder: the key is not sent beside the signature",
        "adapters/http_client.py",
        'headers["x-api-key"] = api_key',
        "pass",
        (_SIGNER, "-k", "key"),
    ),
    Mutation(
        "embedder: any key",
        "http/app.py",
        "if not hmac.compare_digest(given.strip(), self._key):",
        "if False:",
        (_EMBEDDER, "-k", "with_a_key"),
        package="embedder",
    ),
    Mutation(
        "embedder: any Host",
        "http/app.py",
        'if not allowed_host(self._service.settings, headers.get(b"host", b"")):',
        "if False:",
        (_EMBEDDER, "-k", "loopback"),
        package="embedder",
    ),
    Mutation(
        "embedder: the ARN is the key",
        "aws_secret.py",
        "if found is None:",
        "if True:",
        ("tests/embedder/test_lambda.py", "-k", "secret"),
        package="embedder",
    ),
    Mutation(
        "models: an altered file is served",
        "manifest.py",
        "if file_sha256(path) != expected:",
        "if False:",
        (_PREPARE, "-k", "cut_file"),
        package="embedder",
    ),
    Mutation(
        "models: an altered manifest is served",
        "manifest.py",
        'errors="replace") != _digest_line(content):',
        'errors="replace") == "":',
        (_PREPARE, "-k", "altered_manifest"),
        package="embedder",
    ),
    Mutation(
        "models: another tokenizer than published is prepared",
        "sources.py",
        "if not (folder / name).is_file() or file_sha256(folder / name) != expected:",
        "if False:",
        (_PREPARE, "-k", "another_tokenizer"),
        package="embedder",
    ),
    Mutation(
        "models: other weights than published are prepared",
        "sources.py",
        "if not weights.is_file() or file_sha256(weights) != model.weights_sha256:",
        "if False:",
        (_PREPARE, "-k", "other_weights"),
        package="embedder",
    ),
    Mutation(
        "emulator: any Host",
        "emulator/hosts.py",
        "return address.is_loopback or",
        "return True or",
        (_EMULATOR, "-k", "only_this_machine"),
        package="local",
    ),
    Mutation(
        "emulator: anybody uses the queue",
        "emulator/hosts.py",
        "if not hmac.compare_digest(given, self._token):",
        "if False:",
        (_EMULATOR, "-k", "token"),
        package="local",
    ),
    Mutation(
        "files: others may read them",
        "private_files.py",
        "os.umask(0o077)",
        "os.umask(0o022)",
        ("tests/up/test_stores.py", "-k", "owners_alone"),
        package="local",
    ),
    Mutation(
        "make up: the key is written into logs",
        "up/up.py",
        'shown = key if sys.stdout.isatty() else ""',
        "shown = key",
        ("tests/up/test_settings_and_keys.py", "-k", "on_a_terminal"),
        package="local",
    ),
    Mutation(
        "emulator: queue members of any type",
        "emulator/sqs/members.py",
        "if name in _FITS and not _FITS[name](value):",
        "if False:",
        ("tests/fuzz/test_emulator_faults.py",),
        package="local",
    ),
    Mutation(
        "audit: nothing looked up is well",
        "audit.py",
        "if not any(canary.known.values()):",
        "if False:",
        ("tests/tools/test_audit.py",),
        package="local",
    ),
)

PROTECTIONS = (*_WEBHOOKS, *_SURFACE, *_ERASED, *_SUPPLY)
