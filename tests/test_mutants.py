"""Mutants: with any safeguard of procedure, licence or restore taken away, a backup or a restore breaks its promise.

That is how the simulated engine proves its worth: were a mutant to pass, the tests of the sound code would show
nothing. A trial is a small story with a fixed seed; the sound code passes all of them. Each mutant is held to how it
is caught: by contents that differ, by an error of the engine, or by a second safeguard.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from chain_stories import Kept, Story, new_story, outcome_of, restore, take, target_for, used_target, wipe
from server_parts import generation_of
from sweeps import sampled

from tokar import codes, names
from tokar.errors import ArchiveError, ExistingFileError, FormatError, SetError, SourceError, StorageError
from tokar.format.archive import Archive
from tokar.format.verify import VerifyReport
from tokar.format.writer import ArchiveWriter
from tokar.lab.calls import Injection, InjectionKind
from tokar.lab.config import load_registration
from tokar.lab.server import SimulatedServer
from tokar.restore import merged as merged_module
from tokar.restore.matching import Matcher
from tokar.restore.options import RestoreOptions
from tokar.restore.place import Placing
from tokar.restore.plan import Existing
from tokar.restore.prepare import place_sets, plan_restore
from tokar.restore.targets import Targets
from tokar.server import licence as licence_module
from tokar.server import run_backup as backup_module
from tokar.server import run_restore as restoration_module
from tokar.server.backup_steps import BackupProcedure
from tokar.server.content import ContentStream, ListKind
from tokar.server.contract import BackupKind, EndOfFile
from tokar.server.directory_source import DirectoryServer
from tokar.server.restore_steps import RestoreProcedure
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.server.transcript import Transcript
from tokar.sets import receipt as receipt_module
from tokar.sets.facts import SetFacts
from tokar.sets.receipt import Truncation, read_receipt, receipt_path
from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokar.lab.lab import Lab

Patch = pytest.MonkeyPatch
FULL, INCREMENTAL, DIFFERENTIAL, COPY = (
    BackupKind.FULL,
    BackupKind.INCREMENTAL,
    BackupKind.DIFFERENTIAL,
    BackupKind.COPY,
)


# Trials: what must hold.


def settle(lab: Lab) -> None:
    """Bring everything to disk and move the checkpoint to the end, so that truncation really deletes."""
    lab.stop()
    lab.start()


def logs_on_disk(lab: Lab) -> set[str]:
    return {path.name for path in lab.place.logs.iterdir()}


def chain_of(folder: Path, profile: str, *kinds: BackupKind) -> tuple[Story, list[Kept]]:
    """A full and sets after it, with work between them; a differential goes on from the full."""
    story = new_story(folder / "lab", profile, seed=5, work=20)
    sets = [take(story, folder / "0.tokar", FULL, busy=8)]
    for number, kind in enumerate(kinds, 1):
        story.lab.work(40)
        settle(story.lab)
        before = (sets[0],) if kind is DIFFERENTIAL else tuple(sets)
        sets.append(take(story, folder / f"{number}.tokar", kind, before=before))
    return story, sets


def comes_back(story: Story, folder: Path, *sets: Kept) -> None:
    lab = target_for(story, folder)
    restore(lab, sets)
    left = load_registration(lab.folder)
    assert left is not None
    assert left.high_log == sets[-1].high, "HighLog is not that of the last set"
    assert outcome_of(lab) == sets[-1].expected, "other contents"


def a_chain_comes_back(folder: Path, profile: str) -> None:
    kinds = (INCREMENTAL, INCREMENTAL) if profile != "ntdsbcli" else ()
    story, sets = chain_of(folder, profile, *kinds)
    for one in sets:
        assert read_receipt(receipt_path(one.path)).truncation is Truncation.DONE, "the receipt is stale"
    comes_back(story, folder / "target", *sets)


def a_busy_server_comes_back(folder: Path, profile: str) -> None:
    """A full that is read while very much goes on."""
    story = new_story(folder / "lab", profile, seed=2, work=20)
    full = take(story, folder / "0.tokar", FULL, busy=40)
    comes_back(story, folder / "target", full)


def a_differential_is_enough(folder: Path, profile: str) -> None:
    story, sets = chain_of(folder, profile, DIFFERENTIAL, DIFFERENTIAL)
    comes_back(story, folder / "target", sets[0], sets[2])


def a_mishap_loses_nothing(
    folder: Path, profile: str, mishap: Callable[[FileSink], None], error: type[Exception]
) -> None:
    """The archive of an incremental comes to harm; the next one has everything."""
    story, (full,) = chain_of(folder, profile)
    story.lab.work(40)
    settle(story.lab)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileSink, "commit", mishap)
        with contextlib.suppress(error):
            take(story, folder / "1.tokar", INCREMENTAL, before=(full,))
    story.lab.work(20)
    comes_back(story, folder / "target", full, take(story, folder / "2.tokar", INCREMENTAL, before=(full,)))


def a_full_disk_loses_nothing(folder: Path, profile: str) -> None:
    def refuse(_sink: FileSink) -> None:
        raise StorageError("no space left on device")

    a_mishap_loses_nothing(folder, profile, refuse, StorageError)


def a_disk_that_lies_loses_nothing(folder: Path, profile: str) -> None:
    commit = FileSink.commit

    def flip(sink: FileSink) -> None:
        commit(sink)
        if sink.path == folder / "1.tokar":  # not its receipt
            data = bytearray(sink.path.read_bytes())
            data[len(data) // 2] ^= 1
            sink.path.write_bytes(data)

    a_mishap_loses_nothing(folder, profile, flip, FormatError)
    assert not (folder / "1.tokar").exists(), "an archive that was not proven has its name"


def a_wrong_prior_truncates_nothing(folder: Path, profile: str) -> None:
    story, sets = chain_of(folder, profile, INCREMENTAL)
    story.lab.work(40)
    settle(story.lab)
    before = logs_on_disk(story.lab)
    with contextlib.suppress(SetError):
        take(story, folder / "2.tokar", INCREMENTAL, before=(sets[0],))
    assert before <= logs_on_disk(story.lab), "logs went although sets are missing"


def a_used_server_gets_exactly_the_backup(folder: Path, profile: str) -> None:
    story, (full,) = chain_of(folder, profile)
    story.lab.work(60)
    lab = used_target(story, folder / "target")
    restore(lab, [full], existing=Existing.SET_ASIDE)
    assert outcome_of(lab) == full.expected, "other contents"


def a_snapshot_comes_back_over_what_is_there(folder: Path, _profile: str) -> None:
    """A crashed server copied as it lies, archived, and put back where the server went on."""
    story = new_story(folder / "lab", "certadm", databases=1, work=60)
    lab = story.lab
    lab.crash()
    expected = story.expected()
    shutil.copytree(lab.place.logs, folder / "snapshot")
    lab.start()
    lab.work(60)
    settle(lab)
    lab.crash()
    out = folder / "snapshot.tokar"
    run_backup(DirectoryServer(folder / "snapshot", profile="certadm"), out, COPY, BackupOptions(threads=1))
    with Archive(out) as archive:
        place_sets(plan_restore(archive, RestoreOptions(into=lab.place.logs, existing="set-aside")))
    assert outcome_of(lab) == expected, "other contents"


def a_failed_restore_is_not_started(folder: Path, profile: str) -> None:
    story, (full,) = chain_of(folder, profile)
    lab = target_for(story, folder / "target")

    def refuse(*_: object, **__: object) -> None:
        raise StorageError("no space left on device")

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(StorageError):
        patch.setattr(Placing, "commit", refuse)
        restore(lab, [full])
    assert outcome_of(lab) == -506, "the service starts on half a database"


def a_file_of_another_size_is_refused(folder: Path, profile: str) -> None:
    story = new_story(folder / "lab", profile, work=20)
    server = SimulatedServer(story.lab, faults=[Injection(InjectionKind.ANNOUNCE, "open", nth=3, size=512)])
    with contextlib.suppress(SourceError):
        run_backup(server, folder / "0.tokar", COPY, BackupOptions(threads=1))
    assert not (folder / "0.tokar").exists(), "an archive of less than was announced"


def after_a_failure_the_next_backup_works(folder: Path, profile: str) -> None:
    story = new_story(folder / "lab", profile, work=20)
    with contextlib.suppress(SourceError):
        server = SimulatedServer(story.lab, faults=[Injection(InjectionKind.FAIL, "read")])
        run_backup(server, folder / "0.tokar", FULL, BackupOptions(threads=1))
    comes_back(story, folder / "target", take(story, folder / "1.tokar", FULL))


def a_stand_in_for_a_differential_truncates_nothing(folder: Path, profile: str) -> None:
    story = new_story(folder / "lab", profile, work=40)
    settle(story.lab)
    before = logs_on_disk(story.lab)
    run_backup(SimulatedServer(story.lab), folder / "0.tokar", DIFFERENTIAL, BackupOptions(or_full=True, threads=1))
    assert before <= logs_on_disk(story.lab), "logs went"


def the_receipt_of_another_archive_stays(folder: Path, profile: str) -> None:
    _, (full,) = chain_of(folder, profile)
    full.path.rename(folder / "elsewhere.tokar")
    told = receipt_path(full.path).read_bytes()
    story = new_story(folder / "other", profile, work=5)
    with contextlib.suppress(ExistingFileError):
        take(story, full.path, FULL)
    assert receipt_path(full.path).read_bytes() == told, "the receipt is overwritten"


def histories_are_not_mixed(folder: Path, profile: str) -> None:
    """The server is restored from its full and goes on: sets from before and after that do not go together."""
    story, (full, first) = chain_of(folder, profile, INCREMENTAL)
    wipe(story.lab)
    restore(story.lab, [full])
    story.lab.recover()
    story.account.now = {each.dbid: dict(full.expected[each.name]) for each in story.lab.config.databases}
    story.lab.work(40)
    settle(story.lab)
    second = take(story, folder / "2.tokar", FULL)
    story.lab.work(20)
    later = take(story, folder / "3.tokar", INCREMENTAL, before=(second,))
    mixed = sorted([first, later], key=lambda one: one.high)
    refused = False
    with contextlib.suppress(ArchiveError):
        refused = True
        restore(target_for(story, folder / "target"), [full, *mixed])
        refused = False
    assert refused, "a mixture was restored"


TRIALS: dict[str, tuple[Callable[[Path, str], None], tuple[str, ...]]] = {
    trial.__name__: (trial, profiles)
    for trial, profiles in (
        (a_chain_comes_back, ("edbbcli", "ntdsbcli", "certadm")),
        (a_busy_server_comes_back, ("edbbcli", "ntdsbcli", "certadm")),
        (a_differential_is_enough, ("edbbcli", "certadm")),
        (a_full_disk_loses_nothing, ("edbbcli", "certadm")),
        (a_disk_that_lies_loses_nothing, ("edbbcli", "certadm")),
        (a_wrong_prior_truncates_nothing, ("edbbcli", "certadm")),
        (a_used_server_gets_exactly_the_backup, ("edbbcli", "certadm")),
        (a_snapshot_comes_back_over_what_is_there, ("certadm",)),
        (a_failed_restore_is_not_started, ("edbbcli", "ntdsbcli")),
        (a_file_of_another_size_is_refused, ("edbbcli", "ntdsbcli", "certadm")),
        (after_a_failure_the_next_backup_works, ("edbbcli", "certadm")),
        (a_stand_in_for_a_differential_truncates_nothing, ("edbbcli", "certadm")),
        (the_receipt_of_another_archive_stays, ("certadm",)),
        (histories_are_not_mixed, ("certadm",)),
    )
}


# Mutants: what is taken away.


def skip_files(patch: Patch, skipped: Callable[[BackupProcedure, Any], bool]) -> None:
    original = BackupProcedure._take_file

    def take_file(self: BackupProcedure, kind: ListKind, entry: Any, store: Any) -> None:
        if kind is not ListKind.BACKUP_LOGS or not skipped(self, entry):
            original(self, kind, entry, store)

    patch.setattr(BackupProcedure, "_take_file", take_file)


def drop_the_patch(patch: Patch) -> None:
    """Patch files are not taken."""
    skip_files(patch, lambda _, entry: entry.token == 0x28)


def drop_the_last_log_of_the_backup(patch: Patch) -> None:
    """The highest log of the list is not taken."""

    def is_last(self: BackupProcedure, entry: Any) -> bool:
        logs = [one for one in self._held[ListKind.BACKUP_LOGS].entries if one.token == 0x21]
        return entry is logs[-1]

    skip_files(patch, is_last)


def list_logs_before_databases_are_closed(patch: Patch) -> None:
    """The logs are asked for while the last database is open (Q256347)."""
    original = BackupProcedure._take_file

    def take_file(self: BackupProcedure, kind: ListKind, entry: Any, store: Any) -> None:
        def listing(file: Any, stream: Any) -> None:
            if entry is self._held[ListKind.DATABASE_NAMES].entries[-1]:
                self._live().backup_logs().free()
            store(file, stream)

        original(self, kind, entry, listing if kind is ListKind.DATABASE_NAMES else store)

    patch.setattr(BackupProcedure, "_take_file", take_file)


def take_the_current_log(patch: Patch) -> None:
    """The log that is being written is taken in place of the highest closed one."""
    original = BackupProcedure._take_file

    def take_file(self: BackupProcedure, kind: ListKind, entry: Any, store: Any) -> None:
        if kind is ListKind.BACKUP_LOGS and entry is self._held[kind].entries[-1]:
            width = 2 if entry.encoding == 1200 else 1
            name = "edb.log".encode("utf-16-le" if width == 2 else "cp1252")
            entry = replace(entry, raw_name=entry.raw_name[: -len("edb00001.log") * width] + name)
        original(self, kind, entry, store)

    patch.setattr(BackupProcedure, "_take_file", take_file)


def truncate_before_the_seal(patch: Patch) -> None:
    """Logs are truncated as soon as they have been read."""
    original = BackupProcedure.take_logs

    def take_logs(self: BackupProcedure, store: Any) -> None:
        original(self, store)
        if self.kind.truncates:
            self._live().truncate_logs()

    patch.setattr(BackupProcedure, "take_logs", take_logs)


def truncate_after_a_differential(patch: Patch) -> None:
    """A differential truncates, as an incremental does."""
    patch.setattr(BackupKind, "truncates", property(lambda self: self is not COPY))


def let_a_truncating_full_stand_in(patch: Patch) -> None:
    """A full that stands in for a differential truncates."""
    patch.setattr(BackupKind, "fallback", property(lambda _: FULL))


def skip_the_proof(patch: Patch) -> None:
    """The sealed archive is not read again."""
    patch.setattr("tokar.server.run_backup.verify", lambda archive, **_: VerifyReport(True, archive.entry_count))


def ask_no_prior(patch: Patch) -> None:
    """The licence does not look at the prior set."""
    patch.setattr(licence_module, "demand_continues", lambda *_: None)


def ignore_the_announced_size(patch: Patch) -> None:
    """What came is taken, however much it is, and the writer is not told what was announced."""
    patch.setattr(ContentStream, "demand_whole", lambda _: None)
    original = ArchiveWriter.add

    def add(self: ArchiveWriter, *arguments: Any, **named: Any) -> Any:
        return original(self, *arguments, **{**named, "announced_size": None})

    patch.setattr(ArchiveWriter, "add", add)


def take_a_short_read_for_the_end(patch: Patch) -> None:
    """The convention of the CA's library is used for every server."""
    original = ContentStream.__init__

    def start(self: ContentStream, file: Any, read: Any, dialect: Any) -> None:
        original(self, file, read, replace(dialect, end_of_file=EndOfFile.SHORT_READ))

    patch.setattr(ContentStream, "__init__", start)


