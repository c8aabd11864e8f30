"""Which ids a ledger knows: what an erasure covers is deleted, and what is beyond a key's limits is unknown."""

from __future__ import annotations

from forgetless.domain.erasures import Target
from forgetless.domain.key_limits import KeyLimits
from forgetless.domain.scope import Scope
from forgetless.service.access.hiding_ledger import HidingLedger
from forgetless.service.access.limited_ledger import LimitedLedger
from tests.unit.service.world import World

BOB = Scope("default", user_id="bob")


def said(world: World) -> tuple[str, str]:
    """A memory of Alice's, and one of Bob's."""
    (alices,), (bobs,) = world.say("alice likes tea").results, world.say("bob likes tea", scope=BOB).results
    return alices.id, bobs.id


def test_what_an_erasure_covers_is_deleted(world: World) -> None:
    ids = said(world)
    ledger = HidingLedger(world.ledger)
    assert ledger.known_ids("default", [*ids, "unknown"]) == dict.fromkeys(ids, False)
    world.ledger.begin_erasure("default", [Target({"user_id": "alice"})], at=world.clock.now())
    assert world.ledger.known_ids("default", ids) == dict.fromkeys(ids, False), "its rows are still there"
    assert ledger.known_ids("default", [*ids, "unknown"]) == {ids[0]: True, ids[1]: False}


def test_a_limited_key_knows_only_what_it_may_read(world: World) -> None:
    ids = said(world)
    ledger = LimitedLedger(world.ledger, KeyLimits(users=("alice",)))
    assert ledger.known_ids("default", [*ids, "unknown"]) == {ids[0]: False}
