"""What an embedding server takes is found in few refused calls, remembered, and never blamed on a good text.

The servers are functions here, so that thousands of combinations take a second; real ones follow in
test_embedding_servers.py.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence, Set

import pytest

from forgetless.adapters.embedder_negotiation import MOST_REFUSED, Learnt, Negotiation, Refused, Vectors
from forgetless.domain.errors import DependencyError, EmbedderReplyError, ProviderRequestError

FIELDS = frozenset({"dimensions", "encoding_format", "task", "user"})
NO_VECTOR = EmbedderReplyError("no vector")
FAULT = ProviderRequestError("refused", status=400, of_any_input=True)


class Server:
    """Refuses fields, more than `most` texts, and the texts in `bad`; says why if it `tells`. Counts its refusals."""

    def __init__(
        self, *, most: int = 999, bad: Set[str] = frozenset(), fields: Set[str] = frozenset(), tells: bool = False
    ) -> None:
        self.most, self.bad, self.fields, self.tells = most, bad, fields, tells
        self.refused = self.calls = 0

    def __call__(self, texts: Sequence[str], sent: frozenset[str]) -> Vectors | Refused:
        self.calls += 1
        named = sorted(sent & self.fields)[:1]
        few = len(texts) <= self.most
        if not named and few and not self.bad.intersection(texts):
            return [[float(len(text))] for text in texts]
        self.refused += 1
        return Refused(
            FAULT,
            400,
            named=frozenset(named if self.tells else ()),
            limit=None if few or named or not self.tells else max(self.most, 1),
        )


def ask(server: Server, learnt: Learnt, texts: Sequence[str]) -> Vectors:
    server.refused = 0
    return Negotiation(learnt, FIELDS, server, no_vector=NO_VECTOR).run(texts)


TEXTS = [f"text {number}" for number in range(128)]


@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize("fields", [set(), {"dimensions"}, {"task", "user"}, FIELDS], ids=len)
def test_no_good_text_is_blamed_and_the_refused_calls_are_few(tells: bool, fields: Set[str]) -> None:
    for most, count, bad in itertools.product(
        (1, 10, 32, 999), (1, 2, 3, 11, 128), ((), (0,), (4, 9), (0, 1, 2, 3), (127,))
    ):
        texts = TEXTS[:count]
        poisoned = {texts[place] for place in bad if place < count}
        server, learnt = Server(most=most, bad=poisoned, fields=fields, tells=tells), Learnt(128)
        for _ in range(3):
            vectors = ask(server, learnt, texts)
            case = f"{most=} {count=} {bad=} {fields=}"
            assert [text for text, vector in zip(texts, vectors, strict=True) if vector is None] == sorted(
                poisoned, key=texts.index
            ), case
            extra = len(poisoned) * 2 * math.log2(count)
            assert server.refused <= MOST_REFUSED + extra, f"{case}: {server.refused} refused"
        if not poisoned:
            assert server.refused == 0, f"{case}: it was not remembered"


@pytest.mark.parametrize("tells", [False, True])
@pytest.mark.parametrize("count", [1, 2, 11, 128])
def test_a_server_that_refuses_everything_fails_at_once(count: int, tells: bool) -> None:
    for fields in (frozenset[str](), frozenset({"dimensions"}), FIELDS):
        server = Server(most=0, fields=fields, tells=tells)
        with pytest.raises(ProviderRequestError) as raised:
            ask(server, Learnt(128), TEXTS[:count])
        assert not raised.value.blames_input
        assert server.refused <= MOST_REFUSED


def test_half_as_many_texts_are_sent_until_the_server_takes_them() -> None:
    server, learnt = Server(most=40), Learnt(128, taken=FIELDS)
    ask(server, learnt, TEXTS)
    assert (learnt.most_texts, server.refused, server.calls) == (32, 2, 2 + 1 + 4)


def test_what_long_texts_are_refused_for_is_not_remembered_for_others() -> None:
    """Their length together may be the reason."""
    long = [f"{text} {'x' * 500}" for text in TEXTS]
    server, learnt = Server(most=40), Learnt(128, taken=FIELDS)
    assert None not in ask(server, learnt, long)
    assert learnt.most_texts == 128
    server.tells = True
    ask(server, learnt, long)
    assert learnt.most_texts == 40


def test_a_number_at_which_several_calls_with_long_texts_end_is_the_servers() -> None:
    long = [f"{text} {'x' * 500}" for text in TEXTS]
    server, learnt = Server(most=40), Learnt(128, taken=FIELDS)
    for _ in range(8):
        ask(server, learnt, long)
    assert learnt.most_texts == 32


def test_a_limit_that_the_refusal_names_is_taken_at_once(caplog: pytest.LogCaptureFixture) -> None:
    server, learnt = Server(most=10, tells=True), Learnt(128)
    ask(server, learnt, TEXTS)
    assert (learnt.most_texts, server.refused) == (10, 1)
    (line,) = caplog.messages
    assert line.endswith("FORGETLESS_EMBEDDER_BATCH=10")


def test_a_field_that_is_left_out_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    server, learnt = Server(fields={"dimensions"}), Learnt(128, taken=FIELDS - {"dimensions"})
    for _ in range(3):
        ask(server, learnt, TEXTS)
    assert (learnt.omitted, server.calls) == ({"dimensions"}, 4)
    (line,) = caplog.messages
    assert line.endswith("FORGETLESS_EMBEDDER_OMIT=dimensions")


def test_a_text_at_fault_costs_the_server_nothing_in_later_calls() -> None:
    server, learnt = Server(bad={TEXTS[3]}), Learnt(128)
    ask(server, learnt, TEXTS)
    assert (learnt.most_texts, learnt.omitted) == (128, frozenset())


def test_texts_without_a_vector_are_the_servers_fault_if_the_control_has_none_either() -> None:
    def empty(texts: Sequence[str], _sent: frozenset[str]) -> Vectors:
        return [None] * len(texts)

    with pytest.raises(DependencyError, match="no vector"):
        Negotiation(Learnt(128), FIELDS, empty, no_vector=NO_VECTOR).run(TEXTS)
