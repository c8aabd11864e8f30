"""The command `up`: makes its checks, runs the parts until a signal, and shows how to use the service."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import psutil

from local.up.down import clean_up
from local.up.keys import GIVEN_KEY, api_key, forget_given
from local.up.models import ENGLISH, MULTILINGUAL, RANDOM
from local.up.parts import Part, environment_of_functions, ledger_command, parts_of
from local.up.ports import refuse_taken_ports
from local.up.process import die_with_parent
from local.up.record import Record, lock
from local.up.settings import ROOT, Settings
from local.up.state_folder import open_state
from local.up.supervisor import Pace, Supervisor
from local.up.view import View, view_for

__all__ = ["run", "up"]

_CLOSE_S = 20.0
_RANDOM_WEIGHTS = "  Model    random weights, to measure load with: no search finds anything by meaning"
_OTHER_LANGUAGES = f"  Language English; for about 100 others, start with EMBEDDING_MODEL={MULTILINGUAL}"

_BESIDE = "  Index    one of {} and one of {}: make forgetless ARGS=generations shows which serves"

#: Gives the parts and the text to print once they are ready; entered only while no other `up` holds the state folder.
Prepare = Callable[[], AbstractContextManager[tuple[list[Part], str]]]


def up(settings: Settings, environment: Mapping[str, str]) -> None:
    """Run the service in the foreground until a signal; raises UpError when it cannot run."""
    _follow_make()

    @contextmanager
    def prepare() -> Iterator[tuple[list[Part], str]]:
        key, key_file = api_key(settings.state, environment)
        try:
            parts = parts_of(settings, environment, key_file)
            shown = key if sys.stdout.isatty() else ""
            yield parts, _block(settings, shown, given=GIVEN_KEY in environment)
            _checkpoint(settings, environment)
        finally:
            forget_given(settings.state)

    run(settings, prepare)


def run(settings: Settings, prepare: Prepare, *, pace: Pace | None = None, command: str = "make up") -> None:
    """Lock the state folder, run the parts of ``prepare`` until a signal, and leave no process behind."""
    open_state(settings.state)
    with lock(settings.state):
        clean_up(settings.state)
        with prepare() as (parts, block):
            refuse_taken_ports(parts, settings.host, command=command)
            record = Record.of_this_process(settings.state, settings.url)
            view = view_for(sys.stdout, [part.name for part in parts if not part.tells])
            supervisor = partial(Supervisor, parts, logs=settings.logs, cwd=ROOT, view=view, record=record, pace=pace)
            try:
                asyncio.run(_serve(supervisor, view, block))
            finally:
                view.settle()
                record.remove()


def _checkpoint(settings: Settings, environment: Mapping[str, str]) -> None:
    """Move the ledger's write-ahead log into its file, because functions are killed and leave their last writes there.

    Nothing depends on it: the next start reads the log.
    """
    handed = {**environment, **environment_of_functions(settings, environment)}
    with (settings.logs / "ledger.log").open("ab") as log, contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            ledger_command("checkpoint"), cwd=ROOT, env=handed, stdout=log, stderr=log, check=False, timeout=_CLOSE_S
        )


async def _serve(make_supervisor: Callable[[], Supervisor], view: View, block: str) -> None:
    """Start the parts, announce that they are ready, watch them, and stop them."""
    supervisor = make_supervisor()
    told = _on_signals(supervisor)
    living = asyncio.create_task(_live(supervisor, view, block))
    stopping = asyncio.create_task(told.wait())
    try:
        await asyncio.wait({living, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        view.settle()
        for task in (living, stopping):
            task.cancel()
        result = (await asyncio.gather(living, return_exceptions=True))[0]
        await supervisor.stop()
    if isinstance(result, Exception):
        raise result
    view.say("All stopped; the data stays where it is.")


async def _live(supervisor: Supervisor, view: View, block: str) -> None:
    await supervisor.start()
    view.settle()
    view.say(block)
    await supervisor.watch()


def _on_signals(supervisor: Supervisor) -> asyncio.Event:
    """Return an event that the first signal sets; the next signal kills.

    Handlers are set explicitly, because a script's background job starts with SIGINT ignored. SIGHUP stays ignored
    under nohup.
    """
    told = asyncio.Event()

    def receive() -> None:
        if told.is_set():
            supervisor.kill()
        told.set()

    hangs_up = signal.getsignal(signal.SIGHUP) != signal.SIG_IGN
    for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangs_up else [])):
        asyncio.get_running_loop().add_signal_handler(number, receive)
    return told


def _follow_make() -> None:
    """If make started this process, stop when make is killed, which sends no signal by itself."""
    try:
        parent = psutil.Process().parent()
        if parent is not None and parent.name() in {"make", "gmake"}:
            die_with_parent(signal.SIGTERM)
    except psutil.Error:
        return


def _block(settings: Settings, key: str, *, given: bool) -> str:
    """The text to print; without the key if it is not printed on a terminal, as logs are read by others."""
    where = f"from {GIVEN_KEY}" if given else f"kept in {settings.state / 'api_key'}"
    read = f"${GIVEN_KEY}" if given else f"$(cat {shlex.quote(str(settings.state / 'api_key'))})"
    presented = f"'X-API-Key: {key}'" if key else f'"X-API-Key: {read}"'
    headers = f"-H {presented} -H 'Content-Type: application/json'"
    add = '{"messages": [{"role": "user", "content": "I moved to Lisbon in May."}], "user_id": "ana", "infer": false}'
    search = '{"query": "Where does she live?", "filters": {"user_id": "ana"}}'
    return "\n".join(
        [
            "",
            "Forgetless is ready.",
            f"  URL      {settings.url}   (API: {settings.url}/docs)",
            f"  Console  {settings.url}/console",
            f"  API key  {key}   ({where})" if key else f"  API key  {where}",
            f"  Data     {settings.state}   (logs: {settings.logs})",
            *([_OTHER_LANGUAGES] if settings.model == ENGLISH else []),
            *([_RANDOM_WEIGHTS] if settings.model in RANDOM else []),
            *([_BESIDE.format(settings.model, settings.beside)] if settings.beside else []),
            *([f"  Metrics  http://{settings.host}:{settings.metrics_port}/metrics"] if settings.metrics_port else []),
            "",
            f"  curl -s {settings.url}/memories {headers} \\\n    -d '{add}'",
            f"  curl -s {settings.url}/search {headers} \\\n    -d '{search}'",
            "",
            "  Stop with Ctrl-C here, or `make down` in another terminal.",
            "",
        ]
    )
