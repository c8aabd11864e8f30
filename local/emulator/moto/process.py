"""moto's process: started before the functions, ended with the emulator, and what it prints kept in a file."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from pathlib import Path

from local.emulator.environments.process import Process
from local.emulator.specs import TemplateError

__all__ = ["MotoProcess"]

#: Seconds for moto's start, whose imports take most of it.
_START_SECONDS = 120.0


class MotoProcess:
    """One moto; what it holds is lost when it ends."""

    def __init__(self, log: Path) -> None:
        self._log_path = log
        self._process: Process | None = None
        self._port: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def start(self) -> str:
        """Start it and return its URL.

        Raises:
            TemplateError: moto is not installed, or ends at once.
        """
        if importlib.util.find_spec("moto") is None:
            raise TemplateError("--with-moto: moto is not installed here: pip install 'moto[server]'")
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        self._log_path.write_bytes(b"")
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        command = [sys.executable, "-m", "local.emulator.moto.server"]
        self._process = await Process.start(command, variables, self._log_path.parent)
        self._process.watch(self._read, self._ended, _at_once)
        try:
            port = await asyncio.wait_for(asyncio.shield(self._port), _START_SECONDS)
        except TimeoutError:
            raise TemplateError(f"--with-moto: moto does not start, see {self._log_path}") from None
        return f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            await self._process.gone()

    def _read(self, lines: list[bytes]) -> None:
        for line in lines:
            if not self._port.done() and line.startswith(b'{"port"'):
                self._port.set_result(int(json.loads(line)["port"]))
        with self._log_path.open("ab") as file:
            file.write(b"".join(line + b"\n" for line in lines))

    def _ended(self, code: int) -> None:
        if not self._port.done():
            self._port.set_exception(TemplateError(f"--with-moto: moto ended with {code}, see {self._log_path}"))


async def _at_once() -> None:
    """Wait for no connections: nothing follows from those of moto."""
