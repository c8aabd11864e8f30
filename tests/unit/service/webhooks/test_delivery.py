"""Webhooks receive every change at least once, whatever happens to receivers and processes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from forgetless.adapters.webhook_http import HttpWebhookSender
from forgetless.domain.errors import LedgerError
from forgetless.domain.limits import MOST_ANNOUNCED
from forgetless.domain.memory import Event, EventKind, Memory
from forgetless.domain.scope import Scope
from forgetless.domain.webhook_deliveries import DELIVERY, RETRY_DELAYS_S, Delivery, Summary
from forgetless.domain.webhooks import WEBHOOK, Webhook, from_document, to_document
from forgetless.service.requests import AddRequest, IncomingMessage, UpdateRequest
from forgetless.service.transfer.transfer_jobs import TransferJobs
from forgetless.service.webhooks.delivery import DeliveryReport, DeliveryService
from forgetless.service.webhooks.outbox import WebhookOutbox
from tests.unit.servers import Answer, serve
from tests.unit.service.world import ALICE, World, facts, only

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
ALL = ("memory_add", "memory_update", "memory_delete")


@dataclass
class Receiver:
    """A sender that keeps what it was given and answers as told."""

    answers: list[int | Exception] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes, deadline_s: float) -> int:
        with self.lock:
            self.got.append((url, dict(headers), body))
            answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer

    def told(self) -> list[tuple[str, str]]:
        """The events and texts that came."""
        details = [json.loads(body)["event_details"] for _, _, body in self.got]
        return [(one["event"], one["data"]["memory"]) for one in details]

    def details(self) -> list[dict[str, Any]]:
        """What came, as it is."""
        return [json.loads(body)["event_details"] for _, _, body in self.got]


@dataclass
class Post:
    """A world, its webhook and its receiver."""

    world: World
    receiver: Receiver
    deliveries: DeliveryService

    def hook(self, id_: str = "wh", *, url: str = "https://example.com/hook", **more: Any) -> Webhook:
        now = self.world.clock.now()
        fields = {"event_types": ALL, "secret": SECRET} | more
        webhook = Webhook(id_, "default", "audit", url, project_id="p", created_at=now, updated_at=now, **fields)
        assert self.world.ledger.put_document(to_document(webhook))
        self.world.services._outbox.webhooks.forget("default")
        return webhook

    def held(self, id_: str = "wh") -> Webhook:
        document = self.world.ledger.document("default", WEBHOOK, id_)
        assert document is not None
        return from_document(document)

    def log(self, id_: str = "wh") -> list[Delivery]:
        return self.deliveries.log("default", id_, limit=50)[0]

    def run(self, *, after: float = 0) -> DeliveryReport:
        self.world.clock.advance(after)
        return self.deliveries.run()


@pytest.fixture
def post(world: World) -> Post:
    return make(world)


def make(world: World, sender: Any = None) -> Post:
    receiver = Receiver()
    service = DeliveryService(ledger=world.ledger, sender=sender or receiver, clock=world.clock)
    return Post(world, receiver, service)


def test_every_change_is_told_in_mem0_s_words_and_signed(post: Post) -> None:
    post.hook()
    id_ = post.world.say("I like tea.").results[0].id
    post.run()
    post.world.services.changes.update(UpdateRequest("default", id_, text="I like coffee."))
    post.run(after=1)
    post.world.services.changes.delete("default", id_)
    post.run(after=1)
    assert post.receiver.told() == [("ADD", "I like tea."), ("UPDATE", "I like coffee."), ("DELETE", "")]
    url, headers, body = post.receiver.got[0]
    assert url == "https://example.com/hook"
    assert json.loads(body)["event_details"]["id"] == id_
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = hmac.digest(b"0123456789abcdef0123456789abcdef", signed, hashlib.sha256)
    assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
    assert len({sent["webhook-id"] for _, sent, _ in post.receiver.got}) == 3


def test_extracted_and_superseded_facts_are_told(new_world: Callable[..., World]) -> None:
    replies = [facts("She lives in Lisbon."), facts({"text": "She lives in Berlin.", "supersedes": [1]})]
    post = make(new_world(lambda _: replies.pop(0)))
    post.hook()
    post.world.say("I live in Lisbon.", infer=True)
    post.world.say("I moved to Berlin.", infer=True)
    post.run()
    assert sorted(post.receiver.told()) == [
        ("ADD", "She lives in Berlin."),
        ("ADD", "She lives in Lisbon."),
        ("UPDATE", "She lives in Lisbon."),
    ]


def test_only_what_was_asked_for_is_told_and_only_to_whom_it_concerns(post: Post) -> None:
    post.hook(event_types=("memory_delete",))
    post.hook("off", is_active=False)
    other = replace(post.held(), id="other", tenant="other")
    post.world.ledger.put_document(to_document(other))
    id_ = post.world.say("I like tea.").results[0].id
    assert post.run() == DeliveryReport(0, 0, 0)
    post.world.services.changes.delete("default", id_)
    assert post.run(after=1) == DeliveryReport(1, 0, 0)
    assert post.receiver.told() == [("DELETE", "")]


def test_a_failed_delivery_comes_again_with_the_same_id_later_and_later(post: Post) -> None:
    post.hook()
    post.receiver.answers = [500, TimeoutError("no answer in time"), 302, 200]
    post.world.say("I like tea.")
    assert post.run() == DeliveryReport(0, 1, 0)
    assert post.run(after=RETRY_DELAYS_S[0] - 1) == DeliveryReport(0, 0, 0)
    assert post.run(after=2) == DeliveryReport(0, 1, 0)
    assert post.held().failing_since is not None
    assert post.run(after=RETRY_DELAYS_S[1] + 1) == DeliveryReport(0, 1, 0)
    assert post.run(after=RETRY_DELAYS_S[2] + 1) == DeliveryReport(1, 0, 0)
    assert post.held().failing_since is None
    assert len({headers["webhook-id"] for _, headers, _ in post.receiver.got}) == 1
    (delivery,) = post.log()
    assert delivery.state == "delivered"
    assert [(one.status, one.error) for one in delivery.attempts] == [
        (500, "answered 500"),
        (None, "no answer in time"),
        (302, "answered 302"),
        (200, None),
    ]


def test_what_arrived_of_a_change_is_not_sent_again_when_the_rest_fails(post: Post) -> None:
    post.hook()
    post.receiver.answers = [200, 500]
    post.world.say("one", "two", "three")
    post.run()
    post.run(after=61)
    assert [text for _, text in post.receiver.told()] == ["one", "two", "two", "three"]


def test_while_one_receiver_fails_its_other_deliveries_wait_and_those_of_others_do_not(post: Post) -> None:
    post.hook("bad", url="https://bad.example/")
    for number in range(5):
        post.world.say(f"memory {number}")
    post.hook("good", url="https://good.example/")
    post.world.say("the last")
    post.receiver.answers = []
    sender = post.receiver.send
    post.receiver.send = lambda url, **rest: 500 if "bad" in url else sender(url, **rest)  # type: ignore[method-assign]
    assert post.run() == DeliveryReport(1, 1, 0)
    assert post.receiver.told() == [("ADD", "the last")]
    post.receiver.send = sender  # type: ignore[method-assign]
    assert post.run(after=61) == DeliveryReport(6, 0, 0)


def test_after_a_day_of_failure_the_webhook_is_disabled_and_says_so(post: Post) -> None:
    post.hook()
    post.receiver.answers = [503] * 99
    post.world.say("I like tea.")
    runs = 0
    while post.held().is_active:
        post.run(after=3600)
        runs += 1
        assert runs < 40
    assert runs >= 24
    assert "answered 503" in (post.held().disabled_reason or "")
    assert [delivery.state for delivery in post.log()] == ["failed"]
    sent = len(post.receiver.got)
    post.world.say("I like coffee.")
    post.run(after=3600)
    assert len(post.receiver.got) == sent
    # Made active again, it has another day.
    post.world.services.webhooks.update("default", "wh", {"is_active": True})
    post.receiver.answers = [503]
    post.world.say("I like water.")
    post.run(after=1)
    assert post.held().is_active
    post.run(after=61)
    assert (post.held().disabled_reason, post.receiver.told()[-1]) == (None, ("ADD", "I like water."))


def test_a_receiver_that_is_gone_is_disabled_at_once(post: Post) -> None:
    post.hook()
    post.receiver.answers = [410]
    post.world.say("I like tea.")
    post.run()
    assert "410" in (post.held().disabled_reason or "")


def test_what_a_limited_key_changes_is_told_too(post: Post) -> None:
    post.hook()
    limited = post.world.services.limited_to(only("alice"))
    limited.add.add(AddRequest(ALICE, (IncomingMessage("user", "I like tea."),), infer=False))
    post.run(after=1)
    assert post.receiver.told() == [("ADD", "I like tea.")]


def test_deliveries_of_a_deleted_webhook_go(post: Post) -> None:
    post.hook()
    post.world.say("I like tea.")
    post.world.ledger.delete_document("default", WEBHOOK, "wh")
    assert post.run() == DeliveryReport(0, 0, 1)
    assert post.log() == []


def test_words_that_were_erased_before_the_delivery_are_not_sent(post: Post) -> None:
    post.hook()
    id_ = post.world.say("my secret").results[0].id
    post.world.services.changes.delete("default", id_)
    post.run(after=1)
    assert post.receiver.told() == [("ADD", ""), ("DELETE", "")]
    assert b"secret" not in b"".join(body for _, _, body in post.receiver.got)


def test_an_announcement_of_who_lost_the_race_does_not_tell_of_the_winner_twice(post: Post) -> None:
    post.hook()
    id_ = post.world.say("I like tea.").results[0].id
    post.run()
    memory = post.world.ledger.read("default", [id_])[id_]
    now = post.world.clock.now()
    lost = Event(EventKind.UPDATE, memory.next_version(now, event_id="the loser's", text="I like water."))
    WebhookOutbox(ledger=post.world.ledger, clock=post.world.clock).record([lost])
    post.world.services.changes.update(UpdateRequest("default", id_, text="I like coffee."))
    post.run(after=1)
    assert post.receiver.told() == [("ADD", "I like tea."), ("UPDATE", "I like coffee.")]
    assert {delivery.state for delivery in post.log()} == {"delivered"}


def test_a_delivery_of_the_version_before_this_one_is_sent_and_read_by_it(post: Post) -> None:
    post.hook()
    id_ = post.world.say("I like tea.").results[0].id
    (document,), _ = post.world.ledger.documents("default", DELIVERY, limit=9)
    assert document.body["events"] == [[id_, 1]]
    older = {name: value for name, value in document.body.items() if name != "event_ids"}
    assert post.world.ledger.put_document(replace(document, version=2, body=older))
    assert post.run() == DeliveryReport(1, 0, 0)
    assert post.receiver.told() == [("ADD", "I like tea.")]


@pytest.mark.parametrize("answer", [410, 503])
def test_a_webhook_that_its_owner_changed_while_we_sent_is_not_disabled(post: Post, answer: int) -> None:
    """The day of failures that it ends, and the address that is gone, are those of before."""
    post.hook()
    post.world.say("I like tea.")
    post.receiver.answers = [503]
    post.run()
    post.world.clock.advance(86_400.0)
    post.world.say("I like coffee.")
    sent = post.receiver.send

    def change_then_answer(url: str, **rest: Any) -> int:
        post.receiver.send = sent  # type: ignore[method-assign]
        post.world.services.webhooks.update("default", "wh", {"url": "https://example.com/new"})
        return answer

    post.receiver.send = change_then_answer  # type: ignore[method-assign]
    post.run()
    assert (post.held().is_active, post.held().failing_since) == (True, None)
    post.run(after=RETRY_DELAYS_S[1] + 1)
    assert post.receiver.got[-1][0] == "https://example.com/new"


def test_a_delivery_of_which_nothing_came_says_nothing_of_the_receiver(post: Post) -> None:
    post.hook()
    post.world.say("I like tea.")
    post.receiver.answers = [503] * 9
    post.run()
    memory = post.world.ledger.list_memories("default", {}, limit=1).items[0]
    never = Event(EventKind.UPDATE, memory.next_version(post.world.clock.now(), event_id="never"))
    WebhookOutbox(ledger=post.world.ledger, clock=post.world.clock).record([never])
    for after in (1, 60, 70):  # the first one fails again at 61 s; what never came is given up at 131 s, alone
        post.run(after=after)
    assert [delivery.state for delivery in post.log()] == ["delivered", "pending"]
    assert post.held().failing_since is not None


def test_a_crash_between_announcement_and_append_loses_and_invents_nothing(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.hook()

    def crash(*_: Any, **__: Any) -> None:
        raise LedgerError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(post.world.ledger, "append", crash)
        with pytest.raises(LedgerError):
            post.world.say("never stored")
    assert post.run() == DeliveryReport(0, 0, 0)
    post.world.say("stored")
    assert post.run(after=1) == DeliveryReport(1, 0, 0)
    post.run(after=500)
    assert post.receiver.told() == [("ADD", "stored")]
    assert {delivery.state for delivery in post.log()} == {"delivered"}


def test_a_run_that_died_leaves_its_delivery_to_the_next(post: Post) -> None:
    post.hook()
    post.world.say("I like tea.")

    def die(*_: Any, **__: Any) -> int:
        raise SystemError("killed")

    send = post.receiver.send
    post.receiver.send = die  # type: ignore[method-assign]
    with pytest.raises(SystemError):
        post.run()
    post.receiver.send = send  # type: ignore[method-assign]
    assert post.run(after=60) == DeliveryReport(0, 0, 0)
    assert post.run(after=120) == DeliveryReport(1, 0, 0)


def test_two_runs_at_once_send_each_event_once(post: Post) -> None:
    post.hook()
    for number in range(8):
        post.world.say(f"memory {number}")
    runs = [threading.Thread(target=post.deliveries.run) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert sorted(text for _, text in post.receiver.told()) == [f"memory {number}" for number in range(8)]


def test_the_log_is_kept_for_days_and_then_goes(post: Post) -> None:
    post.hook()
    post.world.say("I like tea.")
    post.run()
    post.run(after=2 * 86_400)
    assert len(post.log()) == 1
    post.run(after=2 * 86_400)
    assert post.world.ledger.documents("default", DELIVERY, limit=9) == ([], None)


def test_a_secret_that_is_none_fails_the_delivery_alone(post: Post) -> None:
    post.hook("bad", secret="whsec_?")
    post.hook("good")
    post.world.say("I like tea.")
    assert post.run() == DeliveryReport(1, 1, 0)
    assert "secret" in (post.log("bad")[0].attempts[0].error or "")


def test_a_real_receiver_that_fails_hangs_and_answers_late(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(_write: Callable[[bytes], None], stopping: threading.Event) -> None:
        stopping.wait(60)

    def late(write: Callable[[bytes], None], stopping: threading.Event) -> None:
        stopping.wait(0.3)
        write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    # How the receiver behaves in each run, and how long it is waited for.
    behaviours = [
        (Answer(status=500), 30.0),
        (Answer(drip=hang), 0.3),
        (Answer(hang_up=True), 30.0),
        (Answer(drip=late), 30.0),
    ]
    now: list[Answer] = []
    post = make(world, HttpWebhookSender(allow_private=True))
    with serve(lambda _: now[-1]) as server:
        post.hook(url=f"{server.url}/hook")
        world.say("I like tea.")
        for (behaviour, waited_s), delay in zip(behaviours, (0, *RETRY_DELAYS_S), strict=False):
            now.append(behaviour)
            monkeypatch.setattr("forgetless.service.webhooks.delivery.SEND_S", waited_s)
            post.run(after=delay + 1)
    (delivery,) = post.log()
    assert [one.status for one in delivery.attempts] == [500, None, None, 200]
    assert delivery.state == "delivered"
    bodies = [request.body["event_details"]["data"] for request in server.requests]
    assert bodies == [{"memory": "I like tea."}] * len(bodies)
    assert len({request.headers["webhook-id"] for request in server.requests}) == 1


def test_private_receivers_are_refused_at_the_delivery(world: World) -> None:
    post = make(world, HttpWebhookSender())
    with serve(lambda _: Answer()) as server:
        post.hook(url=server.url)
        world.say("I like tea.")
        assert post.run() == DeliveryReport(0, 1, 0)
    assert server.requests == []
    assert "private" in (post.log()[0].attempts[0].error or "")


def tombstones(count: int) -> list[Event]:
    scopes = [Scope("default", user_id="alice", run_id=f"r{number % 2}") for number in range(count)]
    memories = [Memory(f"m{number}", 2, scope, "", "t", "t", "j", deleted=True) for number, scope in enumerate(scopes)]
    return [Event(EventKind.DELETE, memory) for memory in memories]


@pytest.mark.parametrize(("count", "deliveries"), [(MOST_ANNOUNCED, MOST_ANNOUNCED), (MOST_ANNOUNCED + 1, 0)])
def test_many_deletions_in_one_call_are_one_delivery_with_scope_and_count(
    post: Post, count: int, deliveries: int
) -> None:
    post.hook()
    post.world.services._outbox.record(tombstones(count))
    (delivery,) = post.log()
    assert len(delivery.events) == deliveries
    if not deliveries:
        assert post.deliveries.run().delivered == 1
        assert post.receiver.details() == [{"scope": {"user_id": "alice"}, "count": count, "event": "DELETE"}]


def test_a_summary_is_tried_again_under_the_same_id_and_only_sent_to_those_who_want_it(post: Post) -> None:
    post.hook()
    post.hook("adds", event_types=("memory_add",))
    post.receiver.answers = [500]
    post.world.services._outbox.record_summary("default", Summary(EventKind.DELETE, {}, 1000))
    assert post.log("adds") == []
    assert post.deliveries.run().failed == 1
    post.world.clock.advance(RETRY_DELAYS_S[0] + 1)
    assert post.deliveries.run().delivered == 1
    assert post.receiver.details() == [{"scope": {}, "count": 1000, "event": "DELETE"}] * 2
    first, second = (headers["webhook-id"] for _, headers, _ in post.receiver.got)
    assert first == second
    post.world.clock.advance(60)
    assert post.deliveries.run().delivered == 0


def test_an_import_is_one_delivery_about_what_was_new(post: Post) -> None:
    post.hook()
    jobs, id_ = post.world.services.import_jobs, "4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a01"
    lines = [
        json.dumps({"id": str(n), "memory": f"fact {n}", "user_id": "bob", "run_id": f"{n}"}).encode() for n in range(3)
    ]
    for _ in range(2):  # The second time, all are there already.
        jobs.begin("default", id_)
        jobs.take("default", id_, lines[0] + b"\n" + lines[1], line=1)
        jobs.take("default", id_, lines[2], line=3, last=True)
        post.deliveries.run()
        assert post.receiver.details() == [{"scope": {"user_id": "bob"}, "count": 3, "event": "ADD"}]


def test_an_import_that_dies_before_its_end_is_recorded_is_told_once(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.hook()
    jobs, id_ = post.world.services.import_jobs, "4f1c0a52-7c11-4a51-9a39-2f6f3f3b6a01"
    line = json.dumps({"id": "1", "memory": "fact", "user_id": "bob"}).encode()
    jobs.begin("default", id_)
    jobs.take("default", id_, line, line=1)
    with monkeypatch.context() as patched:
        patched.setattr(TransferJobs, "record", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            jobs.take("default", id_, b"", line=2, last=True)
    assert jobs.take("default", id_, b"", line=2, last=True).ended
    post.deliveries.run()
    assert post.receiver.details() == [{"scope": {"user_id": "bob"}, "count": 1, "event": "ADD"}]
