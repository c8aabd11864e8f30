"""A webhook that its owner deletes, stops or changes in the middle of a delivery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from forgetless.service.webhooks.delivery import DeliveryReport
from tests.unit.service.webhooks.post import Post, make
from tests.unit.service.world import World


@pytest.fixture
def post(world: World) -> Post:
    return make(world)


def while_it_sends(post: Post, change: Callable[[], Any]) -> None:
    """Let the owner do this while the first event of a delivery is sent."""
    sent = post.receiver.send

    def changed(url: str, **rest: Any) -> int:
        post.receiver.send = sent  # type: ignore[method-assign]
        change()
        return sent(url, **rest)

    post.receiver.send = changed  # type: ignore[method-assign]


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "not active"])
def test_a_webhook_that_goes_in_the_middle_of_a_delivery_receives_nothing_more(post: Post, *, deleted: bool) -> None:
    post.hook()
    post.world.say("one", "two", "three")
    if deleted:
        while_it_sends(post, lambda: post.world.services.webhooks.delete("default", "wh"))
    else:
        while_it_sends(post, lambda: post.world.services.webhooks.update("default", "wh", {"is_active": False}))
    assert post.run() == DeliveryReport(0, 0, 1)
    assert post.receiver.told() == [("ADD", "one")]
    assert [delivery.state for delivery in post.log()] == ([] if deleted else ["failed"])
    assert post.run(after=200).delivered == 0
    assert len(post.receiver.got) == 1


def test_a_webhook_that_changes_in_the_middle_of_a_delivery_receives_the_rest_as_it_is_then(post: Post) -> None:
    post.hook()
    post.world.say("one", "two", "three")
    new = {"url": "https://example.com/new"}
    while_it_sends(post, lambda: post.world.services.webhooks.update("default", "wh", new))
    assert post.run() == DeliveryReport(1, 0, 0)
    assert [url.rpartition("/")[2] for url, _, _ in post.receiver.got] == ["hook", "new", "new"]
