"""A webhook as a document, and its signature."""

from __future__ import annotations

from dataclasses import replace

from forgetless.domain.memory import EventKind
from forgetless.domain.webhooks import Webhook, from_document, new_secret, signature, to_document

HOOK = Webhook(
    id="wh-1",
    tenant="acme",
    name="audit",
    url="https://example.com/hook",
    event_types=("memory_add", "memory_delete"),
    project_id="project",
    created_at="2026-01-01T00:00:00.000000+00:00",
    updated_at="2026-01-02T00:00:00.000000+00:00",
    secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
)


def test_a_webhook_comes_back_from_its_document() -> None:
    assert from_document(to_document(HOOK)) == HOOK


def test_it_is_told_of_what_it_asked_for_while_it_is_active() -> None:
    assert [kind for kind in EventKind if HOOK.wants(kind)] == [EventKind.ADD, EventKind.DELETE]
    assert not replace(HOOK, is_active=False).wants(EventKind.ADD)


def test_the_signature_is_that_of_the_standard_s_own_example() -> None:
    body = b'{"test": 2432232314}'
    signed = signature(HOOK.secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_secrets_are_long_and_differ() -> None:
    one, other = new_secret(), new_secret()
    assert one != other
    assert signature(one, "m", 1, b"") != signature(other, "m", 1, b"")
