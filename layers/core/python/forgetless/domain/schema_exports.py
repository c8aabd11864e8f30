"""Exports to a JSON schema: the kind of the documents that hold their requests, and how long these are kept."""

from __future__ import annotations

from forgetless.domain.retention import DAY_S

__all__ = ["EXPORT", "KEPT_S"]

#: The kind of these documents.
EXPORT = "export"
#: Seconds after which the request of an export is removed.
KEPT_S = 30 * DAY_S
