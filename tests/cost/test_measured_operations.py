"""The stored figures of operations are those of the service as it is now."""

from __future__ import annotations

import pytest

from local.cost.operations import STORED, read_operations
from tests.cost.measuring import measured
from tests.dynamo_server import DynamoServer

#: What may differ without being told: times have other lengths.
_SHARE, _LEAST = 0.1, 3.0


def test_the_stored_figures_are_what_is_measured_now(dynamo_server: DynamoServer) -> None:
    stored, now = read_operations().figures, measured(dynamo_server)
    assert stored.keys() == now.keys()
    other = [
        f"{name}: {figure} is {now[name][figure]:g}, stored is {stored[name][figure]:g}"
        for name in now
        for figure in STORED
        if now[name][figure] != pytest.approx(stored[name][figure], rel=_SHARE, abs=_LEAST)
    ]
    fix = (
        "`make cost MEASURE=1`, then `.venv/bin/python -m local.cost --page > docs/cost.md`, and say why in the commit"
    )
    assert not other, "\n".join([*other, fix])
