"""Mutations of how bodies are read and judged: at little cost, in a turn of their tenant, and described briefly.

They have the form of `mutations.py`, which runs with them.
"""

from __future__ import annotations

from tests.tenancy.mutation import Mutation

__all__ = ["BODIES"]

_JUDGED = "tests/unit/api/test_judged_bodies.py"

BODIES = (
    Mutation(
        "bodies: far too many values are read",
        "api/value_count.py",
        "if has_more_values(body, _MOST_READ):",
        "if False:",
        (_JUDGED, "-k", "not_even_read"),
    ),
    Mutation(
        "bodies: entries are judged before they are counted",
        "api/size_limits.py",
        "isinstance(info.context, RequestLimits):",
        "False:",
        (_JUDGED, "-k", "not_each_an_error"),
    ),
    Mutation(
        "bodies: every error is described",
        "api/errors.py",
        "for one in found[:MOST_DESCRIBED]]",
        "for one in found]",
        (_JUDGED, "-k", "few_errors"),
    ),
    Mutation(
        "bodies: large ones are judged on the event loop",
        "api/judged_body.py",
        "(run_inline if is_light(body) else self._run)(judge)",
        "run_inline(judge)",
        (_JUDGED, "-k", "in_a_turn"),
    ),
    Mutation(
        "bodies: heavy ones are judged all at once",
        "api/value_count.py",
        "return heavy_work(HEAVY_BYTES if heavy else 0, may_fail=True)",
        "return heavy_work(0)",
        (_JUDGED, "-k", "heavy_body_waits"),
    ),
    Mutation(
        "heavy work: who has worked most comes as soon as others",
        "domain/heavy_work.py",
        "if any(self._lately(one, now) < mine for one in self._waiting):",
        "if False:",
        ("tests/unit/domain/test_heavy_work.py", "-k", "worked_least"),
    ),
    Mutation(
        "heavy work: who comes again at once waits for others each time",
        "domain/heavy_work.py",
        "return until - now if last != owner and self._lately(last, now) < mine else 0.0",
        "return 0.0",
        ("tests/unit/domain/test_heavy_work.py", "-k", "small_steps_is"),
    ),
    Mutation(
        "heavy work: it is nobody's",
        "ports/trace.py",
        "    own_heavy_work(tenant)\n",
        "",
        ("tests/unit/domain/test_heavy_work.py", "-k", "of_the_request"),
    ),
    Mutation(
        "bodies: digests of repeats are made on the event loop",
        "api/idempotency.py",
        "await self._run(begin)",
        "begin()",
        (_JUDGED, "-k", "heavy_body_waits", "--timeout", "60"),
    ),
    Mutation(
        "bodies: the SDK of MCP reads them on the event loop",
        "api/mcp/server.py",
        "if self._run is run_inline:",
        "if True:",
        (_JUDGED, "-k", "heavy_body_waits", "--timeout", "60"),
    ),
)
