"""A queue server and a runner of stories for the kill tests of one process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.killing import Runner
from tests.faults.stage import queue_server


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("kill")
    with queue_server(folder) as endpoint:
        yield Runner(folder, endpoint)
