"""An authority on loopback in front of a simulated server at work, and its client."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ca_double import CaDouble, Settings

from tokar.lab.lab import create_lab
from tokar.lab.server import SimulatedServer
from tokar.live.ca import CaServer
from tokar.rpc.auth import Credentials, Mechanism
from tokar.rpc.remote_object import ServerPlace
from tokar.server.deadline import Deadlines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def authority(folder: Path, **settings: Any) -> Iterator[CaDouble]:
    """Give a double that behaves as asked; its server is a lab in a folder."""
    lab = create_lab(folder / "lab", "certadm")
    lab.start()
    lab.work(20)
    with CaDouble(SimulatedServer(lab), Settings(**settings)) as double:
        yield double


def place_of(
    double: CaDouble,
    *,
    user: str = "LAB\\backup",
    password: str = "Secret-1",
    mechanism: Mechanism = Mechanism.NTLM,
    **changes: Any,
) -> ServerPlace:
    """Return how a double is asked."""
    changes.setdefault("seconds", 10.0)
    return ServerPlace(double.host, double.port, Credentials(user, password, mechanism), **changes)


def server_of(double: CaDouble, *, name: str | None = "RootCA", truncates: bool = True, **changes: Any) -> CaServer:
    """Return the client of a double."""
    place = place_of(double, **changes)
    deadlines = Deadlines(call=place.seconds, first_read=place.seconds, read=place.seconds, end=place.seconds)
    return CaServer(place, name, deadlines=deadlines, truncates=truncates)
