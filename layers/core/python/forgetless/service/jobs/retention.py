"""Retention: what sweep removes when its time is over, and the last copies of what was erased."""

from __future__ import annotations

import logging

from forgetless.ports.ledger import Maintenance

__all__ = ["scrub"]

_logger = logging.getLogger(__name__)


def scrub(ledger: Maintenance) -> bool:
    """Remove the last copies of erased text from the ledger's files; False, with a warning, if that was not possible.

    Sweep does this first, so that it happens within a minute of a deletion.
    """
    done = ledger.scrub_erased()
    if not done:
        _logger.warning("erased text is still in the ledger's log, because it is being read")
    return done
