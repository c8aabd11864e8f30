"""The measure of whether times tell what others have said."""

from __future__ import annotations

import pytest

from local.bench.vector_times import main, quicker
from tests.tools.fake_service import KEY, FakeService


def test_how_often_one_is_quicker() -> None:
    assert quicker([1, 2], [3, 4]) == 1
    assert quicker([3, 4], [1, 2]) == 0
    assert quicker([1, 2, 3], [1, 2, 3]) == 0.5


def test_it_prints_three_kinds_and_leaves_nothing_behind(
    service: FakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--url", service.url, "--api-key", KEY, "--texts", "3"], {}) == 0
    shown = capsys.readouterr().out
    assert [shown.count(kind) for kind in ("by another", "by the same user")] == [2, 2]
    assert service.memories == []
