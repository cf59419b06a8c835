"""The contract of `tokar.server.contract` as tests: every implementation runs them.

::

    class TestMine(LogsOnlyContract):
        def make_server(self, folder: Path) -> Server:
            return MyServer(...)

Derive a class named `Test...` from `BackupContract` or `LogsOnlyContract`, and from `RestoreContract` where a server is
restored to, and say how a server is made; a fixture `server` of the class does as well. It has a database and a log at
least, and none of its files is empty. `pytest.register_assert_rewrite("tokar.testing.server_contract")` in conftest.py,
before anything else, makes failures speak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from tokar import codes
from tokar.server.contract import (
    BackupContext,
    BackupType,
    EndOfFile,
    NameList,
    Outcome,
    Registration,
    Server,
    ServerError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokar.namelist import ListedName

WRONG_ORDER = {codes.INVALID_BACKUP_SEQUENCE, codes.INVALID_HANDLE, codes.ALREADY_OPEN, codes.UNEXPECTED}


def fails(call: object, *arguments: object) -> int:
    """Make a call that must fail with a code, and return the code."""
    assert callable(call)
    with pytest.raises(ServerError) as caught:
        call(*arguments)
    return caught.value.code


def content_of(context: BackupContext, server: Server, name: ListedName) -> bytes:
    """Read a file the way a client does that knows no more than the contract."""
    announced = context.open(name.raw_name)
    parts = []
    left = announced
    while left:
        buffer = bytearray(min(left, server.dialect.read_size))
        count = context.read(memoryview(buffer))
        assert 0 < count <= len(buffer), "a file ends at its announced size, not before"
        parts.append(bytes(buffer[:count]))
        left -= count
    context.close()
    return b"".join(parts)


class ServerFactory:
    """Where the server of a contract comes from."""

    def make_server(self, folder: Path) -> Server:
        """Return a server, as new; `folder` is empty and this test's own."""
        raise NotImplementedError("say here how a server is made, or define the fixture `server`")

    @pytest.fixture
    def server(self, tmp_path: Path) -> Server:
        """The server of one test."""
        return self.make_server(tmp_path)


