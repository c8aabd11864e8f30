"""Limits and time budgets that several modules share; what belongs to one module alone stands there.

`template.yaml` must agree with the times and attempts here; `tests/unit/test_template.py` compares them.
"""

from __future__ import annotations

__all__ = [
    "CONCURRENT_REQUESTS",
    "INT64",
    "JOB_S",
    "LEASE_MARGIN_S",
    "MAX_TOP_K",
    "MOST_ATTEMPTS",
    "MOST_INDEX_RESULTS",
    "MOST_WEBHOOKS",
    "REQUEST_S",
    "TRIES_APART_S",
]

#: What a request may spend waiting for an LLM or for its job. The API's functions end after 29 s and the gateway gives
#: up after 30 s, so that a few seconds are left to store the outcome and to answer.
REQUEST_S = 25.0
#: What a queue's worker may spend on one job. Its function does one job in an invocation and ends after 90 s.
JOB_S = 75.0
#: How long after its deadline a writer's lease and a job's claim still hold, for the append and the index. With JOB_S
#: it makes the 90 s of the worker's function: when the lease ends, no worker is left that could write under it.
LEASE_MARGIN_S = 15.0
#: A job that failed this often is given up. The queue gives up its message as often (`maxReceiveCount`).
MOST_ATTEMPTS = 5
#: Seconds from a try that failed to the next one: the queue's visibility timeout, which AWS wants to be at least six
#: times the worker's.
TRIES_APART_S = 540.0

#: Requests that one server process works on at once; more wait. It is the size of both pools of threads: the one that
#: runs endpoints, and the one for the word search beside each of them.
CONCURRENT_REQUESTS = 32

#: The most memories that a search or list returns, in every dialect.
MAX_TOP_K = 1000
#: Milvus returns no row beyond this one in a single query (offset + limit).
MOST_INDEX_RESULTS = 16_384
#: Webhooks of a tenant. Every change of a memory reads all of them, so registering stops where reading does.
MOST_WEBHOOKS = 100
#: Whole numbers that JSON columns of Milvus can hold and compare. Larger ones are refused or not indexed.
INT64 = range(-(2**63), 2**63)
