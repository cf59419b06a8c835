"""Tests that ask for what only POSIX has, by file, with the reason: they are left out on Windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

LINKS: Final = "symbolic links need rights there"
MODES: Final = "rights are not in the mode there"
NAMES: Final = "no such names are there"
PATHS: Final = "the paths in it are spelled as on POSIX"
DESCRIPTORS: Final = "no calls are relative to a directory there"
PIPES: Final = "no pipes with names there"
OPEN: Final = "an open file is not removed, renamed or replaced there"
CALLS: Final = "it watches calls of POSIX"
FORK: Final = "it forks"
TEXT: Final = "what the system says is worded in another way there"

TIMES: Final = "a time that was put back shows nowhere there"

POSIX_ONLY: Final[dict[str, dict[str, str]]] = {
    "cli/test_cli_certutil.py": {"test_a_list_of_other_paths_than_those_of_windows_is_refused": PATHS},
    "cli/test_cli_create.py": {
        "test_a_file_that_cannot_be_read_is_named": MODES,
        "test_a_folder_that_cannot_be_written_is_named": MODES,
        "test_a_link_in_the_place_of_the_archive_is_not_followed": LINKS,
        "test_a_missing_folder_for_the_archive_is_named": TEXT,
        "test_a_name_that_cannot_be_shown_is_shown_escaped": NAMES,
        "test_a_subfolder_that_cannot_be_listed_is_named": MODES,
        "test_the_archive_is_private": MODES,
    },
    "cli/test_cli_exchange.py": {"test_paths_of_server_two_mean_nothing_here_without_a_map": PATHS},
    "cli/test_cli_extract.py": {"test_a_file_does_not_replace_the_archive_that_it_is_read_from": LINKS},
    "cli/test_cli_several.py": {"test_a_folder_that_cannot_be_listed_hides_none": MODES},
    "cli/test_cli_sources.py": {"test_the_place_may_hold_colons": NAMES},
    "cli/test_cli_timeline.py": {"test_a_hostile_name_moves_no_cursor": NAMES},
    "format/test_after_root.py": {
        "test_an_archive_that_vanished_meanwhile_is_not_made_anew": OPEN,
        "test_an_archive_that_was_replaced_meanwhile_is_not_replaced_again": OPEN,
        "test_it_keeps_its_permissions_and_a_link_stays_a_link": LINKS,
        "test_what_is_shared_is_cut_before_the_end": CALLS,
    },
    "collect/test_collect.py": {
        "test_a_file_that_changes_between_the_first_and_the_last_look_is_an_error": TIMES,
        "test_a_file_without_a_kind_that_becomes_something_else_is_an_error": PIPES,
        "test_a_path_with_an_equals_sign_that_is_not_there_is_no_wrong_token": TEXT,
        "test_an_archive_in_a_folder_that_is_taken_whole_is_refused": LINKS,
        "test_locations_that_are_said_replace_those_of_the_folder": PATHS,
        "test_a_writer_through_mapped_memory_is_noticed": CALLS,
        "test_which_file_systems_hide_changes": "all of them do there",
        "test_modification_times_are_kept": "times have steps of 100 nanoseconds there",
        "test_names_that_are_no_text_are_kept_byte_for_byte": "names are text there",
    },
    "restore/test_inventory.py": {
        "test_a_directory_is_listed_with_the_kinds_of_its_files": PIPES,
        "test_a_link_is_no_target_directory": LINKS,
        "test_a_path_that_cannot_be_is_reported": PATHS,
        "test_one_directory_by_two_paths_is_one": LINKS,
    },
    "restore/test_locations.py": {
        "test_a_toml_file_says_tokens_names_and_maps": PATHS,
        "test_to_takes_a_name": PATHS,
        "test_to_takes_a_token": PATHS,
    },
    "restore/test_options.py": {"": PATHS},
    "restore/test_paths.py": {
        "test_above_a_link_is_where_the_system_goes": LINKS,
        "test_map_text_is_split_at_the_first_equals_sign": PATHS,
        "test_nothing_is_above_the_root": PATHS,
    },
    "restore/test_place.py": {
        "test_a_directory_swapped_for_a_link_while_placing_refuses_the_restore": LINKS,
        "test_a_link_above_the_target_directory_is_followed": LINKS,
        "test_a_link_is_set_aside_without_following_it": LINKS,
        "test_a_staging_directory_that_was_replaced_is_not_given_a_final_name": OPEN,
        "test_a_target_directory_that_appears_after_the_plan_is_never_replaced": LINKS,
        "test_directories_are_synced_before_the_first_database": CALLS,
        "test_files_are_placed_with_content_time_and_mode": MODES,
        "test_many_files_are_synced_with_one_call": CALLS,
        "test_what_appears_at_the_target_after_the_plan_is_never_replaced": LINKS,
        "test_where_the_lock_is_removed_by_hand_only_one_of_two_restores_goes_on": OPEN,
        "test_zeros_become_holes": CALLS,
    },
    "restore/test_planner.py": {"": PATHS},
    "restore/test_prepare.py": {
        "test_a_database_that_was_not_shut_down_gets_soft_recovery": PATHS,
        "test_each_set_gets_a_numbered_folder_for_certutil": PATHS,
        "test_two_histories_in_a_chain_are_refused_and_a_branch_decides": PATHS,
    },
    "restore/test_prepare_joined.py": {"test_room_is_judged_for_all_sets_together": CALLS},
    "restore/test_prepare_one.py": {
        "test_a_folder_is_one_place_in_every_option": PATHS,
        "test_the_next_steps_are_those_of_the_engine_or_of_the_service": PATHS,
    },
    "restore/test_token_to_path.py": {"test_every_file_goes_where_the_table_says": PATHS},
    "storage/test_bytesource.py": {
        "test_short_reads_of_the_system_are_put_together": CALLS,
        "test_a_file_that_is_not_there_is_named": TEXT,
        "test_a_pipe_is_no_source": PIPES,
    },
    "storage/test_directory.py": {"": DESCRIPTORS},
    "storage/test_directory_lock.py": {"test_a_lock_ends_with_its_process": "its lines end in another way there"},
    "storage/test_durable.py": {
        "test_a_rename_never_replaces_what_is_there": LINKS,
        "test_a_link_is_renamed_itself": LINKS,
        "test_a_rename_can_be_relative_to_open_directories": DESCRIPTORS,
        "test_only_a_rename_in_one_step_promises_that_nothing_was_replaced": CALLS,
        "test_a_rename_that_dies_leaves_nothing_empty_under_the_new_name": CALLS,
        "test_a_directory_that_is_not_there_cannot_be_synced": CALLS,
        "test_a_closed_file_cannot_be_synced": CALLS,
    },
    "storage/test_sink.py": {
        "test_what_is_being_read_is_not_replaced_by_any_name": LINKS,
        "test_a_spool_is_at_work_and_then_gone": OPEN,
    },
}


def leave_out(items: Iterable[pytest.Item]) -> None:
    """Leave out what only POSIX has."""
    for item in items:
        listed = next((tests for file, tests in POSIX_ONLY.items() if item.path.as_posix().endswith(f"/{file}")), {})
        reason = listed.get(getattr(item, "originalname", item.name), listed.get(""))
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
