"""The command line over one SQLite ledger, with the index in memory and a fake embedder instead of servers."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from forgetless.adapters.ledger_sqlite import SqliteLedger
from forgetless.cli.__main__ import main
from forgetless.domain.generations import Generation
from forgetless.domain.memory import Memory
from forgetless.domain.recipe import RECIPE_VERSION
from forgetless.domain.scope import Scope
from forgetless.runtime import composition
from forgetless.runtime.settings import Settings, load_settings
from forgetless.service.requests import AddRequest, IncomingMessage
from forgetless.service.stores import check, start
from tests.fakes.embedder import FakeEmbedder
from tests.fakes.index import MemoryIndex

__all__ = ["StoreHouse"]


class StoreHouse:
    """Ledger, index and marker, as they lie on one machine."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = folder / "state" / "ledger.db"
        self.marker = folder / "state" / "milvus" / "collection"
        self.index = MemoryIndex()
        self._capsys = capsys
        monkeypatch.setenv("FORGETLESS_LEDGER_PATH", str(self.path))
        embedder = FakeEmbedder()
        monkeypatch.setattr(composition, "build_index", self._index_of)
        for patient in (check, start):
            monkeypatch.setattr(patient, "_PAUSE_S", 0.0)
        monkeypatch.setattr(composition, "build_embedder", lambda *_: embedder)

    def _index_of(self, _: Settings, generation: Generation | None = None) -> MemoryIndex:
        """One index for all models. No earlier recipe has any."""
        earlier = generation is not None and generation.recipe < RECIPE_VERSION
        return MemoryIndex() if earlier else self.index

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        code = main(arguments)
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def check(self, *arguments: str) -> tuple[int, str, str]:
        return self.run("check", "--marker", str(self.marker), *arguments)

    def start(self, *arguments: str) -> str:
        """The last line of `check --start`, which must not fail."""
        code, out, err = self.check("--start", *arguments)
        assert (code, err) == (0, "")
        return out.splitlines()[-1]

    def reindex(self, *arguments: str) -> tuple[int, str, str]:
        return self.run("reindex", "--marker", str(self.marker), *arguments)

    def say(self, *texts: str, tenant: str = "default", user: str = "ana") -> None:
        messages = tuple(IncomingMessage("user", text) for text in texts)
        with closing(composition.build_services(load_settings())) as services:
            services.add.add(AddRequest(Scope(tenant, user_id=user), messages, infer=False))

    def memories(self, tenant: str = "default") -> list[Memory]:
        with closing(SqliteLedger(self.path)) as ledger:
            return list(ledger.list_memories(tenant, {}, limit=1000).items)

    def lose_the_index(self) -> None:
        """As a folder that is gone, with what was noted in it."""
        self.index.drop_all()
        self.marker.unlink(missing_ok=True)