class BackupContract(ServerFactory):
    """What every server keeps while it is backed up."""

    @pytest.fixture
    def context(self, server: Server) -> Iterator[BackupContext]:
        context = server.prepare_backup(BackupType.FULL)
        yield context
        try:
            context.end(Outcome.ABORT)
        except ServerError as error:
            assert error.code == codes.INVALID_HANDLE  # noqa: PT017 - the test ended it

    @staticmethod
    def taken(given: NameList) -> tuple[ListedName, ...]:
        given.free()
        return given.entries

    def read_databases(self, context: BackupContext, server: Server) -> list[bytes]:
        return [content_of(context, server, name) for name in self.taken(context.database_names())]

    def read_logs(self, context: BackupContext, server: Server) -> list[bytes]:
        return [content_of(context, server, name) for name in self.taken(context.backup_logs())]

    def test_a_full_lists_databases_with_tokens(self, context: BackupContext) -> None:
        entries = self.taken(context.database_names())
        assert entries
        assert all(entry.token is not None and entry.token & 0x40 and entry.raw_name for entry in entries)

    def test_a_second_prepare_is_refused(self, server: Server, context: BackupContext) -> None:
        fails(server.prepare_backup, BackupType.FULL)
        assert self.taken(context.database_names())

    def test_after_end_a_new_backup_can_begin(self, server: Server, context: BackupContext) -> None:
        context.end(Outcome.ABORT)
        server.prepare_backup(BackupType.FULL).end(Outcome.ABORT)

    def test_a_type_that_the_dialect_lacks_is_refused(self, server: Server) -> None:
        if BackupType.LOGS_ONLY in server.dialect.types:
            pytest.skip("the dialect has both types")
        fails(server.prepare_backup, BackupType.LOGS_ONLY)

    def test_every_database_reads_to_its_announced_size(self, server: Server, context: BackupContext) -> None:
        assert all(self.read_databases(context, server))

    def test_every_log_reads_to_its_announced_size(self, server: Server, context: BackupContext) -> None:
        self.read_databases(context, server)
        self.read_logs(context, server)

    def test_the_end_shows_as_the_dialect_says(self, server: Server, context: BackupContext) -> None:
        name = self.taken(context.database_names())[0]
        left = context.open(name.raw_name)
        buffer = memoryview(bytearray(server.dialect.read_size))
        while left:
            count = context.read(buffer)
            left -= count
            if server.dialect.end_of_file is EndOfFile.SHORT_READ and count < len(buffer):
                assert not left
        if server.dialect.end_of_file is EndOfFile.HANDLE_EOF:
            assert codes.is_end_of_file(fails(context.read, buffer))
        else:
            assert context.read(buffer) == 0

    def test_reading_again_from_the_start_takes_a_new_open(self, context: BackupContext) -> None:
        name = self.taken(context.database_names())[0]
        size = context.open(name.raw_name)
        buffer = memoryview(bytearray(4096))
        assert 0 < context.read(buffer) <= 4096
        context.close()
        assert context.open(name.raw_name) == size
        context.close()

    def test_a_second_open_is_refused(self, context: BackupContext) -> None:
        name = self.taken(context.database_names())[0]
        context.open(name.raw_name)
        assert fails(context.open, name.raw_name) in WRONG_ORDER
        context.close()

    def test_read_without_open_is_refused(self, context: BackupContext) -> None:
        assert fails(context.read, memoryview(bytearray(4096))) in WRONG_ORDER

    def test_close_without_open_is_refused(self, context: BackupContext) -> None:
        assert fails(context.close) in WRONG_ORDER

    def test_a_name_that_was_not_listed_is_refused(self, context: BackupContext) -> None:
        self.taken(context.database_names())
        fails(context.open, "no-such-file.edb".encode("utf-16-le"))

    def test_a_name_with_its_token_is_refused(self, context: BackupContext) -> None:
        name = self.taken(context.database_names())[0]
        fails(context.open, b"D\0" + name.raw_name)

    def test_logs_are_not_listed_while_a_file_is_open(self, server: Server, context: BackupContext) -> None:
        if server.dialect.profile == "edbbcli":
            pytest.skip("Exchange accepted it, with a backup that could not be restored (Q256347)")
        name = self.taken(context.database_names())[0]
        context.open(name.raw_name)
        assert fails(context.backup_logs) in WRONG_ORDER
        context.close()

    def test_after_the_log_list_no_database_opens(self, server: Server, context: BackupContext) -> None:
        names = self.taken(context.database_names())
        for name in names:
            content_of(context, server, name)
        self.taken(context.backup_logs())
        assert fails(context.open, names[0].raw_name) in WRONG_ORDER

    def test_the_log_list_is_made_once(self, server: Server, context: BackupContext) -> None:
        self.read_databases(context, server)
        assert self.taken(context.backup_logs()) == self.taken(context.backup_logs())

    def test_no_name_is_listed_twice(self, server: Server, context: BackupContext) -> None:
        databases = self.taken(context.database_names())
        for name in databases:
            content_of(context, server, name)
        both = [(name.token, name.raw_name) for name in (*databases, *self.taken(context.backup_logs()))]
        assert len(set(both)) == len(both)

    def test_lists_are_held_until_they_are_freed(self, context: BackupContext) -> None:
        names = context.database_names()
        held = not names.freed
        names.free()
        assert (held, names.freed) == (True, True)

    def test_a_list_cannot_be_freed_twice(self, context: BackupContext) -> None:
        names = context.database_names()
        names.free()
        fails(names.free)

    def test_end_with_a_list_held_shows_the_leak(self, context: BackupContext) -> None:
        names = context.database_names()
        context.end(Outcome.ABORT)
        assert not names.freed

    def test_locations_may_be_asked_for_at_any_time(self, server: Server, context: BackupContext) -> None:
        if not server.dialect.locations_in_backup:
            pytest.skip("the dialect has locations at restore only")
        before = self.taken(context.database_locations())
        name = self.taken(context.database_names())[0]
        context.open(name.raw_name)
        assert self.taken(context.database_locations()) == before
        context.close()

    def test_truncation_before_the_log_list_is_refused(self, context: BackupContext) -> None:
        fails(context.truncate_logs)

    def test_truncation_before_every_log_was_read_is_refused(self, server: Server, context: BackupContext) -> None:
        self.read_databases(context, server)
        if not self.taken(context.backup_logs()):
            pytest.skip("there is no log")
        fails(context.truncate_logs)

    def test_truncation_succeeds_where_it_exists_and_never_elsewhere(
        self, server: Server, context: BackupContext
    ) -> None:
        self.read_databases(context, server)
        self.read_logs(context, server)
        if server.truncates:
            context.truncate_logs()
            context.end(Outcome.SUCCESS)
        else:
            fails(context.truncate_logs)

    def test_end_may_come_at_any_time(self, server: Server, context: BackupContext) -> None:
        name = self.taken(context.database_names())[0]
        context.open(name.raw_name)
        context.read(memoryview(bytearray(4096)))
        context.end(Outcome.ABORT)
        server.prepare_backup(BackupType.FULL).end(Outcome.ABORT)

    def test_nothing_works_after_end(self, context: BackupContext) -> None:
        context.end(Outcome.ABORT)
        for call in (context.database_names, context.backup_logs, context.close, context.truncate_logs):
            fails(call)
        fails(context.open, b"x")
        fails(context.end, Outcome.SUCCESS)


