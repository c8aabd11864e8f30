"""The measure of what metrics cost."""

from __future__ import annotations

import pytest

from local.bench.metrics import main


def test_it_measures_both_requests_with_every_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "1"]) == 0
    rows = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows == [[name, output] for name in ("add", "search") for output in ("off", "prometheus", "emf")]
