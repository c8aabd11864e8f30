"""Tenants: which one operates the deployment, and what a deletion leaves for a tenant of the same name."""

from __future__ import annotations

__all__ = ["LAST_NUMBERS", "LATE_S", "OPERATOR"]

#: The tenant of those who operate the deployment: it is the default of every command line call.
OPERATOR = "default"
#: How long after a tenant was closed something may still be written that did not know it: a process accepts a key for
#: 30 s without a look, and a request of it lives for 15 minutes at most, Lambda's limit.
LATE_S = 930.0
#: The document, which belongs to no tenant, with the highest number of an erasure in any tenant that was deleted. A
#: tenant begins above it, so that no line of the log of erasures about an earlier tenant of its name concerns it.
LAST_NUMBERS = ("", "deleted-tenants", "numbers")
