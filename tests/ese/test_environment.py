from __future__ import annotations

from tokar.ese.environment import PATH_SIZE, Environment, path_bytes


def test_paths_are_read_up_to_their_terminator() -> None:
    environment = Environment(
        raw_system_path=path_bytes("C:\\NTDS"), raw_log_path=b"D:\\LOGS\0old rest".ljust(PATH_SIZE)
    )
    assert environment.system_path == "C:\\NTDS"
    assert environment.log_path == "D:\\LOGS"


def test_circular_logging_is_the_lowest_flag() -> None:
    assert Environment(flags=1).circular_logging
    assert not Environment(flags=2).circular_logging


def test_a_path_is_cut_to_fit_and_loses_what_has_no_place() -> None:
    assert path_bytes("x" * 300) == b"x" * (PATH_SIZE - 1) + b"\0"
    assert path_bytes("ü").startswith(b"?\0")
