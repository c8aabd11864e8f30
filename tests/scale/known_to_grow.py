"""What still costs more in a larger ledger, each with what will mend it.

A line here is a test that must fail: once somebody mends one, the suite demands that the line goes.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["KNOWN_TO_GROW"]

#: By the name of the case, as the test's own name has it.
KNOWN_TO_GROW: Mapping[str, str] = {}
