"""Webhooks receive every change at least once, whatever happens to receivers and processes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from forgetless.adapters.webhook_http import HttpWebhookSender
from forgetless.domain.errors import LedgerError
from forgetless.domain.memory import Event, EventKind
from forgetless.domain.webhook_deliveries import DELIVERY, RETRY_DELAYS_S, Summary
from forgetless.domain.webhooks import WEBHOOK, to_document
from forgetless.service.requests import AddRequest, IncomingMessage, UpdateRequest
from forgetless.service.transfer.transfer_jobs import TransferJobs
from forgetless.service.webhooks.delivery import DeliveryReport
from forgetless.service.webhooks.outbox import WebhookOutbox
from tests.unit.heavy import MB, heavy_history, peak_of
from tests.unit.servers import Answer, serve
from tests.unit.service.webhooks.post import Post, make
from tests.unit.service.world import ALICE, World, facts, only


@pytest.fixture
def post(world: World) -> Post:
    return make(world)


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


def test_a_delivery_reads_the_one_version_that_it_tells_however_long_the_history_is(post: Post) -> None:
    post.hook()
    events = heavy_history(100)
    post.world.services._outbox.record(events[49:50])
    post.world.ledger.append(events)
    _, peak = peak_of(post.run)
    assert post.receiver.told() == [("UPDATE", "m50")]
    assert peak < 10 * MB, f"{peak / MB:.0f} MB"


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
    since = post.held().failing_since
    memory = post.world.ledger.list_memories("default", {}, limit=1).items[0]
    never = Event(EventKind.UPDATE, memory.next_version(post.world.clock.now(), event_id="never"))
    WebhookOutbox(ledger=post.world.ledger, clock=post.world.clock).record([never])
    post.run(after=130)  # what never came is given up, and the first one fails again
    assert [delivery.state for delivery in post.log()] == ["delivered", "pending"]
    assert (post.held().failing_since, post.held().failures) == (since, 2)


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

    class KilledError(BaseException):
        """What no `except Exception` catches."""

    def die(*_: Any, **__: Any) -> int:
        raise KilledError

    send = post.receiver.send
    post.receiver.send = die  # type: ignore[method-assign]
    with pytest.raises(KilledError):
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
