"""What the emulator says when it is ready: what is not as on AWS, where everything is, and one line of JSON."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from local.emulator.emulator import Emulator
from local.emulator.specs import ApiSpec, Target

__all__ = ["grouped", "lines", "ready_line"]

#: `FILE:LINE: NAME: text`, as the reader of templates writes warnings.
_PLACED = re.compile(r"(?P<file>.*?\.\w+):(?P<line>\d+): (?P<name>[^:\s]+): (?P<text>.*)", re.DOTALL)
_NAMED = 3


def lines(emulator: Emulator) -> Iterator[str]:
    """Yield what a person reads: warnings, then every route, queue, schedule and log."""
    yield from (f"warning: {warning}" for warning in grouped(emulator.warnings))
    yield from (f"note: {note}" for note in emulator.notes)
    callers = [*_routes(emulator), *_triggers(emulator)]
    yield from callers
    if not callers:
        name = next(iter(emulator.template.functions), "NAME")
        call = f"aws lambda invoke --endpoint-url {emulator.queue_url} --function-name {name} answer.json"
        yield f"No route or trigger calls a function here. Call one yourself: {call}"
    if emulator.moto_url:
        yield f"Other services of AWS: moto at {emulator.moto_url}"
    yield f"Logs of the functions: {emulator.log_path}"


def _triggers(emulator: Emulator) -> Iterator[str]:
    template = emulator.template
    for event in template.queue_events:
        yield f"Feeding {event.function} from queue {event.queue}"
    for subscription in template.subscriptions:
        yield f"Telling {_shown(subscription.target)} of topic {subscription.topic}"
    for bucket in template.bucket_events if emulator.moto_url else ():
        yield f"Telling {_shown(bucket.target)} of bucket {bucket.bucket} [{', '.join(bucket.events)}]"
    for schedule in template.schedules:
        yield f"Telling {_shown(schedule.target)} by schedule {schedule.name} [{schedule.expression}]"


def _routes(emulator: Emulator) -> Iterator[str]:
    for api in emulator.template.apis:
        mocked = {route.path for route in api.routes if route.mock is not None}
        paths: dict[tuple[str, str], list[str]] = defaultdict(list)
        for route in api.routes:
            if route.mock is None:
                paths[route.function, route.path].append(route.method)
        for (function, path), methods in paths.items():
            shown = [*methods, "OPTIONS"] if path in mocked else methods
            name = _name(emulator, function)
            yield f"Mounting {name} at {emulator.gateway_url}{_path(api, path)} [{', '.join(shown)}]"
    for function, url in emulator.function_urls.items():
        yield f"Mounting {_name(emulator, function)} at {url} [its own URL]"


def _name(emulator: Emulator, function: str) -> str:
    """Return the name of a function, and whether its routes only say why it cannot run."""
    spec = emulator.template.functions.get(function)
    return f"{function} (not run here: 500)" if spec is not None and spec.problem else function


def _path(api: ApiSpec, path: str) -> str:
    """Return the path by which a route is called: with the stage where the API is only there."""
    stage = "" if api.stage == "$default" or api.rest is not None else f"/{api.stage}"
    return f"{stage}/{{any path}}" if path == "$default" else f"{stage}{path}"


def _shown(target: Target) -> str:
    return target.name if target.kind == "function" else f"{target.kind} {target.name}"


def grouped(warnings: Iterable[str]) -> list[str]:
    """Return warnings with those that say the same of several resources as one."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for warning in dict.fromkeys(warnings):
        match = _PLACED.fullmatch(warning)
        key = (match["file"], match["text"]) if match else ("", warning)
        found.setdefault(key, []).append((match["line"], match["name"]) if match else ("", ""))
    return [_one(file, text, places) for (file, text), places in found.items()]


def _one(file: str, text: str, places: list[tuple[str, str]]) -> str:
    if not file:
        return text
    names = [name for _, name in places]
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return f"{file}:{places[0][0]}: {shown}: {text}"


def ready_line(emulator: Emulator) -> str:
    """Return the line that programs read."""
    line: dict[str, object] = {"ready": True, "gateway": emulator.gateway_url, "queue": emulator.queue_url}
    if emulator.invoke_url:
        line["invoke"] = emulator.invoke_url
    if emulator.metrics_url:
        line["metrics"] = emulator.metrics_url
    if emulator.function_urls:
        line["urls"] = emulator.function_urls
    if emulator.moto_url:
        line["moto"] = emulator.moto_url
    template = emulator.template
    line["routes"] = sum(route.mock is None for api in template.apis for route in api.routes)
    line["triggers"] = sum(
        map(len, (template.queue_events, template.subscriptions, template.bucket_events, template.schedules))
    )
    return json.dumps(line)
