"""Limits and time budgets that several modules share; those of only one module are in that module.

The times and attempts in `template.yaml` must match these; `tests/unit/test_template.py` compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ADD_BYTES",
    "ANSWER_BYTES",
    "BULK_MARGIN_S",
    "BULK_PORTION_S",
    "CONCURRENT_REQUESTS",
    "EMBEDDED_AT_ONCE",
    "ERASE_IN_REQUEST_S",
    "GUESSES_PER_MINUTE",
    "HISTORIES_AT_ONCE",
    "INT64",
    "JOBS_AT_ONCE",
    "JOB_S",
    "KEYS_AT_ONCE",
    "LEASE_MARGIN_S",
    "LLM_WAITS",
    "MAX_IMPORTED_BYTES",
    "MAX_IMPORTED_CHARS",
    "MAX_IMPORTED_JOB_CHARS",
    "MAX_IMPORTED_MESSAGES",
    "MAX_IMPORTED_RESULTS",
    "MAX_IMPORTED_VALUES",
    "MAX_KEY_LIMITS_BYTES",
    "MAX_MEMORY_ID_BYTES",
    "MAX_METADATA_BYTES",
    "MAX_METADATA_VALUES",
    "MAX_TOP_K",
    "MAX_WORD_CHARS",
    "MOST_ANNOUNCED",
    "MOST_ATTEMPTS",
    "MOST_DELIVERIES",
    "MOST_FILTER_STEPS",
    "MOST_INDEX_RESULTS",
    "MOST_KEYS",
    "MOST_OFFSET",
    "MOST_REFUSALS",
    "MOST_WEBHOOKS",
    "PORTION_BYTES",
    "REQUEST_S",
    "SCANNED_ROWS",
    "SCRUB_PATIENCE_S",
    "TENANT_COPY_S",
    "VERSION_BYTES",
    "VISIBILITY_S",
    "RequestLimits",
]

#: Seconds that a request may wait for an LLM or for its job. The API's functions end after 29 s and the gateway gives
#: up after 30 s, so a few seconds are left to store the result and to answer.
REQUEST_S = 25.0
#: Seconds that a request may remove rows of what it erases. A bulk job removes the rest.
ERASE_IN_REQUEST_S = 0.3
#: How long to wait for readers and writers that are in the way when erased text is to leave a ledger's files.
SCRUB_PATIENCE_S = 2.0
#: How many texts are embedded before it is asked whether there is still time: the most in one request to the embedder.
EMBEDDED_AT_ONCE = 128
#: Seconds that the worker may spend on one job. Its function does one job per invocation and ends after 90 s.
JOB_S = 75.0
#: Seconds that a writer's lease and a job's claim remain valid after the deadline, for the append and the index.
#: Together with JOB_S these are the 90 s of the worker's function, so no worker can write after its lease has ended.
LEASE_MARGIN_S = 15.0
#: A job fails for good after this many attempts. Only the ledger counts them: tries that fail because the LLM or
#: another part is out are none.
MOST_ATTEMPTS = 5
#: How often the queue delivers a message of a job before it becomes a dead letter (`maxReceiveCount`). A job that is
#: held for a day is delivered about 730 times.
MOST_DELIVERIES = 1000
#: The ingest queue's visibility timeout in seconds, which AWS recommends to be at least six times the timeout of the
#: worker's function. The worker sets a shorter one itself.
VISIBILITY_S = 540.0

#: Seconds of one portion of a bulk job, and how long its lease outlasts them, for the last rows and the record.
#: Together they are the 60 s of the worker's function, so no worker can write after its lease has ended.
BULK_PORTION_S = 20.0
BULK_MARGIN_S = 40.0

#: How many unknown keys an address may present to a process in a minute, unless a setting says otherwise.
GUESSES_PER_MINUTE = 60

#: How many requests a server process handles at once; others wait. Two thread pools have this size: the one that runs
#: endpoints, and the one that runs the word search of each request.
CONCURRENT_REQUESTS = 32

#: How many requests of a tenant should wait for the LLM at once, in all environments and processes together, where
#: several tenants share a machine: half of the environments of a function in the emulator (`EmulatorMaxEnvironments`).
LLM_WAITS = 8

#: The most bytes of an answer's body, as Lambda counts them: it sends the body as a JSON string, and that with headers
#: and the rest has at most 6 MB. `api/answer_size.py` counts in this way.
ANSWER_BYTES = 5_500_000
#: The most bytes of a portion of an import. A gateway sends it to its function in base64, so 4/3 of it must stay below
#: the 6 MB of one invocation.
PORTION_BYTES = 4 * 1024 * 1024

#: The most rows that one request for a list looks at besides its page: to fill a page of a selective filter, to count
#: what matches, and to look up the times of entities.
SCANNED_ROWS = 5000
#: The most steps that one request spends on judging memories by its filter: a condition for a memory is one. As many as
#: the most conditions of a filter for the most rows that a list looks at, or a second or two of one core.
MOST_FILTER_STEPS = 2_000_000
#: A page of a list may begin after this many items without a cursor, if the page before it was not asked for.
MOST_OFFSET = 10_000
#: The largest number of memories that a search or list returns, in every dialect.
MAX_TOP_K = 1000
#: Milvus' limit for offset + limit in one query.
MOST_INDEX_RESULTS = 16_384
#: The largest number of webhooks of a tenant.
MOST_WEBHOOKS = 100
#: The largest number of API keys of a tenant that are neither revoked nor expired. Only an operator may make more.
MOST_KEYS = 1000
#: The most bytes of the ids that one key is limited to. Keys of earlier versions may have more.
MAX_KEY_LIMITS_BYTES = 16 * 1024
#: A memory that embedder or index refused this often is set aside: it is not indexed until somebody retries it.
MOST_REFUSALS = 3
#: How many bytes of histories are read, made or removed at once, unless one memory has more.
HISTORIES_AT_ONCE = 4 * 1024 * 1024
#: How many bytes of jobs, or of documents that are due, are read at once, unless one has more.
JOBS_AT_ONCE = 2 * 1024 * 1024
#: How many bytes of API keys are read at once, unless one key has more.
KEYS_AT_ONCE = 1024 * 1024
#: The most bytes of a memory's metadata as JSON.
MAX_METADATA_BYTES = 64 * 1024
#: The most keys and list entries of a memory's metadata: an empty list takes 30 times as much memory as its JSON. What
#: is imported may have more, and longer texts, because earlier versions stored it.
MAX_METADATA_VALUES = 1000
MAX_IMPORTED_CHARS, MAX_IMPORTED_BYTES, MAX_IMPORTED_VALUES = 1_000_000, 1024 * 1024, 25_000
#: The most memories that an imported job names as its results: many times those of 500 messages.
MAX_IMPORTED_RESULTS = 20_000
#: The most characters of a short text: a name, a role, a date, a time.
MAX_WORD_CHARS = 255
#: The most characters and messages of an imported job, all its messages together: more than a body of 6 MB can hold. As
#: many messages may be imported as FORGETLESS_MAX_MESSAGES allows, if that is more.
MAX_IMPORTED_JOB_CHARS, MAX_IMPORTED_MESSAGES = 6 * 1024 * 1024, 10_000
#: What a version of a memory counts as besides its text and its metadata.
VERSION_BYTES = 2000
#: The most bytes of an add's metadata, counted once for each of its messages, and of its facts: each memory stores it,
#: and all of them are stored in one transaction. A batch changes no more text than that.
ADD_BYTES = 8 * 1024 * 1024
#: The most bytes of a memory's id. The index stores other ids as digests, but it must return this one.
MAX_MEMORY_ID_BYTES = 256
#: Seconds for which a process may use what it has read about a tenant (its webhooks) without reading it again.
TENANT_COPY_S = 30.0
#: More memories than this that one call erases, and all that one import adds, are announced to webhooks in one delivery
#: with their scope and number instead of one by one.
MOST_ANNOUNCED = 200
#: The integers that JSON columns in Milvus can store and compare. Others are refused or not indexed.
INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The limits of one request that an operator may set; `FORGETLESS_MAX_…` in `runtime/settings.py`."""

    #: The messages of one add. They are embedded together and stored in one transaction.
    messages: int = 500
    #: The characters of one message, and of the text of a memory. An answer can always hold one such text.
    message_chars: int = 200_000
    #: The characters of the query of a search.
    query_chars: int = 10_000
    #: The keys, groups and list entries of all filters of a request together. Each is judged for each memory.
    filter_nodes: int = 2_000
    #: The memories that a batch changes or deletes.
    batch: int = 1_000
    #: The characters of each text that goes to the LLM as an instruction.
    prompt_chars: int = 20_000
    #: The bytes that the earlier versions of a memory may store before updates of it are refused: each of them stores
    #: the whole text and metadata, however little an update changes.
    history_bytes: int = 32 * 1024 * 1024
