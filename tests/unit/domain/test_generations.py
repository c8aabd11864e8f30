"""The record of the generations: its form, and its rules that need no store."""

from __future__ import annotations

from dataclasses import replace

from forgetless.domain.generations import Dropped, Generation, Generations, Phase, collection_of

OLD = Generation("old", 3, 2, 1, collection_of("f", "old", 3, 2, 1), "http://old")
NEW = Generation("a/new-model", 4, 3, 2, collection_of("f", "a/new-model", 4, 3, 2))
AT, LATER = "2026-01-01T00:00:00.000000+00:00", "2026-01-01T00:16:00.000000+00:00"


def test_a_collection_is_named_after_what_makes_it_another_one() -> None:
    assert (OLD.collection, NEW.collection) == ("f_old_3_r2", "f_a_new_model_4_r3_c2")


def test_the_record_comes_back_as_it_was_and_what_a_later_version_added_is_left_out() -> None:
    filling = Generations(OLD, declined="x").filling(NEW, AT, "job", switching=True)
    assert Generations.of(filling.body()) == filling
    switched = replace(filling.switched(AT), dropped=(Dropped(NEW, AT),))
    assert Generations.of(switched.body()) == switched
    body = {**switched.body(), "more": 1, "phase": "something else"}
    body["serving"] = {**body["serving"], "more": 1}
    assert Generations.of(body) == replace(switched, phase=Phase.READY)
    assert Generations.of({"serving": Generations(OLD).body()["serving"]}) == Generations(OLD)


def test_there_are_at_most_two_and_a_dropped_one_is_remembered_until_nobody_can_write_to_it() -> None:
    third = replace(OLD, collection="third")
    filling = Generations(OLD).filling(NEW, AT, "job", switching=False)
    again = filling.filling(third, LATER, "job 2", switching=False)
    assert again.all == (OLD, third)
    assert again.dropped == (Dropped(NEW, LATER),)
    assert not again.dropped[0].is_gone(LATER)
    assert filling.without_other(AT).dropped[0].is_gone(LATER)
    assert again.filling(NEW, LATER, "job 3", switching=False).dropped == (Dropped(third, LATER),)
    assert again.alone(NEW, LATER).dropped == (Dropped(OLD, LATER), Dropped(third, LATER))


def test_one_that_somebody_went_back_from_is_not_lacked() -> None:
    assert Generations(OLD).lacks(NEW.collection)
    assert not Generations(OLD, declined=NEW.collection).lacks(NEW.collection)
    assert not Generations(OLD).filling(NEW, AT, "job", switching=True).lacks(NEW.collection)
