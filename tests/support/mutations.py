"""What can happen to a set of files between a server and an archive: one function for each kind, named by what it does.

A mutation takes what is tried and changes its files. Where a set has nothing that it could change it raises `NotHere`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tokar.errors import HeaderError
from tokar.ese.attachment import Attachment, build_attachments
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.ese.filenames import NameRole, log_file_name, parse_file_name
from tokar.ese.flushmap import FlushMap
from tokar.ese.log import LogHeader
from tokar.ese.page import seal_segment
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import NO_TIME, BackupInfo, LogPosition, LogTime, Signature
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from lab_sets import Files, LabSet

BLOCK = 4096


class NotHere(Exception):  # noqa: N818 - it is no error
    """There is nothing in this set that could be changed like that."""


@dataclass
class Tried:
    """A set on its way into an archive."""

    made: LabSet
    files: Files
    chance: random.Random

    def one_of(self, names: list[str]) -> str:
        if not names:
            raise NotHere
        return self.chance.choice(names)

    @property
    def numbered(self) -> list[str]:
        roles = {name: parse_file_name(name) for name in self.files}
        found = [name for name, one in roles.items() if one.role is NameRole.NUMBERED_LOG]
        return sorted(found, key=lambda name: (roles[name].generation or 0, name))

    @property
    def current(self) -> list[str]:
        return [name for name in self.files if parse_file_name(name).role is NameRole.CURRENT_LOG]

    @property
    def logs(self) -> list[str]:
        return self.numbered + self.current

    @property
    def databases(self) -> list[str]:
        return [name for name in self.made.names.values() if name in self.files]

    def a_log(self) -> str:
        return self.one_of(self.logs)

    def a_numbered(self) -> str:
        return self.one_of(self.numbered)

    def the_current(self) -> str:
        return self.one_of(self.current)

    def a_database(self) -> str:
        return self.one_of(self.databases)

    def log_header(self, name: str) -> LogHeader:
        try:
            return LogHeader.parse(self.files[name])
        except HeaderError as error:
            raise NotHere from error

    def database_header(self, name: str) -> DatabaseHeader:
        try:
            return DatabaseHeader.read(BytesSource(self.files[name])).header
        except HeaderError as error:
            raise NotHere from error

    def write_log_header(self, name: str, **fields: Any) -> None:
        self.files[name] = replace(self.log_header(name), **fields).build() + self.files[name][BLOCK:]

    def write_database_header(self, name: str, **fields: Any) -> None:
        header = self.database_header(name)
        page = replace(header, **fields).build()
        self.files[name] = page * 2 + self.files[name][2 * len(page) :]

    def overwrite(self, name: str, offset: int, data: bytes) -> None:
        old = self.files[name]
        if not 0 <= offset < len(old):
            raise NotHere
        self.files[name] = (old[:offset] + data + old[offset + len(data) :])[: max(len(old), offset)]

    def flip(self, name: str, *offsets: int) -> None:
        data = bytearray(self.files[name])
        for at, offset in enumerate(offsets):
            if not 0 <= offset < len(data):
                raise NotHere
            data[offset] ^= 1 << (at + self.chance.randrange(4))
        self.files[name] = bytes(data)

    def segments(self, name: str) -> int:
        """How many blocks of a log hold something, the header among them."""
        data = self.files[name]
        unused = data[-16:]
        count = max((at for at in range(0, len(data), 512) if data[at + 496 : at + 512] != unused), default=0)
        return count // BLOCK + 1

    def a_block(self, name: str) -> int:
        """The offset of a block of a log with records."""
        count = self.segments(name)
        if count < 2:
            raise NotHere
        return BLOCK * self.chance.randrange(1, count)

    def modern(self, name: str) -> str:
        if self.log_header(name).major != 8:
            raise NotHere
        return name

    def a_page(self, name: str) -> tuple[int, int]:
        """The offset of a page in use, and its size."""
        size = self.database_header(name).page_size
        data = self.files[name]
        used = [at for at in range(2 * size, len(data) - size, size) if any(data[at : at + size])]
        if not used:
            raise NotHere
        return self.chance.choice(used), size

    def free_number(self, *, above: bool) -> int:
        known = [parse_file_name(name).generation or 0 for name in self.numbered]
        if not known:
            raise NotHere
        return max(known) + self.chance.randint(1, 4) if above else max(1, min(known) - self.chance.randint(1, 3))

    def stock(self, what: str) -> Files:
        if what not in self.made.stock:
            raise NotHere
        return self.made.stock[what]


# --- Logs that are gone


def drop_a_log(it: Tried) -> None:
    del it.files[it.a_log()]


def drop_the_lowest_log(it: Tried) -> None:
    it.a_numbered()
    del it.files[it.numbered[0]]


def drop_the_highest_closed_log(it: Tried) -> None:
    it.a_numbered()
    del it.files[it.numbered[-1]]


def drop_the_current_log(it: Tried) -> None:
    del it.files[it.the_current()]


def drop_all_logs(it: Tried) -> None:
    for name in it.logs:
        del it.files[name]


def drop_neighbours(it: Tried) -> None:
    it.a_numbered()
    start = it.chance.randrange(len(it.numbered))
    for name in it.numbered[start : start + 2]:
        del it.files[name]


def drop_all_below_one(it: Tried) -> None:
    it.a_numbered()
    for name in it.numbered[: it.chance.randrange(1, len(it.numbered) + 1)]:
        del it.files[name]


def drop_all_above_one(it: Tried) -> None:
    it.a_numbered()
    for name in [*it.numbered[it.chance.randrange(1, len(it.numbered) + 1) :], *it.current]:
        del it.files[name]


def keep_every_second_log(it: Tried) -> None:
    it.a_numbered()
    for name in it.numbered[:: it.chance.choice([2, 3])]:
        del it.files[name]


# --- Names


def swap_two_logs(it: Tried) -> None:
    one, other = it.a_log(), it.a_log()
    it.files[one], it.files[other] = it.files[other], it.files[one]


def rename_a_log(it: Tried, new: str) -> None:
    it.files[new] = it.files.pop(it.a_numbered())


def rename_above(it: Tried) -> None:
    rename_a_log(it, log_file_name("edb", it.free_number(above=True)))


def rename_below(it: Tried) -> None:
    rename_a_log(it, log_file_name("edb", it.free_number(above=False)))


def call_a_log_a_copy(it: Tried) -> None:
    name = it.a_log()
    it.files[name.replace(".log", " - Copy.log")] = it.files.pop(name)


def call_a_log_bak(it: Tried) -> None:
    name = it.a_log()
    it.files[name.replace(".log", ".bak")] = it.files.pop(name)


def give_a_name_six_digits(it: Tried) -> None:
    name = it.a_numbered()
    it.files[name.replace("edb", "edb0")] = it.files.pop(name)


def give_all_names_eight_digits(it: Tried) -> None:
    for name in it.numbered:
        it.files[name.replace("edb", "edb000")] = it.files.pop(name)


def give_one_name_eight_digits(it: Tried) -> None:
    name = it.a_numbered()
    it.files[name.replace("edb", "edb000")] = it.files.pop(name)


def give_one_log_another_base(it: Tried) -> None:
    name = it.a_numbered()
    it.files[name.replace("edb", "E00")] = it.files.pop(name)


def write_names_in_capitals(it: Tried) -> None:
    for name in it.logs:
        it.files[name.upper()] = it.files.pop(name)


def give_all_logs_the_newer_suffix(it: Tried) -> None:
    for name in it.logs:
        it.files[name.replace(".log", ".jtx")] = it.files.pop(name)


def give_one_log_the_newer_suffix(it: Tried) -> None:
    name = it.a_log()
    it.files[name.replace(".log", ".jtx")] = it.files.pop(name)


def number_the_current_log(it: Tried) -> None:
    name = it.the_current()
    number = log_file_name("edb", it.log_header(name).generation)
    it.files[number] = it.files.pop(name)


def make_the_highest_log_the_current_one(it: Tried) -> None:
    it.a_numbered()
    it.files["edb.log"] = it.files.pop(it.numbered[-1])


def copy_a_log_under_another_name(it: Tried) -> None:
    name = it.a_log()
    it.files[name.replace(".log", " - Copy.log")] = it.files[name]


def copy_a_log_above(it: Tried) -> None:
    it.files[log_file_name("edb", it.free_number(above=True))] = it.files[it.a_log()]


def copy_a_log_below(it: Tried) -> None:
    it.files.setdefault(log_file_name("edb", it.free_number(above=False)), it.files[it.a_log()])


def copy_the_current_log_by_its_number(it: Tried) -> None:
    name = it.the_current()
    it.files[log_file_name("edb", it.log_header(name).generation)] = it.files[name]


def copy_a_log_with_the_newer_suffix(it: Tried) -> None:
    name = it.a_log()
    it.files[name.replace(".log", ".jtx")] = it.files[name]


def put_an_older_log_in_the_place_of_the_current_one(it: Tried) -> None:
    it.files["edb.log"] = it.files[it.a_numbered()]


# --- Content of logs


def cut_a_log(it: Tried) -> None:
    name = it.a_log()
    it.files[name] = it.files[name][: it.chance.randrange(1, len(it.files[name]))]


def cut_the_current_log(it: Tried) -> None:
    name = it.the_current()
    it.files[name] = it.files[name][: BLOCK * it.chance.randrange(1, len(it.files[name]) // BLOCK)]


def empty_a_log(it: Tried) -> None:
    it.files[it.a_log()] = b""


def zero_a_log(it: Tried) -> None:
    name = it.a_log()
    it.files[name] = bytes(len(it.files[name]))


def fill_a_log_with_garbage(it: Tried) -> None:
    name = it.a_log()
    it.files[name] = it.chance.randbytes(len(it.files[name]))


def leave_only_the_header_of_a_log(it: Tried) -> None:
    name = it.a_log()
    data = it.files[name]
    it.files[name] = data[:BLOCK].ljust(len(data), b"\0")


def zero_the_end_of_a_log(it: Tried) -> None:
    name = it.a_log()
    data, start = it.files[name], it.a_block(name)
    it.files[name] = data[:start].ljust(len(data), b"\0")


def zero_a_block_of_a_log(it: Tried) -> None:
    name = it.a_log()
    it.overwrite(name, it.a_block(name), bytes(BLOCK))


def fill_a_block_of_a_log_with_garbage(it: Tried) -> None:
    name = it.a_log()
    it.overwrite(name, it.a_block(name), it.chance.randbytes(BLOCK))


def fill_the_last_block_of_a_log_with_garbage(it: Tried) -> None:
    name = it.a_log()
    it.overwrite(name, len(it.files[name]) - BLOCK, it.chance.randbytes(BLOCK))


def write_garbage_behind_the_end_of_a_log(it: Tried) -> None:
    name = it.a_log()
    start = BLOCK * (it.segments(name) + it.chance.randrange(2))
    it.overwrite(name, start, it.chance.randbytes(512))


def flip_a_bit_in_the_header_of_a_log(it: Tried) -> None:
    it.flip(it.a_log(), it.chance.randrange(BLOCK))


def flip_a_bit_in_a_log(it: Tried) -> None:
    name = it.a_log()
    it.flip(name, it.a_block(name) + it.chance.randrange(BLOCK))


def write_a_few_bytes_into_a_log(it: Tried) -> None:
    name = it.a_log()
    it.overwrite(name, it.a_block(name) + it.chance.randrange(BLOCK - 16), it.chance.randbytes(16))


def write_a_few_bytes_at_the_end_of_the_last_log(it: Tried) -> None:
    name = it.the_current() if it.current else it.a_numbered()
    it.overwrite(name, BLOCK * (it.segments(name) - 1) + it.chance.randrange(600), it.chance.randbytes(8))


def write_other_records_into_a_log(it: Tried) -> None:
    name = it.modern(it.one_of(it.logs[:-1]))  # of the last one nobody else knows what was in it
    start = it.a_block(name)
    block = bytearray(it.files[name][start : start + BLOCK])
    at = 200 + it.chance.randrange(2000)
    block[at : at + 16] = it.chance.randbytes(16)
    it.overwrite(name, start, seal_segment(bytes(block), start // BLOCK))


def leave_an_older_life_behind_the_end_of_a_log(it: Tried) -> None:
    """A recycled file: segments of an older generation follow."""
    name = it.modern(it.a_log())
    generation = max(1, it.log_header(name).generation - it.chance.randint(1, 3))
    for number in range(it.segments(name), len(it.files[name]) // BLOCK):
        position = LogPosition(generation=generation, sector=number)
        body = bytes(8) + position.pack() + it.chance.randbytes(BLOCK - 16)
        it.overwrite(name, number * BLOCK, seal_segment(body, number))


def write_the_shadow_of_the_last_segment(it: Tried) -> None:
    name = it.modern(it.a_log())
    last = it.segments(name) - 1
    if last < 1:
        raise NotHere
    it.overwrite(name, (last + 1) * BLOCK, it.files[name][last * BLOCK : (last + 1) * BLOCK])


def tear_the_last_segment_beside_its_shadow(it: Tried) -> None:
    write_the_shadow_of_the_last_segment(it)
    changed = [name for name in it.logs if it.files[name] != it.made.files.get(name)]
    name = it.one_of(changed)
    it.overwrite(name, (it.segments(name) - 2) * BLOCK + 512, it.chance.randbytes(1024))


def unwrite_sectors_at_the_end_of_a_log(it: Tried) -> None:
    """The older format: the last write reached the disk in part, the rest is still the fill pattern."""
    name = it.a_log()
    if it.log_header(name).major == 8:
        raise NotHere
    data = it.files[name]
    end = max((at for at in range(BLOCK, len(data), 512) if data[at + 496 : at + 512] != data[-16:]), default=BLOCK)
    it.overwrite(name, max(BLOCK, end - 512 * it.chance.randrange(3)), (data[-512:] * 4)[: len(data) - end])


# --- Headers of logs


def change_the_signature_of_a_log(it: Tried) -> None:
    it.write_log_header(it.a_log(), signature=Signature(random=it.chance.randrange(1 << 32)))


def change_the_time_of_a_log(it: Tried) -> None:
    it.write_log_header(it.a_log(), created=LogTime(year=99, month=1, day=1 + it.chance.randrange(28)))


def change_the_time_before_a_log(it: Tried) -> None:
    it.write_log_header(it.a_log(), previous_created=LogTime(year=99, month=1, day=1 + it.chance.randrange(28)))


def change_the_checksum_of_the_log_before(it: Tried) -> None:
    it.write_log_header(it.modern(it.a_log()), previous_segments_xor=it.chance.randrange(1 << 64))


def change_the_page_size_of_a_log(it: Tried) -> None:
    it.write_log_header(it.a_log(), raw_page_size=it.chance.choice([2048, 8192, 16384]))


def change_the_generation_of_a_log(it: Tried) -> None:
    name = it.a_log()
    it.write_log_header(name, generation=max(1, it.log_header(name).generation + it.chance.choice([-2, -1, 1, 2])))


def change_the_sectors_of_a_log(it: Tried) -> None:
    name = it.a_log()
    it.write_log_header(name, sectors=it.log_header(name).sectors + it.chance.choice([-1, 1, 8]))


def name_another_database_in_a_log(it: Tried) -> None:
    name = it.a_log()
    attached = it.log_header(name).attachments
    more = Attachment(dbid=9, path="C:\\more.edb", signature=Signature(random=it.chance.randrange(1 << 32)))
    it.write_log_header(name, attachment_area=build_attachments([*attached, more]))


def name_no_database_in_a_log(it: Tried) -> None:
    it.write_log_header(it.a_log(), attachment_area=build_attachments([]))


def add_a_newer_minor_version_to_all_logs(it: Tried) -> None:
    for name in it.logs:
        it.write_log_header(name, update=it.log_header(name).update + 80)


# --- Files of other servers, histories and times


def bring(it: Tried, what: str, name: str, new: str) -> None:
    stock = it.stock(what)
    if name not in stock:
        raise NotHere
    it.files[new] = stock[name]


def put_a_log_of_another_server_in_place(it: Tried) -> None:
    name = it.a_numbered()
    bring(it, "foreign", name, name)


def put_the_current_log_of_another_server_in_place(it: Tried) -> None:
    bring(it, "foreign", "edb.log", "edb.log")


def add_a_log_of_another_server_above(it: Tried) -> None:
    stock = [name for name in it.stock("foreign") if parse_file_name(name).role is NameRole.NUMBERED_LOG]
    bring(it, "foreign", it.one_of(sorted(stock)), log_file_name("edb", it.free_number(above=True)))


def add_logs_of_another_server_and_base(it: Tried) -> None:
    for name, data in it.stock("foreign").items():
        if parse_file_name(name).role in {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}:
            it.files[name.replace("edb", "E00")] = data


def add_logs_of_another_server_below(it: Tried) -> None:
    for name, data in it.stock("foreign").items():
        if parse_file_name(name).role is NameRole.NUMBERED_LOG and name not in it.files:
            it.files[name] = data


def bring_the_database_of_another_server(it: Tried) -> None:
    name = it.a_database()
    bring(it, "foreign", name, name)


def put_a_log_of_another_history_in_place(it: Tried) -> None:
    stock = [name for name in it.stock("fork") if it.files.get(name, b"") != it.stock("fork")[name]]
    name = it.one_of(sorted(name for name in stock if parse_file_name(name).role is NameRole.NUMBERED_LOG))
    bring(it, "fork", name, name)


def put_the_later_logs_of_another_history_in_place(it: Tried) -> None:
    stock = it.stock("fork")
    names = [name for name in stock if parse_file_name(name).role in {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}]
    for name in names:
        it.files[name] = stock[name]


def add_another_history_in_a_folder(it: Tried) -> None:
    for name, data in it.stock("fork").items():
        if parse_file_name(name).role is NameRole.NUMBERED_LOG and it.files.get(name) != data:
            it.files[f"fork/{name}"] = data


def bring_the_current_log_of_an_earlier_time(it: Tried) -> None:
    bring(it, "older", "edb.log", "edb.log")


def bring_the_database_of_an_earlier_time(it: Tried) -> None:
    name = it.a_database()
    bring(it, "older", name, name)


def bring_the_databases_of_an_earlier_shutdown(it: Tried) -> None:
    for name in it.databases:
        bring(it, "shut", name, name)


def bring_one_database_of_an_earlier_shutdown(it: Tried) -> None:
    name = it.a_database()
    bring(it, "shut", name, name)


def give_a_database_another_name(it: Tried) -> None:
    name = it.a_database()
    if it.made.hard:
        raise NotHere  # a restore map says where each is
    stem, _, ending = name.rpartition(".")
    it.files[f"{stem} - Copy.{ending}"] = it.files.pop(name)


def give_a_database_a_name_beyond_ascii(it: Tried) -> None:
    name = it.a_database()
    if it.made.hard:
        raise NotHere  # as above
    stem, _, ending = name.rpartition(".")
    it.files[f"{stem}\xe4.{ending}"] = it.files.pop(name)


def keep_an_older_copy_of_a_database_in_a_folder(it: Tried) -> None:
    name = it.a_database()
    bring(it, "older", name, f"old/{name}")


def keep_an_older_copy_of_a_database_under_another_name(it: Tried) -> None:
    name = it.a_database()
    stem, _, ending = name.rpartition(".")
    bring(it, "older", name, f"{stem} - Copy.{ending}")


def bring_the_logs_of_an_earlier_time(it: Tried) -> None:
    for name in it.logs:
        del it.files[name]
    for name, data in it.stock("older").items():
        if parse_file_name(name).role in {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}:
            it.files[name] = data


def bring_the_database_of_another_backup(it: Tried) -> None:
    name = it.a_database()
    bring(it, "backup", name, name)


# --- Checkpoints, logs being prepared, and what else lies beside


def add_a_checkpoint(it: Tried, generation: int, signature: Signature) -> None:
    position = LogPosition(generation=generation, sector=1)
    it.files["edb.chk"] = Checkpoint(checkpoint=position, signature=signature).build() * 2


def add_an_older_checkpoint(it: Tried) -> None:
    add_a_checkpoint(it, 1, it.log_header(it.a_log()).signature)


def add_a_newer_checkpoint(it: Tried) -> None:
    name = it.a_log()
    add_a_checkpoint(it, it.log_header(name).generation + 1, it.log_header(name).signature)


def add_a_checkpoint_of_another_server(it: Tried) -> None:
    add_a_checkpoint(it, it.log_header(it.a_log()).generation, Signature(random=it.chance.randrange(1 << 32)))


def damage_the_checkpoint(it: Tried) -> None:
    it.files["edb.chk"] = it.chance.randbytes(2 * BLOCK)


def add_the_next_log(it: Tried) -> None:
    it.files["edbtmp.log"] = it.chance.choice([bytes(5 * BLOCK), it.files[it.a_log()], it.chance.randbytes(BLOCK)])


def copy_during_the_roll_over(it: Tried) -> None:
    number_the_current_log(it)
    add_the_next_log(it)


def lose_the_current_log_of_a_roll_over(it: Tried) -> None:
    del it.files[it.the_current()]
    add_the_next_log(it)


def add_other_files(it: Tried) -> None:
    it.files |= {"edbres00001.jrs": bytes(9 * BLOCK), "readme.txt": b"hello", "SYSTEM": it.chance.randbytes(5000)}


def add_a_flush_map_of_another_state(it: Tried) -> None:
    stem = it.a_database().rpartition(".")[0]
    it.files[f"{stem}.jfm"] = FlushMap(signature=Signature(random=it.chance.randrange(1 << 32))).build()


def add_a_streaming_file(it: Tried) -> None:
    header = DatabaseHeader(raw_page_size=4096, revision=9, attribute=1, file_type=2)
    it.files["priv1.stm"] = header.build() * 2 + bytes(BLOCK)


# --- Databases


def drop_a_database(it: Tried) -> None:
    del it.files[it.a_database()]


def empty_a_database(it: Tried) -> None:
    it.files[it.a_database()] = b""


def zero_a_database(it: Tried) -> None:
    name = it.a_database()
    it.files[name] = bytes(len(it.files[name]))


def fill_a_database_with_garbage(it: Tried) -> None:
    name = it.a_database()
    it.files[name] = it.chance.randbytes(len(it.files[name]))


def cut_a_database_in_a_page(it: Tried) -> None:
    name = it.a_database()
    size = it.database_header(name).page_size
    pages = it.chance.randrange(3, max(4, len(it.files[name]) // size))
    it.files[name] = it.files[name][: pages * size - it.chance.randrange(1, size)]


def cut_a_database_between_pages(it: Tried) -> None:
    name = it.a_database()
    size = it.database_header(name).page_size
    it.files[name] = it.files[name][: size * it.chance.randrange(3, max(4, len(it.files[name]) // size))]


def zero_a_page(it: Tried) -> None:
    name = it.a_database()
    offset, size = it.a_page(name)
    it.overwrite(name, offset, bytes(size))


def zero_the_first_page(it: Tried) -> None:
    name = it.a_database()
    size = it.database_header(name).page_size
    it.overwrite(name, 2 * size, bytes(size))


def zero_all_pages(it: Tried) -> None:
    name = it.a_database()
    size = it.database_header(name).page_size
    it.files[name] = it.files[name][: 2 * size].ljust(len(it.files[name]), b"\0")


def flip_a_bit_in_a_page(it: Tried) -> None:
    name = it.a_database()
    offset, size = it.a_page(name)
    it.flip(name, offset + it.chance.randrange(size))


def write_a_few_bytes_into_a_page(it: Tried) -> None:
    name = it.a_database()
    offset, size = it.a_page(name)
    it.overwrite(name, offset + it.chance.randrange(size - 16), it.chance.randbytes(16))


def fill_a_page_with_garbage(it: Tried) -> None:
    name = it.a_database()
    offset, size = it.a_page(name)
    it.overwrite(name, offset, it.chance.randbytes(size))


def swap_two_pages(it: Tried) -> None:
    name = it.a_database()
    (one, size), (other, _) = it.a_page(name), it.a_page(name)
    data = it.files[name]
    first, second = data[one : one + size], data[other : other + size]
    it.overwrite(name, one, second)
    it.overwrite(name, other, first)


def damage_the_first_header(it: Tried) -> None:
    it.flip(it.a_database(), it.chance.randrange(60, 400))


def damage_the_second_header(it: Tried) -> None:
    name = it.a_database()
    it.flip(name, it.database_header(name).page_size + it.chance.randrange(60, 400))


def damage_both_headers(it: Tried) -> None:
    name = it.a_database()
    it.flip(name, 70, it.database_header(name).page_size + 90)


def change_the_signature_of_a_database(it: Tried) -> None:
    it.write_database_header(it.a_database(), signature=Signature(random=it.chance.randrange(1 << 32)))


def change_the_log_signature_of_a_database(it: Tried) -> None:
    it.write_database_header(it.a_database(), log_signature=Signature(random=it.chance.randrange(1 << 32)))


def put_a_database_into_another_state(it: Tried) -> None:
    state = it.chance.choice([1, 4, 5, 6, 8, 9])
    it.write_database_header(it.a_database(), raw_state=state)


def say_that_a_database_was_patched(it: Tried) -> None:
    name = it.a_database()
    if it.database_header(name).is_clean:
        raise NotHere
    it.write_database_header(name, raw_state=int(DatabaseState.DIRTY_AND_PATCHED_SHUTDOWN))


def name_a_newer_revision(it: Tried) -> None:
    name = it.a_database()
    if it.database_header(name).revision < 0xB:
        raise NotHere
    it.write_database_header(name, revision=999)


# --- What a header asks for


def a_dirty_database(it: Tried) -> tuple[str, DatabaseHeader]:
    name = it.one_of([name for name in it.databases if not it.database_header(name).is_clean])
    return name, it.database_header(name)


def ask_for_earlier_logs(it: Tried) -> None:
    name, header = a_dirty_database(it)
    it.write_database_header(name, required_low=max(1, header.required_low - it.chance.randint(1, 3)))


def ask_for_later_logs(it: Tried) -> None:
    name, header = a_dirty_database(it)
    more = it.chance.randint(1, 3)
    committed = header.committed_high and header.committed_high + more
    it.write_database_header(name, required_high=header.required_high + more, committed_high=committed)


def ask_for_committed_logs_that_are_not_here(it: Tried) -> None:
    name, header = a_dirty_database(it)
    if not header.committed_high:
        raise NotHere
    it.write_database_header(name, committed_high=header.committed_high + it.chance.randint(1, 3))


def require_the_lowest_log_alone(it: Tried) -> None:
    """The others hold committed transactions only: without them recovery goes on, with a loss."""
    name, header = a_dirty_database(it)
    if not header.committed_high or header.required_low == header.required_high:
        raise NotHere
    it.write_database_header(name, required_high=header.required_low)


def ask_for_no_logs(it: Tried) -> None:
    name, _ = a_dirty_database(it)
    it.write_database_header(name, required_low=0, required_high=0, committed_high=0)


def ask_for_a_backward_range(it: Tried) -> None:
    name, header = a_dirty_database(it)
    it.write_database_header(name, required_low=header.required_high + 1)


def name_another_last_log(it: Tried) -> None:
    name, header = a_dirty_database(it)
    if not header.last_log_time.is_set:
        raise NotHere
    it.write_database_header(name, last_log_time=LogTime(year=99, month=1, day=2))


def name_no_last_log(it: Tried) -> None:
    name, _ = a_dirty_database(it)
    it.write_database_header(name, last_log_time=NO_TIME)


def let_a_database_be_attached_later(it: Tried) -> None:
    name, header = a_dirty_database(it)
    later = LogPosition(generation=header.required_high + 0x1000, sector=1)
    it.write_database_header(name, attach_position=later)


def let_a_database_be_shut_down_later(it: Tried) -> None:
    name, header = a_dirty_database(it)
    later = LogPosition(generation=header.required_high + 0x1000, sector=1)
    it.write_database_header(name, consistent_position=later)


# --- Streaming copies


def a_copy(it: Tried, *, trailer: bool = True) -> tuple[str, DatabaseHeader]:
    copies = [name for name in it.databases if it.database_header(name).is_streaming_copy]
    if trailer:
        copies = [name for name in copies if it.database_header(name).has_trailer_page]
    name = it.one_of(copies)
    return name, it.database_header(name)


def change_the_trailer(it: Tried, **fields: Any) -> None:
    name, header = a_copy(it)
    page = it.files[name][-header.page_size :]
    try:
        trailer = BackupTrailer.parse(page)
    except HeaderError as error:
        raise NotHere from error
    it.files[name] = it.files[name][: -header.page_size] + replace(trailer, **fields).build(header.page_size)


def backup_of(it: Tried, **fields: Any) -> BackupInfo:
    name, header = a_copy(it)
    try:
        return replace(BackupTrailer.parse(it.files[name][-header.page_size :]).backup, **fields)
    except HeaderError as error:
        raise NotHere from error


def drop_the_trailer(it: Tried) -> None:
    name, header = a_copy(it)
    it.files[name] = it.files[name][: -header.page_size]


def zero_the_trailer(it: Tried) -> None:
    name, header = a_copy(it)
    it.files[name] = it.files[name][: -header.page_size] + bytes(header.page_size)


def damage_the_trailer(it: Tried) -> None:
    name, header = a_copy(it)
    it.flip(name, len(it.files[name]) - header.page_size + it.chance.randrange(8, 140))


def take_the_trailer_of_another_backup(it: Tried) -> None:
    change_the_trailer(it, backup=backup_of(it, mark=LogPosition(generation=2, sector=9, byte=1)))


def take_the_trailer_of_another_database(it: Tried) -> None:
    change_the_trailer(it, signature=Signature(random=it.chance.randrange(1 << 32)))


def let_a_trailer_ask_for_more(it: Tried) -> None:
    high = backup_of(it).generation_high + it.chance.randint(1, 3)
    change_the_trailer(it, backup=backup_of(it, generation_high=high))


def let_a_copy_begin_earlier(it: Tried) -> None:
    name, header = a_copy(it, trailer=False)
    info = replace(header.current_full, generation_low=max(1, header.current_full.generation_low - 1))
    it.write_database_header(name, current_full=info)


def take_a_copy_for_a_crashed_database(it: Tried) -> None:
    name, _ = a_copy(it, trailer=False)
    it.write_database_header(name, current_full=BackupInfo())


def a_patch_file(it: Tried) -> str:
    return it.one_of([name for name in it.files if name.lower().endswith(".pat")])


def drop_a_patch_file(it: Tried) -> None:
    del it.files[a_patch_file(it)]


def empty_a_patch_file(it: Tried) -> None:
    it.files[a_patch_file(it)] = b""


def cut_a_patch_file(it: Tried) -> None:
    name = a_patch_file(it)
    it.files[name] = it.files[name][: len(it.files[name]) // 2 + 100]


def take_the_patch_file_of_another_backup(it: Tried) -> None:
    name = a_patch_file(it)
    bring(it, "backup", name, name)


def nothing(it: Tried) -> None:
    """Everything is as it was copied."""
    assert it.files


def _all() -> dict[str, Callable[[Tried], None]]:
    helpers = {"rename_a_log", "bring", "add_a_checkpoint", "a_dirty_database", "a_copy", "change_the_trailer"}
    helpers |= {"backup_of", "a_patch_file", "_all", "build_attachments", "log_file_name", "parse_file_name"}
    helpers |= {"seal_segment", "dataclass", "replace"}
    found = {name: one for name, one in globals().items() if callable(one) and not isinstance(one, type)}
    return {name.replace("_", " "): one for name, one in found.items() if name not in helpers}


KINDS = _all()
"""All of them by name."""