def leave_without_end(patch: Patch) -> None:
    """End is not called after a failure."""
    original = BackupProcedure.end

    def end(self: BackupProcedure) -> Any:
        return None if self.state == "failed" or self.state.endswith("-open") else original(self)

    patch.setattr(BackupProcedure, "end", end)


def leave_the_receipt_as_it_was(patch: Patch) -> None:
    """What came of the truncation is not written down."""
    original = receipt_module.write_receipt

    def write(archive: Path, receipt: Any) -> Path:
        return receipt_path(archive) if receipt.truncation is Truncation.DONE else original(archive, receipt)

    patch.setattr(backup_module, "write_receipt", write)


def overwrite_a_receipt(patch: Patch) -> None:
    """Nobody looks whether a receipt is there already, neither at the start nor when it is written."""
    patch.setattr(receipt_module, "demand_free", lambda _: None)
    patch.setattr(receipt_module, "_may_replace", lambda *_: True)


def change_registration(patch: Patch, change: Callable[[Any, Any], dict[str, Any]]) -> None:
    original = restoration_module.ServerRestore._registration

    def registration(self: Any, part: Any) -> Any:
        found = original(self, part)
        return replace(found, **change(part, found))

    patch.setattr(restoration_module.ServerRestore, "_registration", registration)


