"""Chains that are restored to a server, again where a run did not come to its end."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chain_stories import new_story, take
from server_parts import parts_of

from tokar.format.archive import Archive
from tokar.lab.server import SimulatedServer
from tokar.restore.place import PlacingStoppedError
from tokar.server.contract import BackupKind, ServerError
from tokar.server.run_restore import restore_to_server

if TYPE_CHECKING:
    from pathlib import Path

    from chain_stories import Contents

    from tokar.lab.lab import Lab


@dataclass(frozen=True)
class SetsToRestore:
    """A chain, and what must be there when it is restored."""

    sets: tuple[Path, ...]  # The full first
    expected: tuple[Contents, ...]  # After each of them


def chain_of_sets(folder: Path, profile: str) -> SetsToRestore:
    """Return a full, and an incremental where there are such."""
    story = new_story(folder / "server", profile, databases=1, work=5)
    sets = [take(story, folder / "0.tokar", BackupKind.FULL)]
    if profile != "ntdsbcli":
        story.lab.work(5)
        sets.append(take(story, folder / "1.tokar", BackupKind.INCREMENTAL, before=tuple(sets)))
    return SetsToRestore(tuple(one.path for one in sets), tuple(one.expected for one in sets))


def restore_chain(lab: Lab, chain: SetsToRestore, **options: bool) -> None:
    with ExitStack() as stack:
        archives = [stack.enter_context(Archive(path)) for path in chain.sets]
        restore_to_server(SimulatedServer(lab, running=False), parts_of(archives), **options)  # type: ignore[arg-type]


def restore_again(lab: Lab, chain: SetsToRestore) -> None:
    """Run the same restore, by the option that it names where it is refused."""
    try:
        restore_chain(lab, chain)
    except (ServerError, PlacingStoppedError) as error:
        assert "--take-over" in str(error.hint)  # noqa: PT017 - one of several ways to go on
        restore_chain(lab, chain, take_over=True)
