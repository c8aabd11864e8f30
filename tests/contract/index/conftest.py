"""The index under test: in memory, and Milvus Lite behind its real server (one for the session).

With FORGETLESS_TEST_LITE=3 (`make test-milvus3`) the server is Milvus Lite 3.2.2, the nearest thing to newer servers.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.ports.index import Index
from local.loadtest.scratch_service import newer_lite
from local.milvus import LiteServer
from tests.contract.index.builders import DIMENSIONS
from tests.fakes.index import MemoryIndex

#: Whether the tests run on the newer version.
NEWER = os.environ.get("FORGETLESS_TEST_LITE") == "3"


@contextmanager
def short_folder() -> Iterator[Path]:
    """Not pytest's own folder: a unix socket's path ends at 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="fl-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def lite() -> Iterator[LiteServer]:
    """Our own server with Milvus Lite 2.5.1."""
    if sys.platform == "win32":
        pytest.skip("milvus-lite 2.5.1 has no wheel for Windows")
    with short_folder() as folder:
        server = LiteServer(folder / "data", folder / "m.sock")
        server.start()
        server.ready()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def milvus_uri(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of the Milvus under test."""
    if not NEWER:
        server: LiteServer = request.getfixturevalue("lite")
        yield server.uri
        return
    with short_folder() as folder, newer_lite(folder) as (uri, _):
        yield uri


@pytest.fixture
def new_milvus(milvus_uri: str) -> Iterator[Callable[[], MilvusIndex]]:
    """Makes indexes on one fresh collection, as several processes would have them."""
    name = f"c_{uuid.uuid4().hex}"
    made: list[MilvusIndex] = []

    def make() -> MilvusIndex:
        made.append(MilvusIndex(milvus_uri, collection=name, dimensions=DIMENSIONS, timeout_s=10))
        return made[-1]

    yield make
    make().drop_all()
    for index in made:
        index.close()


@pytest.fixture
def milvus(new_milvus: Callable[[], MilvusIndex]) -> MilvusIndex:
    return new_milvus()


@pytest.fixture(scope="module", params=["memory", pytest.param("milvus", marks=pytest.mark.slow)])
def shared_index(request: pytest.FixtureRequest) -> Iterator[Index]:
    """One index for all cases of a module that stay out of each other's way: a new collection takes half a second."""
    if request.param == "memory":
        yield MemoryIndex(dimensions=DIMENSIONS)
        return
    uri = request.getfixturevalue("milvus_uri")
    index = MilvusIndex(uri, collection=f"c_{uuid.uuid4().hex}", dimensions=DIMENSIONS, timeout_s=10)
    yield index
    index.drop_all()
    index.close()


@pytest.fixture(params=["memory", pytest.param("milvus", marks=pytest.mark.slow)])
def index(request: pytest.FixtureRequest) -> Index:
    if request.param == "memory":
        return MemoryIndex(dimensions=DIMENSIONS)
    milvus: MilvusIndex = request.getfixturevalue("milvus")
    return milvus
