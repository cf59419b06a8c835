"""All that the page shows, as values for JSON: what `check` found, in the order in which a person asks.

It judges nothing: verdicts, faults, needs and next steps are those of the one judge. Lists are cut where they grow
long, and say how much more there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain as in_turn
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

from tokar import names
from tokar._version import __version__
from tokar.as_json import fields_json
from tokar.check.report import ArchiveCheck, CheckReport, Rung, RungFault, RungResult, RungState
from tokar.codes import of_engine
from tokar.errors import ArchiveError, RestoreError
from tokar.ese.content_facts import PageFaultKind
from tokar.format.archive import Archive
from tokar.report.chronicle import receipts_alone, story_of
from tokar.report.timeline import (
    Mark,
    StreamLine,
    Tone,
    grouped,
    short_labels,
    shown_streams,
    timeline_of,
    tone_of,
    tone_of_database,
)
from tokar.restore.guide import guide_start
from tokar.restore.matching import Matcher, token_text
from tokar.restore.options import RestoreOptions, make_request
from tokar.sets.backup_set import BackupSet, open_again
from tokar.sets.by_other_means import beside
from tokar.sets.chain import Chain
from tokar.sets.facts import DatabaseFacts
from tokar.sets.outcome import LastLine, Word
from tokar.sets.start import ChainStart
from tokar.words import count_text, some, spans

Values = dict[str, Any]


class _Place(NamedTuple):
    """Where a file goes."""

    what: str  # Its token
    where: str  # The directory or file; empty where nobody knows
    why: str  # The rule, or why nobody does
    size: int  # Bytes


_OF_AUTHORITIES: Final = {".p12", ".pfx", ".crt", ".cer", ".crl"}  # files that are called as an authority
_MOST: Final = 100  # sets, databases, and rows of any list
_MOST_SAID: Final = 10  # things that one rung found
_MOST_ALIKE: Final = 4  # of those, of which the same is said
_LONGEST: Final = 1000  # characters of a text
_PLACES: Final = 240  # that a line has where there is more than it could show
_PAGES: Final = {PageFaultKind.BAD: "content and checksum do not fit"}
_STATES: Final = {RungState.PASSED: Tone.GOOD, RungState.FAILED: Tone.BAD, RungState.NOT_LOOKED_AT: Tone.OPEN}


def known_names(report: CheckReport) -> dict[str, list[str]]:
    """Return the names in sets that are told by where they stand alone, by what they are of."""
    sets = [one.backup_set for one in report.archives if one.backup_set is not None]
    left_out = [Path(name) for one in report.archives for name, _ in one.left_out]
    return {
        "host": [one.server for one in sets if one.server],
        "database": [Path(names.leaf_of(file.name)).stem for one in sets for file in one.facts.databases],
        "authority": [one.stem for one in left_out if one.suffix.lower() in _OF_AUTHORITIES],
    }


def picture_of(report: CheckReport, paths: Sequence[Path | str], *, made: str = "", redact: bool = False) -> Values:
    """Return all that the page shows.

    Args:
        report: What `check` found.
        paths: What it was asked about.
        made: When, as text.
        redact: Whether folders are called by numbers.
    """
    labels = dict(
        zip((one.path for one in report.archives), short_labels(one.path for one in report.archives), strict=True)
    )
    folders = _folders(report, paths) if redact else {}
    labels |= {path: label for path, label in folders.items() if path in labels}
    opened = [*_opened(report, labels)]
    chain = report.chain
    picture = {
        "outcome": _outcome(report.outcome),
        "about": _about(report, labels),
        "made": made,
        "software": f"tokar {__version__}",
        "sets": [_set(one, labels[one.path]) for one in report.archives[:_MOST]],
        "more_sets": max(len(report.archives) - _MOST, 0),
        "streams": _streams(
            chain,
            dict(
                zip(
                    short_labels(one.label for one in chain.sets),
                    (labels.get(one.label, "") for one in chain.sets),
                    strict=True,
                )
            )
            if redact
            else {},
        ),
        "databases": _cut([_database(start, one) for start in chain.starts for one in start.facts.databases]),
        "places": _places(
            (*(one["places"] for one in opened), *(_as_they_lie(one) for one in chain.sets if not one.id))
        ),
        "left_out": _cut(_left_out(report, labels, opened)),
        "stories": [one["story"] for one in opened],
        "receipts": [*receipts_alone(paths, labels)][:_MOST],
        "beside": [*beside(*((one.profile, one.facts) for one in chain.sets))],
        "fixes": _fixes(report),
        "commands": [*_commands(report, paths, _by_length(folders))],
        **_after(report),
    }
    if redact:
        return {key: _called(one, _by_length(labels | folders), ()) for key, one in picture.items()}
    longer = _by_length(labels)
    return {key: one if key in {"commands", "places"} else _called(one, longer) for key, one in picture.items()}


def _by_length(labels: dict[str, str]) -> list[tuple[str, str]]:
    """Return what paths are called, the longest first."""
    return sorted(((path, label) for path, label in labels.items() if path != label), key=lambda one: -len(one[0]))


def _folders(report: CheckReport, paths: Sequence[Path | str]) -> dict[str, str]:
    """Return the folders that were given, that hold archives, and that are sets, each with a number."""
    given = [str(path) if Path(path).is_dir() else str(Path(path).parent) for path in paths]
    lying = [one.path for one in report.archives if Path(one.path).is_dir()]
    held = [str(Path(one.path).parent) for one in report.archives]
    listed = dict.fromkeys(one for one in (*given, *lying, *held) if one.strip("./"))
    return {path: f"folder-{number}" for number, path in enumerate(listed, 1)}


def _called(value: Any, labels: Sequence[tuple[str, str]], but: Sequence[str] = ("about",)) -> Any:
    """Return a value in whose texts sets are called as in the pictures; what is told about one keeps its path."""
    if isinstance(value, dict):
        return {key: one if key in but else _called(one, labels, but) for key, one in value.items()}
    if isinstance(value, list):
        return [_called(one, labels, but) for one in value]
    if isinstance(value, str):
        for path, label in labels:
            value = value.replace(path, label)
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]} ..."
    return value


def _outcome(found: LastLine | None) -> Values:
    word = found.word.value if found else "NOTHING TO JUDGE"
    return {"word": word, "why": found.why if found else "", "tone": tone_of(found).value}


def _about(report: CheckReport, labels: dict[str, str]) -> str:
    facts = [one.facts for one in report.chain.sets]
    databases, logs = (
        sum(len(part) for part in parts) for parts in ((one.databases for one in facts), (one.logs for one in facts))
    )
    held = f"{count_text(databases, 'database')}, {count_text(logs, 'log')}"
    return f"{some(labels.values(), 3)}: {count_text(len(report.archives), 'set')}, {held}"


def _set(one: ArchiveCheck, label: str) -> Values:
    found = one.backup_set
    about = [("path", one.path)]
    if found is not None:
        about += [("kind", found.kind), ("profile", found.profile), ("created", found.created)]
    return {
        "label": label,
        "server": found.server if found else None,
        "about": [{"key": key, "value": value} for key, value in about if value],
        "outcome": _outcome(one.outcome),
        "rungs": [_rung(result) for result in one.rungs],
    }


def _rung(result: RungResult) -> Values:
    found = [*(_fault("!", one) for one in result.findings), *(_fault("note: ", one) for one in result.remarks)]
    said = [("", one) for one in result.details]
    said += [("not judged: ", one) for one in result.unproven]
    said += [("not looked at: ", one) for one in result.not_looked_at]
    return {
        "rung": result.rung.value,
        "state": result.state.value,
        "tone": _STATES[result.state].value,
        "summary": result.summary,
        "faults": _cut(_alike(found), _MOST_SAID),
        "said": _cut([{"text": f"{sign}{text}"} for sign, text in said], _MOST_SAID),
    }


def _fault(sign: str, one: RungFault) -> Values:
    below = [f"for {some(one.databases)}"] if one.databases and one.databases != one.files else []
    error = "the engine's error" if sign == "!" else "the engine's error, where it meets this"
    below += [f"{error}: {one.engine}"] if one.engine is not None else []
    below += [f"so: {text}" for text in one.consequences]
    below += [f"next: {one.next_step}"] if one.next_step else []
    return {
        "text": f"{sign.strip('!')}{one.message}",
        "below": below,
        "tone": (Tone.BAD if sign == "!" else Tone.OPEN).value,
    }


def _alike(faults: Iterable[Values]) -> Iterator[Values]:
    """Yield faults, those of which the same is said as one."""
    for (tone, below), same in groupby(faults, lambda one: (one["tone"], one["below"])):
        texts = [one["text"] for one in same]
        more = [f"and {len(texts) - _MOST_ALIKE:,} more like it"] if len(texts) > _MOST_ALIKE else []
        yield {"texts": [*texts[:_MOST_ALIKE], *more], "below": below, "tone": tone}


def _streams(chain: Chain, labels: dict[str, str]) -> Values:
    shown, more = shown_streams(timeline_of(chain))
    found = _cut(_stream(one, labels) for one in shown)
    return {**found, "more": found["more"] + more}


def _stream(stream: StreamLine, labels: dict[str, str]) -> Values:
    """Return a stream with the texts of its rows, and how much of each place of the line they take."""
    count = stream.high - stream.low + 1
    places = min(count, _PLACES)
    return {
        **fields_json(stream, "base", "low", "high"),
        "rows": [
            {
                **fields_json(row, "mark", "label", "note", "word", "tone"),
                "label": labels.get(row.label, row.label) if row.mark is Mark.SET else row.label,
                "depth": min(row.depth, 6),
                "generations": _generations(row.every),
                "cells": [one.value for one in row.cells(stream.low, stream.high, places)],
                "committed": (row.committed[0] - stream.low) * places // count if row.committed else None,
            }
            for row in grouped(stream.rows)
        ],
    }


def _generations(runs: Sequence[tuple[int, int]]) -> str:
    return some((spans([range(low, high + 1)]) for low, high in runs), 4)


def _database(start: ChainStart, one: DatabaseFacts) -> Values:
    verdict = next((found for found in start.verdict.databases if found.name == one.name), None)
    pages = one.pages.pages if one.pages else 0
    faults = [*_page_faults(one)]
    count = min(pages, _PLACES)
    cells = [0] * count
    for page, _, _ in faults if count else ():
        cells[min(max(page - 1, 0), pages - 1) * count // pages] = 2
    return {
        "name": one.name,
        "verdict": str(verdict) if verdict else "",
        "tone": (tone_of_database(verdict) if verdict else Tone.OPEN).value,
        "pages": pages,
        "summary": _pages_text(one),
        "cells": cells,
        "faults": _cut([{"page": page, "what": what, "code": code} for page, what, code in faults], 2 * _MOST_SAID),
    }


def _page_faults(one: DatabaseFacts) -> Iterator[tuple[int, str, str]]:
    """Yield the pages that are not as they should be, each with what is wrong and the error of the engine."""
    for fault in one.pages.faults if one.pages else ():
        yield (
            fault.page,
            _PAGES.get(fault.kind, fault.kind.value.replace("-", " ")),
            "" if fault.code is None else str(of_engine(fault.code)),
        )
    for off in one.chain.off if one.chain else ():
        yield off.page, f"{off.text}, by the logs", _engine(off.code)


def _engine(code: int | None) -> str:
    return "" if code is None else str(of_engine(code))


def _pages_text(one: DatabaseFacts) -> str:
    report = one.pages
    if report is None or report.not_verified:
        return f"pages were not verified: {report.not_verified if report else 'tokar check --content does it'}"
    bad = count_text(report.bad, "damaged page") if report.bad else "no damaged page"
    text = f"{bad} among {report.pages:,}"
    text += f", {report.empty:,} of them empty" if report.empty else ""
    text += f", {report.blank_pages}" if report.blank else ""
    text += f", {report.correctable:,} that the engine corrects" if report.correctable else ""
    return text + (
        f", {count_text(one.chain.off_count, 'page')} that the logs do not lead to"
        if one.chain and one.chain.off_count
        else ""
    )


def _opened(report: CheckReport, labels: dict[str, str]) -> Iterator[Values]:
    """Yield what is read of the archives themselves: where tokens go, what was left out, the transcript."""
    for one in report.archives[:_MOST]:
        if one.backup_set is None or not one.backup_set.id:
            continue
        with open_again(one.backup_set) as archive:
            label = labels[one.path]
            places = [*_places_of(archive)]
            left_out, story = archive.summary.extra.get("left_out", []), {"set": label, **story_of(archive)}
            yield {"set": label, "places": places, "left_out": left_out, "story": story}


def _places_of(archive: Archive) -> Iterator[_Place]:
    """Yield where each file goes, by the list that the archive keeps and the rule of restore."""
    profile = archive.head.profile
    try:
        request = make_request(archive, RestoreOptions())
    except ArchiveError as error:
        yield _Place("all files", "", error.message, 0)
        return
    matcher = Matcher(request.locations, {entry.token for entry in archive}, profile)
    for entry in archive:
        where, why = "", "the archive keeps no list of places: restore --to says it"
        try:
            match = matcher.match(entry.token, entry.leaf)
            where, why = match.location.path, match.rule
        except RestoreError as error:
            why = error.message if request.locations else why
        yield _Place(token_text(entry.token, profile), where, why, entry.size)


def _as_they_lie(one: BackupSet) -> Iterator[_Place]:
    facts = one.facts
    kinds = {
        "database": facts.databases,
        "log": facts.logs,
        "patch file": facts.patches,
        "streaming file": facts.streaming,
    }
    for what, files in kinds.items():
        yield from (_Place(what, one.label, "as they lie", file.size) for file in files)


def _places(files: Iterable[Iterable[_Place]]) -> list[Values]:
    """Return the places of files, each with what goes there."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for what, where, why, size in in_turn.from_iterable(files):
        counted = found.setdefault((where, what, why), [0, 0])
        counted[0] += 1
        counted[1] += size
    return [
        {"where": where, "what": what, "why": why, "count": count_text(count, "file"), "size": size}
        for (where, what, why), (count, size) in sorted(found.items())
    ][:_MOST]


