"""Retention: what a sweep removes when its time is over, and that erased text has left every file by its end."""

from __future__ import annotations

import logging

import pytest

from tests.unit.service.world import World


def test_a_sweep_scrubs_the_ledger_and_says_when_it_could_not(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scrubbed: list[bool] = []
    monkeypatch.setattr(world.ledger, "scrub_erased", lambda: bool(scrubbed.append(True)))
    with caplog.at_level(logging.WARNING):
        world.services.sweep.sweep()
    assert scrubbed == [True]
    assert caplog.messages == ["erased text is still in the ledger's log, because it is being read"]