def register_one_log_too_few(patch: Patch) -> None:
    """The lowest log is registered as genLow + 1."""
    change_registration(
        patch, lambda _, found: {"generation_low": min(found.generation_low + 1, found.generation_high)}
    )


def register_the_full_alone(patch: Patch) -> None:
    """The highest log stays that of the full."""
    highest: list[int] = []

    def change(_part: Any, found: Any) -> dict[str, Any]:
        highest.append(found.generation_high)
        return {"generation_low": min(found.generation_low, highest[0]), "generation_high": highest[0]}

    change_registration(patch, change)


def swap_the_restore_map(patch: Patch) -> None:
    """Each database is mapped to the other one's path."""

    def swapped(_part: Any, found: Any) -> dict[str, Any]:
        if not found.restore_map:
            return {}
        old, new = zip(*found.restore_map, strict=True)
        return {"restore_map": tuple(zip(old, reversed(new), strict=True))}

    change_registration(patch, swapped)


def confuse_two_databases(patch: Patch) -> None:
    """The private store goes where the public one belongs, and the other way round."""
    original = Matcher.match
    other = {0x45: 0x46, 0x46: 0x45}

    def match(self: Matcher, token: int, leaf: str | None) -> Any:
        return original(self, other.get(token, token), leaf)

    patch.setattr(Matcher, "match", match)


