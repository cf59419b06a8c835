"""More that can happen to a set of files, as people who copy files by hand do it; see `mutations`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mutations import BLOCK, KINDS, NotHere, Tried
from tokar.ese.filenames import log_file_name, parse_file_name
from tokar.ese.page import seal_segment
from tokar.ese.values import BackupInfo, LogPosition, Signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab_sets import Files

OLD: Final = "old/"


def into(files: Files, folder: str = OLD) -> Files:
    return {f"{folder}{name}": data for name, data in files.items()}


def half(it: Tried, names: list[str]) -> list[str]:
    found = [name for name in names if it.chance.random() < 0.5]
    return found or [it.one_of(names)]


# --- The same file more than once


def keep_all_files_in_a_folder_too(it: Tried) -> None:
    it.files |= into(it.files)


def keep_all_logs_in_a_folder_too(it: Tried) -> None:
    it.files |= into({name: it.files[name] for name in it.logs})


def keep_some_logs_in_a_folder_too(it: Tried) -> None:
    it.files |= into({name: it.files[name] for name in half(it, it.logs)})


def keep_a_database_in_a_folder_too(it: Tried) -> None:
    name = it.a_database()
    it.files[OLD + name] = it.files[name]


def keep_a_database_under_another_name_too(it: Tried) -> None:
    name = it.a_database()
    stem, _, ending = name.rpartition(".")
    it.files[f"{stem} - Copy.{ending}"] = it.files[name]


def damage_a_log_that_is_whole_in_a_folder(it: Tried) -> None:
    name = it.a_log()
    it.files[OLD + name] = it.files[name]
    it.overwrite(name, it.a_block(name), it.chance.randbytes(BLOCK))


def cut_a_log_that_is_whole_in_a_folder(it: Tried) -> None:
    name = it.a_log()
    it.files[OLD + name] = it.files[name]
    it.files[name] = it.files[name][: it.chance.randrange(len(it.files[name]))]


def damage_a_copy_of_a_log_in_a_folder(it: Tried) -> None:
    name = it.a_log()
    block = it.a_block(name)
    it.files[OLD + name] = it.files[name]
    it.overwrite(OLD + name, block, it.chance.randbytes(BLOCK))


def damage_a_log_that_is_whole_under_another_name(it: Tried) -> None:
    name = it.a_numbered()
    it.files[name.replace(".", " - Copy.")] = it.files[name]
    it.overwrite(name, it.a_block(name), it.chance.randbytes(BLOCK))


def damage_a_log_and_its_copy(it: Tried) -> None:
    name = it.a_log()
    for one in (name, OLD + name):
        it.files[one] = it.files[name]
        it.overwrite(one, it.a_block(name), it.chance.randbytes(BLOCK))


def lose_the_end_of_a_log_that_is_whole_in_a_folder(it: Tried) -> None:
    name = it.a_log()
    data = it.files[name]
    it.files[OLD + name] = data
    at = it.a_block(name)
    it.files[name] = data[:at] + data[-16:] * ((len(data) - at) // 16)


def damage_a_database_that_is_whole_in_a_folder(it: Tried) -> None:
    name = it.a_database()
    it.files[OLD + name] = it.files[name]
    offset, size = it.a_page(name)
    it.overwrite(name, offset, it.chance.randbytes(size))


def damage_a_database_that_is_whole_under_another_name(it: Tried) -> None:
    name = it.a_database()
    stem, _, ending = name.rpartition(".")
    it.files[f"{stem} - Copy.{ending}"] = it.files[name]
    offset, size = it.a_page(name)
    it.overwrite(name, offset, it.chance.randbytes(size))


def damage_a_copy_of_a_database(it: Tried) -> None:
    name = it.a_database()
    offset, size = it.a_page(name)
    it.files[OLD + name] = it.files[name]
    it.overwrite(OLD + name, offset, it.chance.randbytes(size))


def keep_an_older_set_in_a_folder(it: Tried) -> None:
    it.files |= into(it.stock("older"))


def keep_the_older_logs_in_a_folder(it: Tried) -> None:
    it.files |= into({name: data for name, data in it.stock("older").items() if parse_file_name(name).base})


def keep_the_logs_of_a_later_backup_in_a_folder(it: Tried) -> None:
    it.files |= into({name: data for name, data in it.stock("backup").items() if parse_file_name(name).generation})


def keep_the_set_of_another_server_in_a_folder(it: Tried) -> None:
    it.files |= into({name.replace("edb", "xyz"): data for name, data in it.stock("foreign").items()}, "other/")


# --- Folders and names


def move_the_logs_into_a_folder(it: Tried) -> None:
    for name in it.logs:
        it.files[f"logs of today/{name}"] = it.files.pop(name)


def move_half_of_the_logs_into_a_folder(it: Tried) -> None:
    for name in half(it, it.numbered):
        it.files[f"more/{name}"] = it.files.pop(name)


def move_a_database_into_a_folder(it: Tried) -> None:
    name = it.a_database()
    it.files[f"Datenbänke/{name}"] = it.files.pop(name)


def write_names_in_lower_case(it: Tried) -> None:
    for name in it.logs:
        it.files[name.lower()] = it.files.pop(name)


def write_every_second_name_in_capitals(it: Tried) -> None:
    for name in it.logs[::2]:
        it.files[name.upper()] = it.files.pop(name)


def call_a_log_a_text(it: Tried) -> None:
    name = it.a_numbered()
    it.files[name.replace(".log", ".txt")] = it.files.pop(name)


def call_all_logs_something_else(it: Tried) -> None:
    for name in it.logs:
        it.files[f"{name}.old"] = it.files.pop(name)


def give_all_numbers_a_base_of_four_letters(it: Tried) -> None:
    for name in it.numbered:
        it.files[name.replace("edb", "edbx", 1)] = it.files.pop(name)


def exchange_the_names_of_two_databases(it: Tried) -> None:
    if len(it.databases) < 2:
        raise NotHere
    one, other = it.chance.sample(it.databases, 2)
    it.files[one], it.files[other] = it.files[other], it.files[one]


def call_the_current_log_the_next_number(it: Tried) -> None:
    name = it.the_current()
    generation = it.log_header(name).generation + 1
    it.files[log_file_name("edb", generation)] = it.files.pop(name)


def call_the_current_log_the_next_one(it: Tried) -> None:
    it.files["edbtmp.log"] = it.files.pop(it.the_current())


# --- Files of no length, and bytes behind the end


def leave_an_empty_log_above(it: Tried) -> None:
    it.files[log_file_name("edb", it.free_number(above=True))] = b""


def leave_an_empty_log_below(it: Tried) -> None:
    it.files[log_file_name("edb", it.free_number(above=False))] = b""


def leave_an_empty_numbered_self_of_the_current_log(it: Tried) -> None:
    it.files[log_file_name("edb", it.log_header(it.the_current()).generation)] = b""


def leave_a_zeroed_current_log(it: Tried) -> None:
    if it.current:
        raise NotHere
    it.files["edb.log"] = bytes(len(it.files[it.a_log()]))


def leave_an_empty_current_log_of_the_newer_suffix(it: Tried) -> None:
    it.files["edb.jtx"] = b""


def leave_empty_files_of_every_other_kind(it: Tried) -> None:
    it.files |= dict.fromkeys(["edb.chk", "edbtmp.log", "edbres00001.jrs", "temp.edb.jfm", "x.stm"], b"")


def append_bytes_to_a_log(it: Tried) -> None:
    it.files[it.a_log()] += it.chance.randbytes(it.chance.choice([1, 512, BLOCK]))


def append_zeros_to_a_log(it: Tried) -> None:
    it.files[it.a_log()] += bytes(it.chance.choice([1, 512, BLOCK]))


def append_blank_pages_to_a_database(it: Tried) -> None:
    name = it.a_database()
    if it.made.hard:
        raise NotHere  # its trailer is the last page
    it.files[name] += bytes(3 * it.database_header(name).page_size)


def append_bytes_to_a_database(it: Tried) -> None:
    it.files[it.a_database()] += it.chance.randbytes(100)


# --- Blocks of logs


def swap_two_blocks_of_a_log(it: Tried) -> None:
    name = it.a_log()
    one, other = it.a_block(name), it.a_block(name)
    if one == other:
        raise NotHere
    data = it.files[name]
    it.overwrite(name, one, data[other : other + BLOCK])
    it.overwrite(name, other, data[one : one + BLOCK])


def repeat_a_block_of_a_log(it: Tried) -> None:
    name = it.a_log()
    one, other = it.a_block(name), it.a_block(name)
    if one == other:
        raise NotHere
    it.overwrite(name, other, it.files[name][one : one + BLOCK])


def put_a_block_of_another_log_in_place(it: Tried) -> None:
    name, other = it.a_log(), it.a_log()
    at = it.a_block(name)
    if name == other or len(it.files[other]) < at + BLOCK:
        raise NotHere
    it.overwrite(name, at, it.files[other][at : at + BLOCK])


def put_the_header_of_another_log_in_place(it: Tried) -> None:
    name, other = it.a_log(), it.a_log()
    if name == other:
        raise NotHere
    it.overwrite(name, 0, it.files[other][:BLOCK])


def put_the_records_of_another_log_in_place(it: Tried) -> None:
    name, other = it.a_log(), it.a_log()
    if name == other:
        raise NotHere
    it.files[name] = it.files[name][:BLOCK] + it.files[other][BLOCK:]


def zero_the_header_of_a_log(it: Tried) -> None:
    it.overwrite(it.a_log(), 0, bytes(BLOCK))


def flip_two_bits_that_keep_the_checksum_of_a_header(it: Tried) -> None:
    name = it.a_log()
    data = bytearray(it.files[name])
    for offset in (BLOCK - 8, BLOCK - 16):  # behind all fields
        data[offset] ^= 4
    it.files[name] = bytes(data)


def leave_lives_that_rise_behind_the_end_of_a_log(it: Tried) -> None:
    """Segments of two generations before it, the younger one behind: no file that is used again is like that."""
    name = it.modern(it.a_log())
    number, generation = it.segments(name), it.log_header(name).generation
    if generation < 3 or len(it.files[name]) < (number + 3) * BLOCK:  # the last segment is kept for a shadow
        raise NotHere
    for at, life in ((number, generation - 2), (number + 1, generation - 1)):
        position = LogPosition(generation=life, sector=at)
        it.overwrite(name, at * BLOCK, seal_segment(bytes(8) + position.pack() + it.chance.randbytes(BLOCK - 16), at))


# --- Headers of databases


def tear_the_header_of_a_database(it: Tried) -> None:
    """The first copy is half written, the second is still the one of before."""
    name = it.a_database()
    size, old = it.database_header(name).page_size, it.stock("older")
    if name not in old or it.made.hard:
        raise NotHere
    data = it.files[name]
    it.files[name] = data[: size // 2] + bytes(size // 2) + old[name][size : 2 * size] + data[2 * size :]


def keep_an_older_second_header(it: Tried) -> None:
    name = it.a_database()
    size, old = it.database_header(name).page_size, it.stock("older")
    if name not in old or it.made.hard:
        raise NotHere
    it.overwrite(name, size, old[name][size : 2 * size])


def put_an_older_header_onto_a_database(it: Tried) -> None:
    name = it.a_database()
    size, old = it.database_header(name).page_size, it.stock("older")
    if name not in old or it.made.hard:
        raise NotHere
    it.overwrite(name, 0, old[name][: 2 * size])


def put_the_header_of_another_database_in_place(it: Tried) -> None:
    if len(it.databases) < 2:
        raise NotHere
    one, other = it.chance.sample(it.databases, 2)
    it.overwrite(one, 0, it.files[other][: 2 * it.database_header(one).page_size])


def put_a_page_of_another_database_in_place(it: Tried) -> None:
    if len(it.databases) < 2:
        raise NotHere
    one, other = it.chance.sample(it.databases, 2)
    offset, size = it.a_page(one)
    if not any(it.files[other][offset : offset + size]):
        raise NotHere
    it.overwrite(one, offset, it.files[other][offset : offset + size])


def shut_down_in_another_log(it: Tried) -> None:
    name = it.a_database()
    header = it.database_header(name)
    if not header.is_clean:
        raise NotHere
    generation = max(1, header.consistent_position.generation + it.chance.choice([-2, -1, 1, 2]))
    it.write_database_header(name, consistent_position=LogPosition(generation=generation, sector=1))


def say_that_a_database_was_repaired(it: Tried) -> None:
    it.write_database_header(it.a_database(), repair_count=1)


def change_the_page_size_in_a_header(it: Tried) -> None:
    name = it.a_database()
    it.write_database_header(name, raw_page_size=it.chance.choice([2048, 8192, 32768]))


def take_the_log_signature_away(it: Tried) -> None:
    it.write_database_header(it.a_database(), log_signature=Signature())


def ask_for_one_log_less(it: Tried) -> None:
    """As a header does that was written while an older page was still to come."""
    name = it.a_database()
    header = it.database_header(name)
    if not 0 < header.required_low < header.required_high:
        raise NotHere
    it.write_database_header(name, required_low=header.required_low + 1)


def add_a_temporary_database(it: Tried) -> None:
    header = replace(
        it.database_header(it.a_database()), raw_state=1, log_signature=Signature(), current_full=BackupInfo()
    )
    it.files["tmp.edb"] = header.build() * 2 + it.chance.randbytes(4 * header.page_size)


def _all() -> dict[str, Callable[[Tried], None]]:
    own = {name: one for name, one in globals().items() if getattr(one, "__module__", "") == __name__}
    helpers = {"into", "half", "_all"}
    return {name.replace("_", " "): one for name, one in own.items() if name not in helpers}


FIELD_KINDS = _all()
ALL_KINDS = KINDS | FIELD_KINDS
"""Those of both modules by name."""
