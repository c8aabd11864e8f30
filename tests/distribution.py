"""Which tests one worker of pytest-xdist runs, one after the other: those that share what is dear to start."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

#: Folders of which the files share a running service, and filled ledgers.
_SHARING = ("tests/e2e", "tests/scale")


def unit_of(nodeid: str) -> str:
    """The unit that a test is in: its file, or its folder where files share something.

    xdist's own `--dist loadgroup` sends the tests of a group anywhere since pytest 9.2 (pytest-xdist issue 1386).
    """
    file = nodeid.partition("::")[0]
    folder = file.rpartition("/")[0]
    return folder if folder in _SHARING else file


class UnitScheduling(LoadScopeScheduling):
    """Hands out units in the order of the collection; a worker gets the next when its last one is nearly done."""

    def __init__(self, config: Any, log: Any) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)