def change_parts(patch: Patch, change: Callable[[list[Any]], list[Any]]) -> None:
    original = restoration_module.restore_to_server

    def restoring(server: Any, parts: Any, **options: Any) -> Any:
        return original(server, change(list(parts)), **options)

    patch.setattr("chain_stories.restore_to_server", restoring)


def skip_a_set(patch: Patch) -> None:
    """The second set of the chain is left out."""
    change_parts(patch, lambda parts: parts[:1] + parts[2:])


def skip_a_set_and_do_not_look(patch: Patch) -> None:
    """The same, and nobody judges the chain."""
    skip_a_set(patch)
    patch.setattr(restoration_module, "demand_reachable", lambda _: SetFacts())


def restore_in_the_wrong_order(patch: Patch) -> None:
    """The last set is restored before the others."""
    change_parts(patch, lambda parts: [parts[0], *reversed(parts[1:])])
    patch.setattr(RestoreProcedure, "_demand_next", lambda *_: None)


def drop_the_last_log_of_the_restore(patch: Patch) -> None:
    """The highest log of the chain is neither placed nor registered."""

    def cut(parts: list[Any]) -> list[Any]:
        last = parts[-1]
        kept = tuple(one for one in last.entries if generation_of(one) != last.generation_high)
        return [*parts[:-1], replace(last, entries=kept, generation_high=last.generation_high - 1)]

    change_parts(patch, cut)


