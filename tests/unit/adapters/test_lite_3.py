"""Milvus Lite 3 is told from the other servers, and from one that did not answer."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from grpc import RpcError, StatusCode  # type: ignore[import-untyped]
from pymilvus import MilvusException

from forgetless.adapters.index_milvus.lite_3 import is_lite_3
from tests.contract.index.watched_clients import LostCallError

TCP = "http://milvus:19530"


@dataclass
class Server:
    """A client of a server that answers the question for its version in one way."""

    answer: str | Exception
    asked: list[float] = field(default_factory=list)

    def get_server_version(self, *, timeout: float) -> str:
        self.asked.append(timeout)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("milvus_lite-3.2.2", True),
        ("v2.6.4", False),
        ("2.5.1", False),
        (MilvusException(65535, "no permission"), False),
        (LostCallError(StatusCode.UNIMPLEMENTED), False),
    ],
)
def test_a_server_is_known_by_its_answer(answer: str | Exception, expected: bool) -> None:
    server = Server(answer)
    assert is_lite_3(server, TCP, timeout_s=3) is expected
    assert server.asked == [3]


@pytest.mark.parametrize(
    "silence", [MilvusException(StatusCode.UNAVAILABLE, "timeout"), LostCallError(StatusCode.UNAVAILABLE)]
)
def test_a_server_that_does_not_answer_is_not_taken_for_another(silence: Exception) -> None:
    """Otherwise a collection of Milvus Lite 3 would get the wrong index for good."""
    with pytest.raises((MilvusException, RpcError)):
        is_lite_3(Server(silence), TCP, timeout_s=3)


def test_our_own_server_is_not_asked() -> None:
    server = Server("milvus_lite-3.2.2")
    assert not is_lite_3(server, "unix:/m.sock", timeout_s=3)
    assert server.asked == []
