"""Generates operations: each client draws its next request at random, about memories that others also use."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from tests.histories.client import Client
from tests.histories.shared_knowledge import SharedKnowledge

__all__ = ["OperationGenerator"]

#: How often each operation is chosen in relation to the others.
_WEIGHTS = {
    "verbatim": 10.0,
    "inferred": 7.0,
    "superseding": 6.0,
    "update": 26.0,
    "delete": 5.0,
    "delete_scope": 1.0,
    "delete_run": 0.5,
    "reset": 0.2,
    "delete_matching": 1.0,
    "get": 16.0,
    "list": 9.0,
    "search": 12.0,
    "history": 5.0,
    "export": 1.0,
}


class OperationGenerator:
    """The generator of one client. Each method but `one` sends one kind of request, if a memory for it exists."""

    def __init__(self, client: Client, knowledge: SharedKnowledge, chance: random.Random) -> None:
        self._client = client
        self._knowledge = knowledge
        self._chance = chance

    def one(self) -> None:
        """Send one random request."""
        (name,) = self._chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        act: Callable[[], None] = getattr(self, name)
        act()

    def verbatim(self) -> None:
        scope = self._scope()
        if not self._made_room(scope):
            self._client.add(scope, infer=False)

    def inferred(self) -> None:
        scope = self._scope()
        if not self._made_room(scope):
            self._client.add(scope, infer=True)

    def superseding(self) -> None:
        if known := self._knowledge.pick(self._chance):
            self._client.add(known.scope, infer=True, replacing=known.word)

    def update(self) -> None:
        if known := self._knowledge.pick(self._chance):
            version = known.version if self._chance.random() < 0.3 else None
            self._client.update(known.id, known.scope, version)

    def delete(self) -> None:
        if known := self._knowledge.pick(self._chance):
            self._client.delete(known.id)

    def delete_scope(self) -> None:
        self._client.delete_scope(self._scope())

    def delete_run(self) -> None:
        runs = [{"run_id": scope["run_id"]} for scope in self._knowledge.scopes if "run_id" in scope]
        self._client.delete_scope(self._chance.choice(runs))

    def reset(self) -> None:
        self._client.delete_scope({})

    def delete_matching(self) -> None:
        self._client.delete_matching(self._scope())

    def get(self) -> None:
        if known := self._knowledge.pick(self._chance):
            self._client.get(known.id)

    def list(self) -> None:
        self._client.list(self._scope())

    def search(self) -> None:
        if found := self._knowledge.word(self._chance):
            self._client.search(*found)

    def history(self) -> None:
        if known := self._knowledge.pick(self._chance):
            self._client.history(known.id)

    def export(self) -> None:
        self._client.export()

    def _scope(self) -> Mapping[str, str]:
        return self._chance.choice(self._knowledge.scopes)

    def _made_room(self, scope: Mapping[str, str]) -> bool:
        """If the scope is full, delete something instead; return whether it was full."""
        if not self._knowledge.is_full(scope):
            return False
        known = self._knowledge.pick(self._chance, scope)
        if known is None or self._chance.random() < 0.5:
            self._client.delete_scope(scope)
        else:
            self._client.delete(known.id)
        return True
