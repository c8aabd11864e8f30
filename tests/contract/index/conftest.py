"""The index under test: in memory, and Milvus Lite behind its real server (one for the session)."""

from __future__ import annotations

import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forgetless.adapters.index_milvus import MilvusIndex
from forgetless.ports.index import Index
from local.milvus import LiteServer
from tests.contract.index.builders import DIMENSIONS
from tests.fakes.index import MemoryIndex


@pytest.fixture(scope="session")
def lite() -> Iterator[LiteServer]:
    if sys.platform == "win32":
        pytest.skip("milvus-lite 2.5.1 has no wheel for Windows")
    # Not pytest's own folder: a unix socket's path ends at 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="fl-"))
    server = LiteServer(folder / "data", folder / "m.sock")
    server.start()
    server.ready()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture
def new_milvus(lite: LiteServer) -> Iterator[Callable[[], MilvusIndex]]:
    """Makes indexes on one fresh collection, as several processes would have them."""
    name = f"c_{uuid.uuid4().hex}"
    made: list[MilvusIndex] = []

    def make() -> MilvusIndex:
        made.append(MilvusIndex(lite.uri, collection=name, dimensions=DIMENSIONS, timeout_s=10))
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
    lite: LiteServer = request.getfixturevalue("lite")
    index = MilvusIndex(lite.uri, collection=f"c_{uuid.uuid4().hex}", dimensions=DIMENSIONS, timeout_s=10)
    yield index
    index.drop_all()
    index.close()


@pytest.fixture(params=["memory", pytest.param("milvus", marks=pytest.mark.slow)])
def index(request: pytest.FixtureRequest) -> Index:
    if request.param == "memory":
        return MemoryIndex(dimensions=DIMENSIONS)
    milvus: MilvusIndex = request.getfixturevalue("milvus")
    return milvus