def _left_out(report: CheckReport, labels: dict[str, str], opened: Iterable[Values]) -> list[Values]:
    """Return the files that are left out, those with one reason together: by the verdict, and when it was made."""
    found: dict[tuple[str, str], list[str]] = {}
    for start in report.chain.starts:
        label = report.chain.sets[start.number].label
        for left in start.verdict.left_out:
            found.setdefault((labels.get(label, label), left.reason), []).append(left.file.name)
    for lying in report.archives:
        for name, reason in lying.left_out:
            found.setdefault((labels[lying.path], reason), []).append(name)
    for one in opened:
        for row in one["left_out"]:
            found.setdefault((one["set"], row["reason"]), []).append(row["name"])
    return [{"set": label, "reason": reason, "files": some(files)} for (label, reason), files in found.items()]


def _fixes(report: CheckReport) -> list[Values]:
    """Return what is wrong and what to do about it, the root cause of each set first."""
    found: dict[str, list[str]] = {}
    for one in (finding for archive in report.archives for result in archive.rungs for finding in result.findings):
        if one.next_step:
            found.setdefault(one.next_step, []).append(one.message)
    return [{"what": messages[0], "more": len({*messages}) - 1, "next": step} for step, messages in found.items()][
        :_MOST_SAID
    ]


def _commands(report: CheckReport, paths: Sequence[Path | str], folders: Sequence[tuple[str, str]]) -> Iterator[Values]:
    """Yield the commands that come next, each with what it is for."""
    given = " ".join(names.typed(_called(str(path), folders)) for path in paths)
    outcome, lying = report.outcome, any(one.backup_set and not one.backup_set.id for one in report.archives)
    for one in report.archives:
        if _is_damaged(one):
            path = _called(one.path, folders)
            out = names.typed(f"{path.removesuffix('.tokar')}-saved.tokar")
            yield _command("Save what is whole of a damaged archive", f"tokar salvage {names.typed(path)} {out}")
    if outcome is None:
        return
    if outcome.word is Word.NOT_PROVEN and "--content" in outcome.why:
        yield _command("Look at every page and log", f"tokar check --content {given}")
    if outcome.word is Word.PART_OF_A_CHAIN:
        yield _command("Judge it together with its full", f"tokar check FULL {given}")
    if outcome.exit_code or outcome.word is Word.PART_OF_A_CHAIN:
        return
    if lying:
        yield _command("Keep it in a sealed archive", f"tokar create set.tokar {given}")
        return
    one_folder = len(paths) == 1 and Path(paths[0]).is_dir()
    sets = f"--chain {given}" if one_folder else given
    yield _command(
        "See where every file would go; nothing is written", f"tokar restore {sets} --into restored --dry-run"
    )
    yield _command("Restore into a new folder", f"tokar restore {sets} --into restored")


def _is_damaged(one: ArchiveCheck) -> bool:
    reached = {result.rung: result.state for result in one.rungs}
    return RungState.FAILED in {reached[Rung.SEALED], reached[Rung.INTACT]}


def _command(why: str, command: str) -> Values:
    return {"why": why, "command": command}


def _after(report: CheckReport) -> Values:
    """Return what follows a restore, of the set with databases that is judged worst; nothing where none can be."""
    chain, outcome = report.chain, report.outcome
    if not chain.starts or outcome is None or outcome.exit_code:
        return {"after": [], "never": []}
    guidance = guide_start(chain, chain.starts[-1])
    return {"after": list(guidance.next_steps), "never": list(guidance.never)}


def _cut(rows: Iterable[Values], most: int = _MOST) -> Values:
    """Return the first rows of a list, and how many more there are."""
    listed = list(rows)
    return {"rows": listed[:most], "more": max(len(listed) - most, 0)}
