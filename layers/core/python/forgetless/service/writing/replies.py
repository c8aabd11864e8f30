"""Finds what an LLM answers in what it writes: thoughts, fences and prose stand around the JSON of many models."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence

from forgetless.domain.errors import LlmReplyError
from forgetless.domain.json_values import CostlyTextError, JsonScan, JsonSpan
from forgetless.ports.llm import Completion

__all__ = ["MAX_REPLY_CHARS", "InvalidReplyError", "clean", "json_of", "text_of"]

_NAMES = r"(?:[a-z]{1,16}:)?(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|analysis)"
#: What begins and ends thoughts: DeepSeek and Qwen, Seed, Magistral, Kimi, and the channels of gpt-oss.
_OPENING = rf"<{_NAMES}>|\[THINK\]|◁think▷|<\|channel\|>(?:analysis|commentary)[^<>]{{0,64}}<\|message\|>"
_CLOSING = rf"</{_NAMES}>|\[/THINK\]|◁/think▷|<\|channel\|>final[^<>]{{0,64}}<\|message\|>"
_TAG = re.compile(rf"(?P<opening>{_OPENING})|(?P<closing>{_CLOSING})", re.IGNORECASE)
#: A line that begins or ends a block of code.
_FENCE = re.compile(r"^[ \t]*+```[^`\n]*+$", re.MULTILINE)

#: The most characters that are searched for JSON, and the most steps of all passes over them: four passes over 6,500
#: facts, and less than half a second of CPU. A reply of brackets alone would take more.
MAX_REPLY_CHARS = 256 * 1024
_MOST_STEPS = 400_000
#: White space, and the mark that some servers put before a text.
_BLANK = "\ufeff \t\r\n"


class InvalidReplyError(Exception):
    """A reply of the wrong form. The message tells the LLM what is wrong and quotes nothing of the reply."""


def text_of(reply: Completion, *, whole: bool = False) -> str:
    """The reply without its thoughts. Raises LlmReplyError if nothing is left or, with `whole`, if it was cut off."""
    answer, thought = _split(reply.text, [])
    # In a text, a tag in the midst may be what the text is about.
    said = clean(answer + thought if answer.strip() else answer)
    if not said or (whole and reply.finish_reason == "length"):
        raise _unusable(reply) or LlmReplyError("the LLM's reply is empty")
    return said


def json_of(reply: Completion, *, wanted: Callable[[object], bool], shown: Sequence[str] = ()) -> object:
    """The JSON value that the reply gives as its answer.

    It is the whole reply, or else what follows its last thought, its last block of code, or the last value that is
    `wanted`. In prose, a value that stands word for word in one of the `shown` texts is a quotation, not an answer. In
    a thought that does not end, only the last value of a reply that was not cut off counts.

    Raises InvalidReplyError if a repair may help, and LlmReplyError if none can.
    """
    try:
        return _json_of(reply, wanted, _Quotations(shown), _Passes())
    except InvalidReplyError:
        if (error := _unusable(reply)) is not None:
            raise error from None
        raise


def clean(text: str) -> str:
    """The text without white space at its ends and without lone surrogates, which no store can encode."""
    return text.encode("utf-8", "replace").decode("utf-8").strip()


def _json_of(reply: Completion, wanted: Callable[[object], bool], quotations: _Quotations, passes: _Passes) -> object:
    if len(reply.text) + len(reply.thoughts) > MAX_REPLY_CHARS:
        raise InvalidReplyError(f"it is longer than {MAX_REPLY_CHARS:,} characters")
    text = _decoded(reply.text)
    if (value := _whole(text, passes)) is not None:
        return value
    spans, cut = passes.over(text)
    answer, thought = _split(text, spans)
    if len(answer) < len(text):
        if (value := _whole(answer, passes)) is not None:
            return value
        spans, cut = passes.over(answer)
    if cut and reply.finish_reason == "length":
        raise InvalidReplyError("it is cut off")
    for span in _in_prose(answer, spans, passes):
        if wanted(value := span.value()) and not quotations.have(span):
            return value
    if reply.finish_reason == "stop":
        # The thoughts themselves are an unclosed one if the server says nothing else.
        for span in passes.over(thought if text.strip() else reply.thoughts)[0][-1:]:
            if wanted(value := span.value()) and not quotations.have(span):
                return value
    if not text.strip():
        raise InvalidReplyError("it has thoughts and no answer" if reply.thoughts.strip() else "it is empty")
    raise InvalidReplyError("it is not JSON")


def _unusable(reply: Completion) -> LlmReplyError | None:
    """The error of a reply that no repair makes better; None if one might."""
    if reply.finish_reason == "length":
        return LlmReplyError(
            "the LLM's reply was cut off (finish_reason length): let it write more, by max_tokens in "
            "FORGETLESS_LLM_OPTIONS, or think less",
            cut_off=True,
        )
    if reply.finish_reason == "content_filter":
        return LlmReplyError("the LLM's reply was stopped by the provider's filter (finish_reason content_filter)")
    return None


def _decoded(text: str) -> str:
    """The text; if it is a JSON string, what the string contains: some models encode their JSON twice."""
    if text.lstrip()[:1] != '"':
        return text
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        return text


def _whole(text: str, passes: _Passes) -> object:
    """The value that is all of the text; None if none is, or if it cannot be read."""
    span = _whole_span(text, passes)
    return None if span is None else span.value()


def _whole_span(text: str, passes: _Passes) -> JsonSpan | None:
    """Some models write the value as Python prints it, in single quotes."""
    for python in (False, True):
        spans, _ = passes.over(text, python=python)
        if len(spans) == 1 and not (text[: spans[0].start] + text[spans[0].end :]).strip(_BLANK):
            return spans[0]
    return None


def _in_prose(text: str, spans: Sequence[JsonSpan], passes: _Passes) -> Iterator[JsonSpan]:
    """The values, the likeliest answer first.

    It is that of the last block of code, then the objects from the last to the first, then those as Python prints
    them. A list in the midst of prose is an answer only if nothing else is given, and if it is not a part of
    something that cannot be read.
    """
    if (fenced := _whole_span(_fenced(text), passes)) is not None:
        yield fenced
    yield from (span for span in reversed(spans) if span.source.startswith("{"))
    yield from (span for span in reversed(passes.over(text, python=True)[0]) if span.source.startswith("{"))
    before = text[: spans[0].start] if spans else ""
    if len(spans) == 1 and before.count("{") <= before.count("}"):
        yield spans[0]


def _split(text: str, spans: Sequence[JsonSpan]) -> tuple[str, str]:
    """What follows the last thought that ends, up to one that does not end; and that one."""
    tags = list(_outside(_TAG.finditer(text), spans))
    start = max((tag.end() for tag in tags if tag["closing"]), default=0)
    end = min((tag.start() for tag in tags if tag.start() >= start), default=len(text))
    return text[start:end], text[end:]


def _outside(tags: Iterable[re.Match[str]], spans: Sequence[JsonSpan]) -> Iterable[re.Match[str]]:
    """The tags that do not stand in a value, where they can only be part of a string."""
    starts = [span.start for span in spans]
    for tag in tags:
        before = bisect_right(starts, tag.start()) - 1
        if before < 0 or spans[before].end <= tag.start():
            yield tag


def _fenced(text: str) -> str:
    """What is in the last block of code that ends; empty without one."""
    lines = list(_FENCE.finditer(text))
    last = len(lines) // 2 * 2
    return text[lines[last - 2].end() : lines[last - 1].start()] if last else ""


class _Passes:
    """The passes over one reply and its parts: none is made twice, and together they take a bounded time."""

    def __init__(self) -> None:
        self._left = _MOST_STEPS
        self._made: dict[tuple[str, bool], tuple[list[JsonSpan], bool]] = {}

    def over(self, text: str, *, python: bool = False) -> tuple[list[JsonSpan], bool]:
        """The values of the text in their order, and whether it ends within another one. Raises InvalidReplyError."""
        if (made := self._made.get((text, python))) is not None:
            return made
        scan = JsonScan(text, python, most=self._left)
        try:
            cut = scan.run()
        except CostlyTextError:
            raise InvalidReplyError("it has too many brackets and values") from None
        self._left -= scan.steps
        self._made[text, python] = scan.spans, cut
        return scan.spans, cut


class _Quotations:
    """The texts that the LLM was shown, without their white space."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._dense: list[str] | None = None
        self._found: set[str] = set()

    def have(self, span: JsonSpan) -> bool:
        if self._dense is None:
            self._dense = ["".join(text.split()) for text in self._texts]
        forms = {"".join(form.split()) for form in (span.text, span.source)}
        if forms.isdisjoint(self._found) and not any(form in text for text in self._dense for form in forms):
            return False
        self._found |= forms
        return True
