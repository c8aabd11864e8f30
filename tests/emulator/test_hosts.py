"""A web page that points its own name at this machine reaches neither queue, gateway nor Runtime API; nobody without
the token reaches the queue."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
import pytest

from local.emulator.hosts import Hosts
from local.emulator.settings import Settings
from tests.emulator.conftest import Start


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        ("localhost:9324", True),
        ("LOCALHOST.:9324", True),
        ("127.0.0.1:9324", True),
        ("127.9.9.9:9324", True),
        ("[::1]:9324", True),
        ("evil.example:9324", False),
        ("evil.example", False),
        ("localhost:80", False),
        ("localhost", False),
        ("localhost.evil.example:9324", False),
        ("127.0.0.1.evil.example:9324", False),
        ("10.0.0.1:9324", False),
        ("evil@localhost:9324", False),
        ("localhost:9324:9324", False),
        ("localhost:９３２４", False),
        ("", False),
    ],
)
def test_only_this_machine_is_meant(header: str, allowed: bool) -> None:
    assert Hosts("127.0.0.1", port=9324).allow(header) is allowed


def test_names_and_addresses_that_are_allowed() -> None:
    assert Hosts("127.0.0.1", ("memory.example.com",)).allow("Memory.example.com:8443")
    assert Hosts("127.0.0.1", ("*",)).allow("anything.example")
    assert Hosts("172.17.0.1", port=1).allow("172.17.0.1:1")
    assert Hosts("0.0.0.0").allow("192.168.1.5:3000")
    assert not Hosts("0.0.0.0").allow("evil.example:3000")
    assert not Hosts("172.17.0.1").allow("172.17.0.2")
