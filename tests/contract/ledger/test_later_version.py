"""Bodies written by a later version of Forgetless: fields that this version does not know are ignored."""

from __future__ import annotations

from forgetless.adapters.ledger_codec import dump, dump_memory, load, load_memory
from tests.contract.ledger.making import a_memory


def test_a_field_of_a_later_version_does_not_hide_the_memory() -> None:
    memory = a_memory("a", metadata={"n": 1}, event_id="e")
    body = dump({**load(dump_memory(memory)), "mood": "later", "context": []})
    assert load_memory(memory.scope.tenant, body) == memory
