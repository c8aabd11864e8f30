"""Records the result of adds and of deletes by filter that were accepted and end later, from their events."""

from __future__ import annotations

from tests.histories.history import Outcome
from tests.histories.recorder import Recorder
from tests.histories.requester import Requester

__all__ = ["ask_after"]


def ask_after(event: str, requester: Requester, recorder: Recorder, *, repeat: bool = False) -> None:
    """Record the result of the event's operation, if it has ended."""
    asked = requester.ask("GET", f"/v1/event/{event}/", repeat=repeat)
    if asked is None or asked.outcome is not Outcome.OK:
        return
    match asked.body["status"]:
        case "FAILED":
            # A delete that is given up has deleted what its portions came to.
            outcome = Outcome.UNKNOWN if asked.body["event_type"] == "DELETE" else Outcome.FAILED
            recorder.event_ended(event, outcome, {"error": str(asked.body.get("error"))})
        case "SUCCEEDED" if asked.body["event_type"] == "DELETE":
            recorder.event_ended(event, Outcome.OK, {})
        case "SUCCEEDED":
            memories = [{"id": one["id"]} for one in asked.body["results"]]
            recorder.event_ended(event, Outcome.OK, {"memories": memories})
