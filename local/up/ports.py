"""Checks the ports of the parts before anything is started: each must be free, and none used twice."""

from __future__ import annotations

import socket
from collections.abc import Iterable

import psutil

from local.up.errors import UpError
from local.up.parts import Part
from local.up.settings import variable_of

__all__ = ["refuse_taken_ports"]

HIGHEST = 65_535


def refuse_taken_ports(parts: Iterable[Part], host: str, *, command: str = "make up") -> None:
    """Raise UpError when two options name one port, or when another program holds one; ``command`` takes ARGS."""
    wanted = [(option, port, part.host or host) for part in parts for option, port in part.ports.items()]
    seen: dict[int, str] = {}
    for option, port, _ in wanted:
        if not 0 < port <= HIGHEST:
            raise UpError(f"{_named(option)} must be a port from 1 to {HIGHEST}, not {port}")
        if port in seen:
            other = seen[port]
            raise UpError(f"{_named(other)} and {_named(option)} are both {port}; {_fix(option, command)}")
        seen[port] = option
    for option, port, where in wanted:
        if _taken(where, port):
            raise UpError(f"port {port} for {option} is in use{_user_of(port)}; {_fix(option, command)}")


def _named(option: str) -> str:
    variable = variable_of(option)
    return f"--{option} ({variable})" if variable else f"--{option}"


def _fix(option: str, command: str) -> str:
    variable = variable_of(option)
    return f"choose another: {command} ARGS='--{option} PORT'{f' (or {variable})' if variable else ''}"


def _taken(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def _user_of(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})" if connection.pid else ""
    except (psutil.Error, OSError):
        pass  # On some systems only the superuser may see this; the port's number is enough.
    return ""
