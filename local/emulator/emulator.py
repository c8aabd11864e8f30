"""Puts the emulator together: template, queues, environments, gateway and triggers."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from local.emulator.asgi import Application
from local.emulator.environments.logs import FunctionLog
from local.emulator.environments.packages import RuntimePackages
from local.emulator.environments.variables import ENDPOINT, OWN_KEY, Endpoints, Surroundings
from local.emulator.functions import Functions
from local.emulator.gateway.app import Gateway
from local.emulator.gateway.invoke_api import InvokeApi
from local.emulator.gateway.outside import Trust, outside_warnings
from local.emulator.held_bodies import HeldBodies
from local.emulator.hosts import Hosts, LocalOnly, TokenOnly
from local.emulator.metrics import EmfFigures, MetricsPage
from local.emulator.moto.beside import MotoBeside
from local.emulator.reload import Watch, watched
from local.emulator.servers import Servers, port_of
from local.emulator.services import AwsServices
from local.emulator.settings import Settings
from local.emulator.sns.app import TopicServer
from local.emulator.specs import ApiSpec, Place, Template, TemplateError
from local.emulator.sqs.app import STATUS_PATH, QueueServer
from local.emulator.sqs.operations import Operations
from local.emulator.sqs.service import QueueService
from local.emulator.sqs.store import Store
from local.emulator.template.document import read_document
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
        self._servers = Servers(self._stack, settings.host, settings.grace)
        self.warnings: tuple[str, ...] = ()
        #: What was damaged and set aside at the start.
        self.notes: tuple[str, ...] = ()
        #: Where moto is, if it runs, and where the functions' output is.
        self.moto_url = ""
        self.log_path = settings.state / "logs" / "functions.log"
        self.gateway_url = self.queue_url = self.invoke_url = self.metrics_url = ""
        #: The URLs of functions that have one of their own.
        self.function_urls: dict[str, str] = {}
        self._bodies = HeldBodies()
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
        settings, servers = self._settings, self._servers
        gateway_door, services_door = servers.listen(settings.port), servers.listen(settings.queue_port)
        self.gateway_url, self.queue_url = servers.url(gateway_door), servers.url(services_door)
        self._place = Place(settings.region, self.queue_url)
        self.template = template = self._read()
        self._trust = Trust(tokens=settings.trust_tokens, open=settings.open_routes)
        self.warnings = self._warnings(template)
        queues = await self._open_queues(template)
        figures = EmfFigures()
        self._log = FunctionLog(self.log_path, seen=figures.read)
        self._stack.callback(self._log.close)
        moto = await self._start_moto(template)
        functions = Functions(self._stack, settings, self._place, self._surroundings(moto), self._log)
        await functions.open(template)
        triggers = Triggers(
            template, functions.by_id, queues, self._place, limit_of=functions.limit_of, log=self._trigger_log
        )
        if moto is not None and template.bucket_events:
            triggers.add(moto.bucket_events(triggers.targets.tell, partial(self._trigger_log, "buckets")))
        status = self._status_of(queues, functions)
        invoke_api = InvokeApi(functions.by_physical_name(), partial(self._trigger_log, "invoke"), held=self._bodies)
        self._stack.push_async_callback(invoke_api.close)
        services = self._services(QueueServer(Operations(queues, self._place), status), triggers, invoke_api)
        await self._serve_local(services, services_door)
        await self._serve_gateway(functions, template.apis, gateway_door)
        await self._serve_urls(functions)
        await self._serve_more(invoke_api, MetricsPage(figures, status))
        self._stack.push_async_callback(self._drain, queues, functions)
        triggers.start()
        self._stack.push_async_callback(triggers.stop)
        if settings.reload:
            self._watch(functions)

    @property
    def settings(self) -> Settings:
        """Return the settings with the ports in use, so that a new start keeps them."""
        urls = (self.gateway_url, self.queue_url, self.invoke_url, self.metrics_url)
        gateway, queue, invoke, metrics = (urlsplit(url).port for url in urls)
        own = {name: urlsplit(url).port or 0 for name, url in self.function_urls.items()}
        return replace(
            self._settings,
            port=gateway or 0,
            queue_port=queue or 0,
            invoke_port=invoke,
            metrics_port=metrics,
            url_ports={**self._settings.url_ports, **own},
        )

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

    async def _start_moto(self, template: Template) -> MotoBeside | None:
        if not self._settings.with_moto:
            return None
        moto = MotoBeside(self._stack, template, self._place)
        await moto.start(self._settings.state / "logs" / "moto.log")
        self.warnings += tuple(moto.warnings)
        self.moto_url = moto.url
        return moto

    def _surroundings(self, moto: MotoBeside | None) -> Surroundings:
        """Give functions what they find on Lambda, and the folders of the settings, but not what is installed here."""
        runtime = RuntimePackages(self._settings.state / "runtime")
        runtime.link()
        endpoints = Endpoints(self.queue_url, self._settings.queue_token, moto.url if moto else "")
        return Surroundings(endpoints, runtime.folder, self._settings.packages)

    def _services(self, queues: QueueServer, triggers: Triggers, invoke_api: InvokeApi) -> Application:
        """Return what functions call: queues, topics, and each other."""
        here: dict[str, Application] = {"sqs": queues, "sns": TopicServer(triggers.topics), "lambda": invoke_api}
        app, token = AwsServices(here, queues), self._settings.queue_token
        return TokenOnly(app, token, open_path=STATUS_PATH) if token else app

    async def _serve_local(self, app: Application, door: socket.socket) -> str:
        """Serve what only this machine may call, by the port's own name, and return its URL."""
        hosts = Hosts(self._settings.host, port=port_of(door))
        await self._servers.serve(LocalOnly(app, hosts), door)
        return self._servers.url(door)

    async def _serve_gateway(self, functions: Functions, apis: Sequence[ApiSpec], door: socket.socket) -> None:
        settings = self._settings
        gateway = Gateway(
            apis,
            functions.by_id,
            port_of(door),
            settings.region,
            mapping="" if apis and apis[0].url else settings.mapping,
            trust=self._trust,
            held=self._bodies,
        )
        hosts = Hosts(settings.host, settings.allowed_hosts)
        await self._servers.serve(LocalOnly(gateway, hosts, remedy=_ALLOW_HOST), door)

    async def _serve_urls(self, functions: Functions) -> None:
        """Serve the URLs of functions, each on a port of its own."""
        settings = self._settings
        for number, api in enumerate(self.template.urls):
            function = api.routes[0].function
            port = settings.url_ports.get(function, settings.url_port and settings.url_port + number)
            door = self._servers.listen(port)
            await self._serve_gateway(functions, (api,), door)
            self.function_urls[function] = self._servers.url(door)

    async def _serve_more(self, invoke_api: InvokeApi, page: MetricsPage) -> None:
        """Serve what is served only if a port is given."""
        if self._settings.invoke_port is not None:
            self.invoke_url = await self._serve_local(invoke_api, self._servers.listen(self._settings.invoke_port))
        if self._settings.metrics_port is not None:
            url = await self._serve_local(page, self._servers.listen(self._settings.metrics_port))
            self.metrics_url = f"{url}/metrics"

    async def _drain(self, queues: QueueService, functions: Functions) -> None:
        """Accept nothing more, and let functions answer, so that every request is answered."""
        self._servers.refuse()
        queues.end_polls()
        await functions.drain()

    def _watch(self, functions: Functions) -> None:
        """Give changed functions new environments; after a change of the template, set `outdated`."""

        def changed(names: list[str]) -> None:
            for name in names:
                self._trigger_log("emulator", f"RELOAD {name}")
                functions.renew(name)
            if _TEMPLATE in names:
                self._template_changed()

        watch = Watch(watched(self.template, _TEMPLATE), changed)
        watch.start()
        self._stack.push_async_callback(watch.stop)

    def _template_changed(self) -> None:
        try:
            self._read()
        except TemplateError as error:
            print(f"{error}\nthe template as it was stays in use", file=sys.stderr, flush=True)
        else:
            self.outdated.set()

    def _status_of(self, queues: QueueService, functions: Functions) -> Callable[[], Awaitable[dict[str, Any]]]:
        names = [queue.name for queue in self.template.queues]

        async def status() -> dict[str, Any]:
            depths = await queues.run(lambda store: {name: store.depths(name) for name in names})
            return {"functions": functions.status(), "queues": depths, "receivers": queues.waiting}

        return status

    def _read(self) -> Template:
        """Read the template.

        Raises:
            TemplateError: it cannot be read, or none of its functions can run here.
        """
        settings, parameters = self._settings, self._settings.parameters
        if settings.config_parameters:
            declared = read_document(settings.template).section("Parameters")
            given = {name: value for name, value in settings.config_parameters.items() if name in declared}
            parameters = {**given, **parameters}
        template = read_template(settings.template, self._place, parameters, settings.overrides.of)
        if settings.functions_at:
            return template.elsewhere()
        if template.functions and len(_not_run(template)) == len(template.functions):
            raise TemplateError("; ".join(_not_run(template)))
        return template.startable()

    def _warnings(self, template: Template) -> tuple[str, ...]:
        """Return what is not as on AWS, what nothing answers at all first."""
        return (
            *_not_run(template),
            *outside_warnings((*template.apis, *template.urls), self._trust),
            *self._without_moto(template),
            *(() if self._settings.packages else template.unbuilt),
            *template.warnings,
            *self._unknown_functions(template),
        )

    def _without_moto(self, template: Template) -> tuple[str, ...]:
        """Return what is missing because no moto runs and nothing else was named for the stores of the template."""
        if self._settings.with_moto or self._settings.functions_at:
            return ()
        buckets = sorted({event.bucket for event in template.bucket_events})
        heard = (f"events of bucket {', '.join(buckets)} come with --with-moto only",) if buckets else ()
        given = {name for one in template.functions for name in self._settings.overrides.of(one)}
        if not template.stores or any(name.startswith(ENDPOINT) or name == OWN_KEY for name in given):
            return heard
        names = ", ".join(store.logical_id for store in template.stores)
        return (*heard, f"{names}: not made here, and calls to their services are refused; --with-moto makes them")

    def _unknown_functions(self, template: Template) -> tuple[str, ...]:
        named = {*self._settings.overrides.functions, *self._settings.max_by_function}
        return tuple(f"the template has no function {name}" for name in sorted(named - set(template.functions)))

    def _trigger_log(self, name: str, line: str) -> None:
        self._log.write(f"{name}/trigger", line)


def _not_run(template: Template) -> tuple[str, ...]:
    """Return a line for each function that cannot run here."""
    return tuple(
        f"{template.path}:{spec.line}: {spec.name} is not run here: {spec.problem}"
        for spec in template.functions.values()
        if spec.problem
    )


async def run(settings: Settings, ready: Callable[[Emulator], None], stopped: asyncio.Event) -> None:
    """Run the emulator until `stopped` is set; `ready` is called with it after each start."""
    while not stopped.is_set():
        async with Emulator(settings) as emulator:
            ready(emulator)
            settings = emulator.settings
            ends = [asyncio.ensure_future(event.wait()) for event in (stopped, emulator.outdated)]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()
