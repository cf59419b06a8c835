"""What all tests share: the real samples, where they are at hand."""

from __future__ import annotations

import gc
import os
import signal
import sys
import zlib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from posix_only import leave_out
from sweeps import examples

from tokar import signals

if TYPE_CHECKING:
    from collections.abc import Iterator

# How often a property is tried that does not say it itself.
settings.register_profile("tokar", examples(100))
settings.load_profile("tokar")
# A command that fails in a way that nobody expected shows its traceback, and tests look for one.
os.environ["TOKAR_DEBUG"] = "1"
# Tests, and commands that they start as processes, share their compiled modules, also where the environment says to
# keep none: to compile all tests anew takes longer than to run a tenth of them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(Path(__file__).parents[1] / "build" / "pycache")
sys.dont_write_bytecode = False


# Tests that start processes, tell whole stories, or try every point and many random cases; not in `make quick`.
SLOW = {
    # These start compilers, browsers or interpreters.
    *("test_browser", "test_first_contact", "test_native_story", "test_own_source", "test_prototypes"),
    *("test_engine_agrees", "test_growth", "test_legitimate_sets", "test_real_sets", "test_two_sets"),
    *("test_backup_faults", "test_backup_killed", "test_backup_simulated", "test_cli_backup", "test_cli_demo"),
    *(
        "test_cli_hostile",
        "test_cli_sign",
        "test_cli_inspect_ese",
        "test_cli_lab",
        "test_cli_restore",
        "test_cli_restore_chain",
    ),
    *(
        "test_ca_faults",
        "test_cli_streams",
        "test_deadline",
        "test_demo",
        "test_engine_backup",
        "test_engine_hard_recovery",
    ),
    *("test_engine_killed", "test_engine_machine", "test_engine_mutants", "test_engine_soft_recovery"),
    *("test_flips_and_cuts", "test_full_pages", "test_journal", "test_mutants", "test_mutations", "test_run_restore"),
    *("test_run_restore_faults", "test_salvage_fixtures", "test_salvage_properties", "test_samples", "test_simulated"),
    *(
        "test_simulated_faults",
        "test_simulated_restore",
        "test_story",
        "test_power_cut",
        "test_real_pages",
        "test_replay_mutants",
        "test_torture",
        "test_torture_restore",
        "test_workers",
        "test_wrong_orders",
    ),
}

# These are left out of `make quick` too, but each of their values is a case of its own.
WHOLE = {
    *("test_berkeleydb_source", "test_ca_backup", "test_cli_create_examine", "test_cli_encryption", "test_cli_growth"),
    *("test_cli_hints", "test_cli_json", "test_cli_limits", "test_cli_probe", "test_cli_refusals", "test_cli_sources"),
    *("test_contract_ca", "test_contract_native", "test_dirty", "test_follow", "test_lab_citizen", "test_layers"),
    *("test_manual", "test_native", "test_on_disk", "test_prepare_joined", "test_recorded", "test_rekeying"),
    *("test_stager", "test_timeline"),
}


NO_SAMPLES = "the real ESE samples are not here: set TOKAR_SAMPLES to their folder"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests; leave out what is for the torture, what wants real files where none are, what only POSIX has."""
    values = defaultdict(list)
    for item in items:
        if item.path.stem in SLOW | WHOLE:
            item.add_marker("slow")
        if item.path.stem in SLOW:
            values[item.nodeid.partition("[")[0]].append(item)
    for several in values.values():
        if not any(item.get_closest_marker("torture") for item in several):  # else the test chooses itself
            several.sort(key=lambda item: zlib.crc32(item.nodeid.encode()))  # the same ones every time, of every kind
            for item in several[max((len(several) + 3) // 4, 2) :]:
                item.add_marker("torture")
    if samples_folder() is None:
        leave_out_real(items)
    if os.name == "nt":
        leave_out(items)


def leave_out_real(items: list[pytest.Item]) -> None:
    """Skip what wants real files, with the reason."""
    for item in items:
        if item.get_closest_marker("samples"):
            item.add_marker(pytest.mark.skip(reason=NO_SAMPLES))


def pytest_collection_finish() -> None:
    """Let the collector of garbage pass over ten thousand tests: they stay to the end."""
    gc.collect()
    gc.freeze()


def samples_folder() -> Path | None:
    """Return the folder with the real ESE files, or None where it is not at hand."""
    named = os.environ.get("TOKAR_SAMPLES")
    candidates = [Path(named)] if named else [Path(__file__).parents[2] / "shared" / "samples"]
    for candidate in candidates:
        for folder in (candidate / "ese", candidate):
            if (folder / "MANIFEST.md").is_file():
                return folder
    return None


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real ESE files; tests that need it are skipped where it is absent."""
    folder = samples_folder()
    if folder is None:
        pytest.skip(NO_SAMPLES)
    return folder


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk() -> Iterator[None]:
    """No test cuts the power, so none waits for the disk; that bytes are synced is told by who is called."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # fails where the descriptor is no good
        yield


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the signals their defaults for a test, and what they had back afterwards."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in signals._NUMBERS}
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(signals, "_last", -signals._REPEATED)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def easy_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passphrases take next to no work, instead of a second each."""
    monkeypatch.setattr("tokar.trust.passphrase._WORK", 3)