class LogsOnlyContract(BackupContract):
    """For servers that may be asked for logs only, once the fixture `after_full` took a full."""

    @pytest.fixture
    def after_full(self, server: Server) -> None:
        """A full that was read to its end and truncated. Override it where users have to work after it."""
        if BackupType.LOGS_ONLY not in server.dialect.types:
            pytest.skip("the dialect has no logs only")
        context = server.prepare_backup(BackupType.FULL)
        self.read_databases(context, server)
        self.read_logs(context, server)
        if server.truncates:
            context.truncate_logs()
        context.end(Outcome.SUCCESS)

    @pytest.mark.usefixtures("after_full")
    def test_logs_only_lists_no_databases(self, server: Server) -> None:
        context = server.prepare_backup(BackupType.LOGS_ONLY)
        assert fails(context.database_names) in WRONG_ORDER
        context.end(Outcome.ABORT)

    @pytest.mark.usefixtures("after_full")
    def test_logs_only_reads_logs(self, server: Server) -> None:
        context = server.prepare_backup(BackupType.LOGS_ONLY)
        assert self.read_logs(context, server)
        context.end(Outcome.SUCCESS)


class RestoreContract(ServerFactory):
    """What every server keeps while it is restored."""

    FULL: ClassVar = Registration("C:\\sys", "C:\\log", (("a.edb", "b.edb"),), "C:\\log", 5, 7)

    def test_locations_say_where_things_go(self, server: Server) -> None:
        context = server.prepare_restore(b"token" if server.dialect.has_expiry_token else None)
        given = context.database_locations()
        given.free()
        assert {0x82, 0x83} <= {entry.token for entry in given.entries}
        context.end()

    def test_a_registration_is_an_interlock(self, server: Server) -> None:
        context = server.prepare_restore(b"token" if server.dialect.has_expiry_token else None)
        context.register(self.FULL)
        assert fails(context.register, self.FULL) == codes.RESTORE_IN_PROGRESS
        context.register_complete(0)
        context.end()

    def test_completion_without_a_registration_is_refused(self, server: Server) -> None:
        context = server.prepare_restore(b"token" if server.dialect.has_expiry_token else None)
        fails(context.register_complete, 0)
        context.end()

    def test_without_its_token_a_context_is_good_for_locations_alone(self, server: Server) -> None:
        if not server.dialect.has_expiry_token:
            pytest.skip("the dialect has no expiry token")
        context = server.prepare_restore()
        context.database_locations().free()
        assert fails(context.register, self.FULL) == codes.MISSING_EXPIRY_TOKEN
        context.end()

    def test_nothing_works_after_the_end_of_a_restore(self, server: Server) -> None:
        context = server.prepare_restore(b"token" if server.dialect.has_expiry_token else None)
        context.end()
        fails(context.database_locations)
        fails(context.register, self.FULL)