def mix_histories(patch: Patch) -> None:
    """Nobody judges the chain, and one of two unlike logs of a name is taken."""
    patch.setattr(restoration_module, "demand_reachable", lambda _: SetFacts())
    patch.setattr(merged_module, "_unlike", lambda *_: ())


def leave_in_place(patch: Patch, kind: str) -> None:
    original = Targets._put_aside

    def put_aside(self: Targets, target: Any, places: Any) -> Any:
        found = target.info.found
        kept = [
            at
            for at in places
            if found.at(at).engine != kind or names.collision_key(found.at(at).name) in target.claimed
        ]
        return original(self, target, array("I", kept))

    patch.setattr(Targets, "_put_aside", put_aside)


def keep_the_old_checkpoint(patch: Patch) -> None:
    """The checkpoint of the target stays where it is."""
    leave_in_place(patch, "checkpoint")


def keep_newer_logs(patch: Patch) -> None:
    """Logs of the target that have other names than the restored ones stay where they are."""
    leave_in_place(patch, "log")


def report_success_after_a_failure(patch: Patch) -> None:
    """RegisterComplete is told that all is well."""
    patch.setattr(codes, "ERROR", codes.NONE)


def forget_the_expiry_token(patch: Patch) -> None:
    """The token that came with the backup is not passed on."""
    original = Transcript.call

    def call(self: Transcript, name: str, function: Any, *arguments: Any, **facts: Any) -> Any:
        return original(self, name, function, *(() if name == "restore_prepare" else arguments), **facts)

    patch.setattr(Transcript, "call", call)


@dataclass(frozen=True)
class Mutant:
    """A mutant, the trial that it fails, and how it is caught (a pattern of the message)."""

    mutate: Callable[[Patch], None]
    trial: Callable[[Path, str], None]
    profile: str
    caught: str


