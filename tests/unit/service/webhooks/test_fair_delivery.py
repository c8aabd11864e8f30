"""A tenant whose receivers hang, fail or have much to get delays its own deliveries and nobody else's."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping

import pytest

from forgetless.adapters.webhook_http import HttpWebhookSender
from forgetless.domain.documents import Document
from forgetless.domain.scope import Scope
from forgetless.domain.webhook_deliveries import DELIVERY, RETRY_DELAYS_S
from forgetless.service.webhooks.delivery import TENANT_PORTION, TENANT_WORKERS, WORKERS, DeliveryReport
from forgetless.service.webhooks.turns import Turns
from tests.unit.servers import Answer, serve
from tests.unit.service.webhooks.post import Post, Receiver, make
from tests.unit.service.world import World

NOISY = Scope("noisy", user_id="u")
QUIET = Scope("quiet", user_id="u")


@pytest.fixture
def post(world: World) -> Post:
    return make(world)


def sent(post: Post) -> Counter[str]:
    """How often each address was tried."""
    return Counter(url for url, _, _ in post.receiver.got)


class Hanging:
    """A sender: noisy receivers hang until the quiet one has got everything."""

    def __init__(self, expected: int) -> None:
        self.quiet_is_done = threading.Event()
        self.tried: Counter[str] = Counter()
        self.hanging = self.most_hanging = 0
        self._expected = expected
        self._lock = threading.Lock()

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes, deadline_s: float) -> int:
        quiet = "quiet" in url
        with self._lock:
            self.tried[url] += 1
            self.hanging += not quiet
            self.most_hanging = max(self.most_hanging, self.hanging)
            if quiet and self.tried[url] == self._expected:
                self.quiet_is_done.set()
        if quiet:
            return 200
        assert self.quiet_is_done.wait(60), "the quiet tenant waits for the noisy one"
        with self._lock:
            self.hanging -= 1
        raise TimeoutError("no answer in time")


def test_the_deliveries_of_others_arrive_while_receivers_of_a_tenant_hang(world: World) -> None:
    sender = Hanging(expected=3)
    post = make(world, sender)
    for number in range(20):
        post.hook(f"hook-{number}", url=f"https://noisy.example/{number}", tenant="noisy")
    for number in range(4):
        world.say(f"noise {number}", scope=NOISY)
    post.hook(url="https://quiet.example/", tenant="quiet")
    for number in range(3):
        world.say(f"news {number}", scope=QUIET)
    assert post.run() == DeliveryReport(3, 20, 0)
    assert sender.most_hanging <= TENANT_WORKERS < WORKERS
    assert set(sender.tried.values()) == {1, 3}  # each that hangs was tried once, though each has four deliveries


def test_hanging_receivers_over_http_hold_up_nobody_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_write: Callable[[bytes], None], stopping: threading.Event) -> None:
        stopping.wait(60)

    monkeypatch.setattr("forgetless.service.webhooks.delivery.SEND_S", 0.3)
    post = make(world, HttpWebhookSender(allow_private=True))
    with serve(lambda _: Answer(drip=hang)) as noisy, serve(lambda _: Answer()) as quiet:
        for number in range(6):
            post.hook(f"hook-{number}", url=f"{noisy.url}/{number}", tenant="noisy")
        for number in range(10):
            world.say(f"noise {number}", scope=NOISY)
        post.hook(url=quiet.url, tenant="quiet")
        world.say("news", scope=QUIET)
        assert post.run() == DeliveryReport(1, 6, 0)
        assert len(quiet.requests) == 1
        assert Counter(request.path for request in noisy.requests) == {f"/{number}": 1 for number in range(6)}


class Gated(Receiver):
    """A noisy tenant's eleventh delivery does not arrive before the quiet one's first."""

    def __init__(self) -> None:
        super().__init__()
        self.quiet_has_come = threading.Event()

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes, deadline_s: float) -> int:
        if "quiet" in url:
            self.quiet_has_come.set()
        elif len(self.got) >= 10:
            assert self.quiet_has_come.wait(60), "the quiet tenant waits for the noisy one"
        return super().send(url, headers=headers, body=body, deadline_s=deadline_s)


def test_a_backlog_of_one_tenant_is_not_sent_before_what_others_have(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetless.service.webhooks.delivery.PORTION", 20)
    monkeypatch.setattr("forgetless.service.webhooks.delivery.TENANT_PORTION", 10)
    post = make(world, Gated())
    post.hook(url="https://noisy.example/", tenant="noisy")
    for number in range(50):
        world.say(f"noise {number}", scope=NOISY)
    post.hook(url="https://quiet.example/", tenant="quiet")
    world.say("news", scope=QUIET)
    assert post.run() == DeliveryReport(51, 0, 0)


def test_a_webhook_that_failed_is_tried_with_one_delivery_a_time_and_never_before_its_time(post: Post) -> None:
    post.hook(url="https://bad.example/")
    post.receiver.answers = [500] * 99
    for number in range(10):
        post.world.say(f"memory {number}")
    post.run()
    for attempts, delay in enumerate(RETRY_DELAYS_S[:4], start=1):
        post.run(after=delay - 2)
        post.world.say("more")  # a new delivery is no reason to try earlier, nor is that its second is not over
        post.run()
        assert (sum(sent(post).values()), post.held().failures) == (attempts, attempts)
        post.run(after=2)
        assert (sum(sent(post).values()), post.held().failures) == (attempts + 1, attempts + 1)


def test_when_it_answers_again_everything_arrives_and_its_record_is_clean(post: Post) -> None:
    post.hook()
    post.receiver.answers = [500]
    for number in range(TENANT_PORTION + 5):
        post.world.say(f"memory {number}")
    assert post.run() == DeliveryReport(0, 1, 0)
    assert post.run(after=61) == DeliveryReport(TENANT_PORTION + 5, 0, 0)
    assert (post.held().failing_since, post.held().failures, post.held().retry_at) == (None, 0, None)


def test_whatever_goes_wrong_with_an_address_is_a_failed_attempt_of_that_webhook_alone(post: Post) -> None:
    send = post.receiver.send

    def odd(url: str, **rest: object) -> int:
        if "odd" in url:
            raise TypeError("url strings may not include unicode characters: https://odd.example/secret-token")
        return send(url, **rest)  # type: ignore[arg-type]

    post.receiver.send = odd  # type: ignore[method-assign]
    for number in range(12):
        post.hook(f"odd-{number}", url=f"https://odd.example/{number}", tenant="noisy")
    for number in range(26):
        post.world.say(f"noise {number}", scope=NOISY)
    post.hook("well", url="https://well.example/", tenant="noisy")
    post.hook(url="https://quiet.example/", tenant="quiet")
    post.world.say("noise", scope=NOISY)
    post.world.say("news", scope=QUIET)
    assert post.run() == DeliveryReport(2, 12, 0)
    assert sent(post) == {"https://quiet.example/": 1, "https://well.example/": 1}
    errors = {one.error for delivery in post.log("odd-0", tenant="noisy") for one in delivery.attempts}
    assert errors == {"it could not be sent (TypeError)"}


def test_an_error_of_our_own_is_raised_after_all_others_were_served(post: Post) -> None:
    post.hook()
    broken = Document("noisy", DELIVERY, "broken", {"webhook_id": "wh"}, post.world.clock.now(), due_at="2025")
    assert post.world.ledger.put_document(broken)
    post.world.say("I like tea.")
    with pytest.raises(KeyError):
        post.run()
    assert post.receiver.told() == [("ADD", "I like tea.")]


def test_an_owner_who_changes_the_address_has_it_tried_at_once(post: Post) -> None:
    post.hook(url="https://bad.example/")
    post.receiver.answers = [500]
    post.world.say("one")
    post.run()
    post.world.services.webhooks.update("default", "wh", {"url": "https://good.example/"})
    post.world.say("two")
    post.run()
    assert [text for _, text in post.receiver.told()] == ["one", "two"]


def test_tenants_take_turns_and_a_webhook_is_never_served_twice_at_once() -> None:
    def due(tenant: str, webhook: str) -> Document:
        return Document(tenant, DELIVERY, f"{tenant} {webhook}", {"webhook_id": webhook}, "t")

    turns = Turns(most=2)
    turns.know([due("a", "1"), due("a", "2"), due("a", "3"), due("a", "1"), due("b", "1"), due("b", "2")])
    begun = [turns.next() for _ in range(5)]
    assert [one and one.name for one in begun] == [("a", "1"), ("b", "1"), ("a", "2"), ("b", "2"), None]
    assert begun[0] is not None
    assert begun[1] is not None
    assert len(begun[0].deliveries) == 2
    turns.know([due("a", "1"), due("a", "3"), due("b", "1"), due("b", "3")])
    turns.done(begun[1], leave_out=True)
    turns.done(begun[0])
    turns.know([due("a", "1"), due("b", "1")])
    assert (turns.next() or begun[1]).name == ("a", "1")
    assert turns.next() is None
