"""Many small files that nobody has looked at, packed by several processes.

Where an entry stands says what its records are, and its content says how much room it takes. So runs of neighbouring
files are handed out in their order, to forked copies of this process: one reads its run and says how much room that
takes; it is told where the run begins as soon as that is known of all before it; it packs, and this process writes the
runs in their order. The archive is the same, byte for byte, as if this process had done all of it.

A copy that meets anything unusual (a large file, one that has changed, one that should be examined) gives its run back,
and this process adds those files one by one: it meets the same, with all that belongs to it. If a copy dies, all of
them are ended, and this process does what is left. They end by themselves when this process is gone.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from itertools import islice
from typing import Final

from tokar import signals
from tokar.collect.collecting import SMALL_SIZE, Collecting, read_usual, two_files
from tokar.collect.examine import may_be_ese
from tokar.collect.found import OtherFile, Rest
from tokar.errors import ArchiveError
from tokar.format.ledger import NO_ENTRIES, PackedRun, RunSizes, RunStart
from tokar.format.records import PAGE_ENTRY_SIZE
from tokar.format.small_run import Run
from tokar.names import SeenDigests
from tokar.processes import ForkedCopy, fork
from tokar.tokens import UNKNOWN

_MANY: Final = 2000  # files from which on copies are worth forking
_LONGEST: Final = 256  # files of a run
_CONTENT: Final = 1 << 20  # bytes of content of a run, about
_LIST_ROOM: Final = 1 << 18  # bytes of the list of a run
_ROOM: Final = 4 << 20  # bytes of a packed run
_MESSAGE: Final = struct.Struct("<QQQQQ")  # what it is, and up to four numbers
_LISTED, _BEGINS = range(2)  # to a copy: a run is to be read; it begins there
_READ, _PACKED, _BACK = range(3)  # from a copy


def add_rest(work: Collecting, rest: Rest, processes: int) -> None:
    """Add everything else in the folders, by several processes where there are many small files.

    Raises:
        ArchiveError: As `Collecting.add`, and where a folder cannot be read.
    """
    files = rest.walk()
    if processes > 1 and rest.count >= _MANY and rest.size <= rest.count * SMALL_SIZE:
        length = min(max(_CONTENT * rest.count // max(rest.size, 1), 1), _LONGEST)
        packers = Packers(work, processes)
        try:
            files = packers.add(files, length)
        finally:
            packers.end()
    for one in files:
        work.add(one, None)


class _State(Enum):
    """How far a run is."""

    LISTED = auto()  # It is being read
    READ = auto()  # It is known how much room it takes
    BEGUN = auto()  # It is being packed
    PACKED = auto()
    BACK = auto()  # This process has to do it


class _Packer(ForkedCopy):
    """A copy, seen from where it was forked."""

    def __init__(self, process: int, pipe: int, orders: int, memory: mmap.mmap) -> None:
        super().__init__(process, pipe)
        self._orders = orders
        self.memory = memory

    def send(self, kind: int, *values: int) -> None:
        """Send a message. Raises OSError where it is gone."""
        os.write(self._orders, _MESSAGE.pack(kind, *values, *[0] * (4 - len(values))))

    def let_go(self) -> None:
        """Close what leads to it."""
        os.close(self._orders)
        os.close(self.pipe)

    def end(self) -> None:
        """End it, and wait until it is gone."""
        super().end()
        os.close(self._orders)


@dataclass(slots=True)
class _HandedRun:
    """A run that a copy is at."""

    files: tuple[OtherFile, ...]
    packer: _Packer
    state: _State = _State.LISTED
    sizes: RunSizes = NO_ENTRIES

    def packed(self) -> PackedRun:
        """Return the run in the memory that both share."""
        sizes, at, parts, memory = self.sizes, _LIST_ROOM, [], memoryview(self.packer.memory)
        for size in (sizes.records, sizes.names, sizes.entries * PAGE_ENTRY_SIZE, sizes.entries * SeenDigests.SIZE):
            parts.append(memory[at : at + size])
            at += size
        return PackedRun(sizes, *parts)


class Packers:
    """Copies of this process that pack runs of small files.

    Args:
        work: What adds files here.
        count: How many copies; fewer if the system refuses.
    """

    def __init__(self, work: Collecting, count: int) -> None:
        self._work = work
        self._packers: list[_Packer] = []
        self._runs: deque[_HandedRun] = deque()  # in their order
        self._listed = work.writer.entry_count  # with all that were handed out
        self._failure: ArchiveError | None = None  # of the walk
        try:
            with suppress(OSError):
                for _ in range(count):
                    with signals.held():
                        self._packers.append(self._forked())
        except BaseException:
            self.end()
            raise

    def _forked(self) -> _Packer:
        memory = mmap.mmap(-1, _LIST_ROOM + _ROOM)
        pipes = [*os.pipe(), *os.pipe()]
        orders, to_copy, pipe, answers = pipes
        try:
            process = fork(partial(self._serve, orders, answers, memory, (to_copy, pipe)))
        except OSError:
            for one in pipes:
                os.close(one)
            raise
        os.close(orders)
        os.close(answers)
        return _Packer(process, pipe, to_copy, memory)

    def end(self) -> None:
        """End the copies, and wait until they are gone."""
        while self._packers:
            self._packers.pop().end()

    def add(self, files: Iterator[OtherFile], length: int) -> Iterator[OtherFile]:
        """Add files in runs.

        Args:
            files: The files.
            length: How many are a run.

        Returns:
            Those that are left, because a copy died.

        Raises:
            ArchiveError: As `Collecting.add`, and where the files cannot be found.
        """
        try:
            while self._packers:
                self._hand_out(files, length)
                if not self._runs:
                    break
                self._begin()
                if self._runs[0].state in (_State.PACKED, _State.BACK):
                    self._finish(self._runs[0])
                    self._runs.popleft()
                else:
                    self._listen()
        except _GoneError:
            self.end()
        if self._failure is not None and not self._runs:
            raise self._failure
        return self._left(files)

    def _left(self, files: Iterator[OtherFile]) -> Iterator[OtherFile]:
        for run in self._runs:
            yield from run.files
        if self._failure is not None:
            raise self._failure
        yield from files

    def _hand_out(self, files: Iterator[OtherFile], length: int) -> None:
        """Give a run to each copy that reads none."""
        busy = {id(run.packer) for run in self._runs if run.state in (_State.LISTED, _State.READ)}
        for packer in self._packers:
            if id(packer) in busy or self._failure is not None:
                continue
            taken: list[OtherFile] = []
            try:
                taken.extend(islice(files, length))
            except ArchiveError as error:  # said when all before it are added
                self._failure = error
            if not taken:
                return
            run = _HandedRun(tuple(taken), packer)
            self._runs.append(run)
            texts = [text for path, name, _ in taken for text in (path, name)]
            listed = "\0".join(texts).encode(errors="surrogatepass")
            if len(listed) > _LIST_ROOM:
                run.state = _State.BACK
            else:
                packer.memory[: len(listed)] = listed
                _told(packer, _LISTED, len(listed), self._listed)
            self._listed += len(taken)

    def _begin(self) -> None:
        """Tell copies where their runs begin, as far as that is known."""
        start, writer, before = self._work.writer.run_start, self._work.writer, set()
        for run in self._runs:
            if run.state is _State.READ and id(run.packer) not in before and writer.takes_run(start, run.sizes):
                _told(run.packer, _BEGINS, *start)
                run.state = _State.BEGUN
            if run.state not in (_State.BEGUN, _State.PACKED):
                break
            before.add(id(run.packer))  # its memory is in use
            start = start.after(run.sizes)
        if self._runs[0].state is _State.READ:  # it does not belong on this page of the index
            self._runs[0].state = _State.BACK

    def _finish(self, run: _HandedRun) -> None:
        """Add the first run."""
        if run.state is _State.BACK:
            for one in run.files:
                self._work.add(one, None)
            return
        new = self._work.writer.add_run(run.packed())
        if new < len(run.files):
            raise two_files(run.files[new])
        if self._work.progress:
            self._work.progress(run.sizes.content)

    def _listen(self) -> None:
        """Wait until a copy says something."""
        poll = select.poll()
        at = {packer.pipe: packer for packer in self._packers}
        for pipe in at:
            poll.register(pipe, select.POLLIN)
        for pipe, _ in poll.poll():
            message = os.read(pipe, _MESSAGE.size)
            if not message:
                raise _GoneError
            kind, *sizes = _MESSAGE.unpack(message)
            own = [run for run in self._runs if run.packer is at[pipe]]
            if kind == _PACKED:
                next(run for run in own if run.state is _State.BEGUN).state = _State.PACKED
            else:
                own[-1].state = _State.READ if kind == _READ else _State.BACK
                own[-1].sizes = RunSizes(*sizes)

    def _serve(self, orders: int, answers: int, memory: mmap.mmap, others: tuple[int, int]) -> None:
        """Read and pack runs in a copy, until nobody has one."""
        for other in others:
            os.close(other)
        for packer in self._packers:
            packer.let_go()
        while message := os.read(orders, _MESSAGE.size):
            kind, *values = _MESSAGE.unpack(message)
            if kind == _LISTED:
                size, first, *_ = values
                run = self._read(memory[:size], first)
                answer = (_BACK, 0, 0, 0, 0) if run is None else (_READ, *run.sizes)
            else:
                assert run is not None
                _, *parts = run.pack(RunStart(*values[:3]))
                memory.seek(_LIST_ROOM)
                for part in parts:
                    memory.write(part)
                answer = (_PACKED, 0, 0, 0, 0)
            os.write(answers, _MESSAGE.pack(*answer))

    def _read(self, listed: bytes, first: int) -> Run | None:
        """Return a run that is read; None where it is not for a copy."""
        writer, examined = self._work.writer, self._work.findings is not None
        run = writer.new_run(first)
        fields = iter(listed.decode(errors="surrogatepass").split("\0"))
        try:
            for path, name in zip(fields, fields, strict=True):
                if (usual := read_usual(path)) is None:
                    return None
                content, state = usual
                if examined and may_be_ese(content, UNKNOWN):
                    return None
                size, modified = len(content), state.kept_time
                file = writer.file_record(UNKNOWN, name, announced_size=size, modified=modified, number=run.next)
                run.add(file, content)
        except ArchiveError:
            return None
        room = run.records + run.names + len(run.files) * (PAGE_ENTRY_SIZE + SeenDigests.SIZE)
        return run if room <= _ROOM else None


class _GoneError(Exception):
    """A copy is gone."""


def _told(packer: _Packer, kind: int, *values: int) -> None:
    """Send a message to a copy."""
    try:
        packer.send(kind, *values)
    except OSError as error:
        raise _GoneError from error
