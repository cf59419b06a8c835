"""Servers that are in trouble, by name, so that a process of its own can make them too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backup_files import DATABASE_NAME, fill

from tokar.lab.calls import FaultInjector, Injection, InjectionKind
from tokar.lab.lab import open_lab
from tokar.lab.server import SimulatedServer
from tokar.testing.scripted_server import ScriptedServer

if TYPE_CHECKING:
    from tokar.server.contract import Server


def with_fault(source: str, fault: Injection) -> Server:
    return SimulatedServer(open_lab(Path(source.removeprefix("lab:"))), faults=[fault], injector=FaultInjector(die=int))


def hanging(source: str) -> Server:
    """A server whose third read never returns; in a process of its own it really does not."""
    lab = open_lab(Path(source.removeprefix("lab:")))
    return SimulatedServer(lab, faults=[Injection(InjectionKind.HANG, "read", nth=3)])


def not_truncating(source: str) -> Server:
    return with_fault(source, Injection(InjectionKind.FAIL, "truncate_logs", code=-1032))


def not_ending(source: str) -> Server:
    return with_fault(source, Injection(InjectionKind.FAIL, "end"))


def failing(source: str) -> Server:
    return with_fault(source, Injection(InjectionKind.FAIL, "backup_logs", code=-1022))


def damaged(_source: str) -> Server:
    """A server that hands out a damaged page without a word."""
    server = fill(ScriptedServer())
    data = bytearray(server.databases[DATABASE_NAME])
    data[-100] ^= 1
    server.databases[DATABASE_NAME] = bytes(data)
    return server
