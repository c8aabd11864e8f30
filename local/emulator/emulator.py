"""Puts the emulator together: template, queues, environments, gateway and triggers."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zipfile import BadZipFile

import httpx

from local.emulator.asgi import Application
from local.emulator.environments.code import with_folders
from local.emulator.environments.environment import Launch
from local.emulator.environments.logs import FunctionLog
from local.emulator.environments.pool import Pool, PoolLimits, StartGate
from local.emulator.environments.remote import RemoteFunction
from local.emulator.environments.unavailable import UnavailableFunction
from local.emulator.environments.variables import Endpoints, function_variables
from local.emulator.gateway.app import Gateway
from local.emulator.gateway.invoke_api import InvokeApi
from local.emulator.gateway.outside import Trust, outside_warnings
from local.emulator.hosts import Hosts, LocalOnly, TokenOnly
from local.emulator.invocation import Invoker
from local.emulator.metrics import EmfFigures, MetricsPage
from local.emulator.reload import Watch
from local.emulator.servers import HttpServer, listen
from local.emulator.services import AwsServices
from local.emulator.settings import Settings
from local.emulator.sns.app import TopicServer
from local.emulator.specs import FunctionSpec, Place, Template, TemplateError
from local.emulator.sqs.app import STATUS_PATH, QueueServer
from local.emulator.sqs.operations import Operations
from local.emulator.sqs.service import QueueService
from local.emulator.sqs.store import Store
from local.emulator.template.reader import read_template
from local.emulator.triggers.running import Triggers

#: The name of the template itself among the things that are watched.
_TEMPLATE = "the template"
_ALLOW_HOST = " If it is a name of this one, allow it: --allow-host (make up: FORGETLESS_ALLOWED_HOSTS)."


class Emulator:
    """Runs one template; to be used as an asynchronous context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._pools: dict[str, Pool | RemoteFunction | UnavailableFunction] = {}
        self._servers: list[HttpServer] = []
        self._gate = StartGate()
        self.warnings: tuple[str, ...] = ()
        #: What was damaged and set aside at the start.
        self.notes: tuple[str, ...] = ()
        self.gateway_url = self.queue_url = self.invoke_url = self.metrics_url = ""
        #: Set when the template has changed and can be read; whoever runs the emulator then restarts it.
        self.outdated = asyncio.Event()

    async def __aenter__(self) -> Emulator:
        """Start everything; after an error nothing is left running.

        Raises:
            TemplateError, PortInUseError, StateError: with a text for whoever started it.
        """
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        settings = self._settings
        gateway_socket = listen(settings.host, settings.port)
        self._stack.callback(gateway_socket.close)
        queue_socket = listen(settings.host, settings.queue_port)
        self._stack.callback(queue_socket.close)
        port, queue_port = gateway_socket.getsockname()[1], queue_socket.getsockname()[1]
        self.gateway_url = f"http://{_reachable(settings.host)}:{port}"
        self.queue_url = f"http://{_reachable(settings.host)}:{queue_port}"
        place = Place(settings.region, self.queue_url)
        template = self._read(place)
        trust = Trust(tokens=settings.trust_tokens, open=settings.open_routes)
        self.warnings = (
            *self._not_run(template), *outside_warnings(template.apis, trust), *template.warnings,
            *self._unknown_functions(template),
        )  # fmt: skip
        service = await self._open_queues(template)
        figures = EmfFigures()
        log = FunctionLog(settings.state / "logs" / "functions.log", seen=figures.read)
        self._stack.callback(log.close)
        for spec in template.functions.values():
            await self._open_function(spec, place, log)
        triggers = self._triggers(template, service, place, log)
        queues = QueueServer(Operations(service, place), self._status_of(service, template))
        invoke_api = InvokeApi(self._by_physical_name(), _line_of(log, "invoke"))
        self._stack.push_async_callback(invoke_api.close)
        here: dict[str, Application] = {"sqs": queues, "sns": TopicServer(triggers.topics), "lambda": invoke_api}
        await self._serve(self._guarded(AwsServices(here, queues), queue_port), queue_socket)
        gateway = Gateway(template.apis, self._pools, port, place.region, mapping=settings.mapping, trust=trust)
        hosts = Hosts(settings.host, settings.allowed_hosts)
        await self._serve(LocalOnly(gateway, hosts, remedy=_ALLOW_HOST), gateway_socket)
        await self._serve_invoke_api(invoke_api)
        await self._serve_metrics(MetricsPage(figures, self._status_of(service, template)))
        self._stack.push_async_callback(self._drain, service)
        triggers.start()
        self._stack.push_async_callback(triggers.stop)
        if settings.reload:
            self._watch(template, place, log)

    @property
    def settings(self) -> Settings:
        """Return the settings with the ports in use, so that a new start keeps them."""
        urls = (self.gateway_url, self.queue_url, self.invoke_url, self.metrics_url)
        gateway, queue, invoke, metrics = (urlsplit(url).port for url in urls)
        return replace(
            self._settings, port=gateway or 0, queue_port=queue or 0, invoke_port=invoke, metrics_port=metrics
        )

    def _guarded(self, services: Application, port: int) -> Application:
        token = self._settings.queue_token
        app = TokenOnly(services, token, open_path=STATUS_PATH) if token else services
        return LocalOnly(app, Hosts(self._settings.host, port=port))

    async def _open_queues(self, template: Template) -> QueueService:
        store = Store(self._settings.state / "queues.sqlite3")
        self.notes = (store.note,) if store.note else ()
        service = QueueService(store)
        self._stack.callback(service.close)
        for queue in template.queues:
            await service.put_queue(queue.name, queue.attributes)
        for name in {event.queue for event in template.queue_events}:
            # Only this emulator's pollers read such a queue, and those of an earlier run have ended.
            await service.run(partial(Store.release, name=name))
        return service

    async def _open_function(self, spec: FunctionSpec, place: Place, log: FunctionLog) -> None:
        settings = self._settings
        if settings.functions_at:
            client = await self._stack.enter_async_context(httpx.AsyncClient(trust_env=False))
            self._pools[spec.name] = RemoteFunction(spec, settings.functions_at, client)
            self._stack.push_async_callback(self._pools[spec.name].close)
            return
        if spec.problem:
            self._pools[spec.name] = UnavailableFunction(spec)
            return
        launch = Launch(
            spec=with_folders(spec, self._code),
            variables=function_variables(spec, place, settings.overrides.of(spec.name), self._endpoints()),
            arn=place.arn("lambda", f"function:{spec.physical_name or spec.name}"),
            log=log,
            init_limit=settings.init_limit,
            freeze=settings.freeze,
        )
        limits = PoolLimits(settings.limit_of(spec), settings.wait_limit, settings.idle_limit)
        self._pools[spec.name] = Pool(launch, limits, self._gate)
        self._stack.push_async_callback(self._pools[spec.name].close)

    def _triggers(self, template: Template, service: QueueService, place: Place, log: FunctionLog) -> Triggers:
        return Triggers(
            template,
            self._pools,
            service,
            place,
            limit_of=self._limit_of,
            log=lambda name, line: log.write(f"{name}/trigger", line),
        )

    def _limit_of(self, function: str) -> int:
        """Return how many environments a function may have: none if it cannot run here."""
        pool = self._pools[function]
        return 0 if isinstance(pool, UnavailableFunction) else self._settings.limit_of(pool.spec)

    def _endpoints(self) -> Endpoints:
        return Endpoints(self.queue_url, self._settings.queue_token)

    async def _serve(self, app: Application, listener: socket.socket) -> None:
        server = HttpServer(app, listener, self._settings.grace)
        await server.start()
        self._servers.append(server)
        self._stack.push_async_callback(server.stop)

    async def _drain(self, service: QueueService) -> None:
        """Wait a moment for requests in progress, then end their environments, so that every request is answered."""
        for server in self._servers:
            server.refuse()
        service.end_polls()
        deadline = asyncio.get_running_loop().time() + self._settings.grace
        while any(pool.busy for pool in self._pools.values()) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    def _by_physical_name(self) -> dict[str, Invoker]:
        return {pool.spec.physical_name or pool.spec.name: pool for pool in self._pools.values()}

    async def _serve_invoke_api(self, api: InvokeApi) -> None:
        if self._settings.invoke_port is None:
            return
        listener = listen(self._settings.host, self._settings.invoke_port)
        self._stack.callback(listener.close)
        self.invoke_url = f"http://{_reachable(self._settings.host)}:{listener.getsockname()[1]}"
        port = listener.getsockname()[1]
        await self._serve(LocalOnly(api, Hosts(self._settings.host, port=port)), listener)

    async def _serve_metrics(self, page: MetricsPage) -> None:
        if self._settings.metrics_port is None:
            return
        listener = listen(self._settings.host, self._settings.metrics_port)
        self._stack.callback(listener.close)
        port = listener.getsockname()[1]
        self.metrics_url = f"http://{_reachable(self._settings.host)}:{port}/metrics"
        await self._serve(LocalOnly(page, Hosts(self._settings.host, port=port)), listener)

    def _watch(self, template: Template, place: Place, log: FunctionLog) -> None:
        """Give changed functions new environments; after a change of the template, set `outdated`."""
        line = _line_of(log, "emulator")

        def changed(names: list[str]) -> None:
            for name in names:
                line(f"RELOAD {name}")
                if name in self._pools:
                    self._renew(template.functions[name], line)
            if _TEMPLATE in names:
                self._template_changed(place)

        paths = {name: (spec.code, *spec.layers) for name, spec in template.functions.items()}
        watch = Watch(paths | {_TEMPLATE: (template.path,)}, changed)
        watch.start()
        self._stack.push_async_callback(watch.stop)

    def _renew(self, spec: FunctionSpec, line: Callable[[str], None]) -> None:
        """Unpack the code of a function again, if it is an archive, and give it new environments."""
        try:
            with_folders(spec, self._code)
        except (OSError, BadZipFile) as error:  # somebody still writes it
            line(f"RELOAD {spec.name} failed: {error}")
        else:
            self._pools[spec.name].retire()

    def _template_changed(self, place: Place) -> None:
        try:
            self._read(place)
        except TemplateError as error:
            print(f"{error}\nthe template as it was stays in use", file=sys.stderr, flush=True)
        else:
            self.outdated.set()

    def _status_of(self, service: QueueService, template: Template) -> Any:
        async def status() -> dict[str, Any]:
            names = [queue.name for queue in template.queues]
            depths = await service.run(lambda store: {name: store.depths(name) for name in names})
            functions = {name: pool.status() for name, pool in self._pools.items()}
            return {"functions": functions, "queues": depths, "receivers": service.waiting}

        return status

    @property
    def _code(self) -> Path:
        return self._settings.state / "code"

    def _read(self, place: Place) -> Template:
        """Read the template.

        Raises:
            TemplateError: it cannot be read, or none of its functions can run here.
        """
        settings = self._settings
        template = read_template(settings.template, place, settings.parameters, settings.overrides.of)
        if template.functions and len(self._not_run(template)) == len(template.functions):
            raise TemplateError("; ".join(self._not_run(template)))
        return template

    def _not_run(self, template: Template) -> tuple[str, ...]:
        """Return a line for each function that cannot run here; elsewhere it may."""
        if self._settings.functions_at:
            return ()
        return tuple(
            f"{template.path}:{spec.line}: {spec.name} is not run here: {spec.problem}"
            for spec in template.functions.values()
            if spec.problem
        )

    def _unknown_functions(self, template: Template) -> tuple[str, ...]:
        named = {*self._settings.overrides.functions, *self._settings.max_by_function}
        return tuple(f"the template has no function {name}" for name in sorted(named - set(template.functions)))


def _line_of(log: FunctionLog, function: str) -> Any:
    return lambda line: log.write(f"{function}/trigger", line)


def _reachable(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


async def run(settings: Settings, ready: Any, stopped: asyncio.Event) -> None:
    """Run the emulator until `stopped` is set; `ready` is called with it after each start."""
    while not stopped.is_set():
        async with Emulator(settings) as emulator:
            ready(emulator)
            settings = emulator.settings
            ends = [asyncio.ensure_future(event.wait()) for event in (stopped, emulator.outdated)]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()