MUTANTS = [
    Mutant(drop_the_patch, a_chain_comes_back, "edbbcli", "patch file"),
    Mutant(drop_the_last_log_of_the_backup, a_chain_comes_back, "certadm", "log 0x3 is missing"),
    Mutant(list_logs_before_databases_are_closed, a_busy_server_comes_back, "edbbcli", "other contents"),
    Mutant(list_logs_before_databases_are_closed, a_busy_server_comes_back, "certadm", "-521"),
    Mutant(take_the_current_log, a_chain_comes_back, "certadm", "none of the lists"),
    Mutant(truncate_before_the_seal, a_full_disk_loses_nothing, "edbbcli", "none of the sets|neither set|hrLog"),
    Mutant(truncate_before_the_seal, a_full_disk_loses_nothing, "certadm", "none of the sets|neither set|hrLog"),
    Mutant(truncate_after_a_differential, a_differential_is_enough, "certadm", "neither set|hrLog"),
    Mutant(let_a_truncating_full_stand_in, a_stand_in_for_a_differential_truncates_nothing, "edbbcli", "logs went"),
    Mutant(skip_the_proof, a_disk_that_lies_loses_nothing, "certadm", "neither set"),
    Mutant(ask_no_prior, a_wrong_prior_truncates_nothing, "edbbcli", "logs went although"),
    Mutant(ignore_the_announced_size, a_file_of_another_size_is_refused, "edbbcli", "less than was announced"),
    Mutant(take_a_short_read_for_the_end, a_chain_comes_back, "ntdsbcli", "bytes came"),
    Mutant(leave_without_end, after_a_failure_the_next_backup_works, "certadm", "-505"),
    Mutant(leave_the_receipt_as_it_was, a_chain_comes_back, "certadm", "stale"),
    Mutant(overwrite_a_receipt, the_receipt_of_another_archive_stays, "certadm", "overwritten"),
    Mutant(register_one_log_too_few, a_chain_comes_back, "ntdsbcli", "-55"),
    Mutant(register_the_full_alone, a_chain_comes_back, "certadm", "HighLog"),
    Mutant(swap_the_restore_map, a_chain_comes_back, "edbbcli", "-531"),
    Mutant(confuse_two_databases, a_chain_comes_back, "edbbcli", "-1811"),
    Mutant(skip_a_set, a_chain_comes_back, "edbbcli", "none of the sets"),
    Mutant(skip_a_set_and_do_not_look, a_chain_comes_back, "certadm", "-557"),
    Mutant(restore_in_the_wrong_order, a_chain_comes_back, "certadm", "HighLog"),
    Mutant(drop_the_last_log_of_the_restore, a_chain_comes_back, "edbbcli", "HighLog"),
    Mutant(mix_histories, histories_are_not_mixed, "certadm", "mixture"),
    Mutant(keep_the_old_checkpoint, a_snapshot_comes_back_over_what_is_there, "certadm", "other contents"),
    Mutant(keep_newer_logs, a_used_server_gets_exactly_the_backup, "edbbcli", "other contents"),
    Mutant(report_success_after_a_failure, a_failed_restore_is_not_started, "edbbcli", "half a database"),
    Mutant(forget_the_expiry_token, a_chain_comes_back, "ntdsbcli", "expiry token"),
]


@pytest.mark.parametrize(
    ("trial", "profile"),
    sampled(
        [(name, profile) for name, (_, profiles) in TRIALS.items() for profile in profiles],
        lambda trial, profile: profile == next(one.profile for one in MUTANTS if one.trial.__name__ == trial),
    ),
)
def test_the_sound_code_passes(trial: str, profile: str, tmp_path: Path) -> None:
    TRIALS[trial][0](tmp_path, profile)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: f"{one.mutate.__name__}-{one.profile}")
def test_a_mutant_is_caught(mutant: Mutant, tmp_path: Path, monkeypatch: Patch) -> None:
    mutant.mutate(monkeypatch)
    with pytest.raises((AssertionError, ArchiveError)) as caught:
        mutant.trial(tmp_path, mutant.profile)
    assert re.search(mutant.caught, str(caught.value)), caught.value


def test_there_are_mutants_enough() -> None:
    assert len({one.mutate for one in MUTANTS}) >= 15
    assert all(one.mutate.__doc__ for one in MUTANTS)
    assert {one.trial.__name__ for one in MUTANTS} == set(TRIALS), "every trial catches one"
