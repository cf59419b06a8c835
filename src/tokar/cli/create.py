"""`tokar create`: an archive of files that lie on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokar import names
from tokar.as_json import as_json as to_json
from tokar.as_json import fields_json
from tokar.cli import completion, output
from tokar.cli import examination as recorded
from tokar.cli.encryption import NewPassphrase, RecipientFiles, RecipientTexts, recipients_of
from tokar.cli.hints import typeable
from tokar.cli.options import Force, Json, Quiet, Sign, archive_sink, make_signer, name_leftovers
from tokar.collect.collect import Collection, CollectRequest, collect, gather
from tokar.collect.examine import NOT_EXAMINED, Findings
from tokar.collect.found import MOST_NOTES
from tokar.errors import InputError
from tokar.format.compression import Compression
from tokar.format.writer import Sealed
from tokar.processes import useful_processes
from tokar.storage.sink import PipeSink, Sink
from tokar.tokens import SERVED, token_name
from tokar.words import count_text

if TYPE_CHECKING:
    from tokar.sets.facts import SetFacts
    from tokar.sets.faults import Fault
    from tokar.sets.outcome import LastLine

    _Judged = tuple[LastLine, Sequence[Fault], Sequence[Fault], SetFacts | None]

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_MAX_LISTED = 20


@app.command()
def create(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The archive to make; - for standard output.")],
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files, folders, or TOKEN=FILE.")],
    *,
    take_all: Annotated[
        bool, typer.Option("--all", help="Take everything in a folder; what is not recognised gets token 0x0F.")
    ] = False,
    base: Annotated[
        str | None,
        typer.Option(help="The log stream to take, by its base name (such as edb), where a folder has several."),
    ] = None,
    with_key: Annotated[
        bool,
        typer.Option("--with-key", help="Take the private key (.p12) that certutil -backup writes beside DataBase."),
    ] = False,
    name: Annotated[str | None, typer.Option(help="A name for the set.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            autocompletion=completion.profiles,
            help="The token profile: edbbcli, ntdsbcli, certadm or ese. "
            "[default: ese; certadm for a folder of certutil's]",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(autocompletion=completion.kinds, help="full, logs or collected. [default: told from the files]"),
    ] = None,
    server: Annotated[str | None, typer.Option(help="The server that the files came from.")] = None,
    annotation: Annotated[str | None, typer.Option(help="A remark to keep in the archive.")] = None,
    locations: Annotated[
        Path | None, typer.Option(help="A file with the locations to keep: a raw list as the API returned it, or TOML.")
    ] = None,
    compress: Annotated[
        str, typer.Option(autocompletion=completion.compressions, help="none, zstd or zstd:LEVEL.")
    ] = "zstd",
    no_examine: Annotated[
        bool, typer.Option("--no-examine", help="Do not verify pages and log segments on the way in.")
    ] = False,
    sign: Sign = None,
    recipients: RecipientTexts = None,
    recipients_files: RecipientFiles = None,
    passphrase: NewPassphrase = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Collect files into one sealed archive.

    Kinds are told from content; a folder gives what belongs to a set, and a list of what was left out.

    With --recipient content is encrypted: names, sizes and facts stay readable, and this machine cannot open it again.

    Pages of databases and segments of logs are verified on the way in. Damage is a warning and is recorded: the files
    are kept as they are.

    Example: tokar create srum.tokar ./sru
    Example: tokar create set.tokar ./sru --recipient age1... --recipients-file offline.pub
    """
    if as_json and out == "-":
        raise InputError("--json and the archive both want standard output", hint="name a file as OUT")
    if out != "-" and not quiet:
        name_leftovers(Path(out).parent)
    compression = Compression.parse(compress)
    request = CollectRequest(
        paths=paths,
        profile=profile,
        kind=kind,
        name=name,
        server=server,
        annotation=annotation,
        locations=locations,
        take_all=take_all,
        base=base,
        with_key=with_key,
        signer=make_signer(sign),
        recipients=recipients_of(recipients, recipients_files, passphrase=passphrase),
    )
    collection = gather(request)
    found = None if no_examine else Findings()
    with output.progress("creating", collection.size, of=out, quiet=quiet) as advance:
        sink: Sink
        if out == "-":
            sink = PipeSink(output.standard_output_for_archive())
        else:
            sink = archive_sink(out, force=force, reads=[locations] if locations else [])
        sealed = collect(
            collection,
            sink,
            compression=compression,
            processes=useful_processes(),
            progress=advance,
            findings=found,
        )
    examination = NOT_EXAMINED if found is None else found.to_json()
    talks = not (as_json or quiet)
    if talks:
        _list(collection, examination)
    is_plain = collection.profile not in SERVED
    is_plain &= all(one.kind == "unknown" for one in collection.gathered.candidates)
    # There may be very many, and they are done with: the verdict has need of the room.
    collection = replace(collection, gathered=replace(collection.gathered, candidates=()))
    from tokar.sets.by_other_means import beside  # noqa: PLC0415 - start-up time
    from tokar.sets.outcome import as_kept  # noqa: PLC0415 - start-up time

    outcome, missing, remarks, facts = (None, (), (), None) if out == "-" else _judged(out, sealed, is_plain=is_plain)
    own = beside((collection.profile, facts))
    if as_json:
        known = {"examination": examination, "outcome": outcome.to_json() if outcome else None, "beside": own}
        output.as_json(_json(out, collection, sealed) | known)
    for warning in collection.warnings:
        output.note(f"warning: {names.printable(warning)}")
    _warn(out, examination)
    _warn_of_recovery(out, missing)
    for one in remarks:
        said = "" if talks and one.message in collection.notes else f"note: {names.printable(one.message)}; "
        output.note(f"{said}next: {names.printable(typeable(one.next_step))}")
    if talks:
        _sum_up(out, collection, sealed, examination)
        output.last_line(as_kept(outcome), own, say=output.note)


def _warn(out: str, examination: dict[str, Any]) -> None:
    """Say what is wrong with the files, also with --quiet: their source is still there."""
    found = list(recorded.warnings(examination))
    for warning in found:
        output.note(f"warning: {warning}")
    if found:
        archive = "ARCHIVE" if out == "-" else names.typed(out)
        output.hint(f"the files are kept as they are; tokar inspect --pages {archive} lists the damage")


def _judged(out: str, sealed: Sealed, *, is_plain: bool) -> _Judged:
    """Return what the verdict on the archive comes to, what stands in the way of recovering its databases, and remarks.

    Remarks are on what whoever has the server can still set right: its location list, and where all logs of a database
    that was shut down are left out, why. At the end what its files say, where anybody looked.
    """
    from tokar.format.archive import Archive  # noqa: PLC0415
    from tokar.sets.outcome import NOTHING_TO_RECOVER, LastLine, Word, outcome_of  # noqa: PLC0415 - loads much

    if is_plain:  # there may be a million, and nothing to read in them
        with Archive(out) as archive:
            is_plain = not any(names.is_beside_a_set(one.name, one.size) for one in archive.entries)
    if is_plain:
        return LastLine(Word.NOT_PROVEN, NOTHING_TO_RECOVER), (), (), None
    from tokar.sets.faults import FaultKind, Scope  # noqa: PLC0415
    from tokar.sets.judge import judge_set  # noqa: PLC0415
    from tokar.sets.read import facts_of_archive  # noqa: PLC0415
    from tokar.sets.recorded import RecordedFacts  # noqa: PLC0415

    with Archive(out) as archive:
        if sealed.key is not None:
            archive.use_key(sealed.key)
        facts = facts_of_archive(archive, recorded=RecordedFacts(archive))
    verdict = judge_set(facts)
    # What is wrong inside a single file was said by the examination already, but for what the logs say of its pages.
    new = (one for one in verdict.blocking if one.kind.scope is Scope.SET or one.kind is FaultKind.PAGES_OFF_CHAIN)
    missing = [*new]
    told = {FaultKind.LOCATIONS_DAMAGED, FaultKind.LOCATIONS_FOREIGN}
    if facts.logs and any(one.kind is FaultKind.NEW_STREAM for one in verdict.remarks):
        told |= {FaultKind.LOG_NAME, FaultKind.LOGS_BEFORE_GAP, FaultKind.NEW_STREAM}
    remarks = [one for one in verdict.remarks if one.kind in told]
    return outcome_of(verdict, facts), missing if facts.databases else (), remarks, facts


def _warn_of_recovery(out: str, missing: Sequence[Fault]) -> None:
    """Say what stands in the way of recovering the databases, also with --quiet: what is missing may still be had."""
    for fault in missing:
        of = f"{', '.join(fault.databases)}: " if fault.databases else ""
        step = names.printable(typeable(fault.next_step))
        output.note(f"warning: {names.printable(of + fault.message)}; next: {step}")
    if missing:
        output.note(f"warning: this set cannot be recovered as it is; all of it: tokar check {names.typed(out)}")


def _list(collection: Collection, examination: dict[str, Any]) -> None:
    """Say on standard error what was taken, so that standard output stays free for the archive."""
    gathered = collection.gathered
    for one in gathered.candidates[:_MAX_LISTED]:
        token = f"0x{one.token:02X} {token_name(one.token, collection.profile)}"
        output.note(f"  {token:<22}  {output.size_text(one.state.size):>10}  {names.printable(one.name)}")
    more = gathered.count - min(len(gathered.candidates), _MAX_LISTED)
    if more:
        output.note(f"  ... and {more} more")
    for remark in collection.notes:
        output.note(f"note: {names.printable(remark)}")
    for remark in recorded.remarks(examination):
        output.note(f"note: {remark}")


def _sum_up(out: str, collection: Collection, sealed: Sealed, examination: dict[str, Any]) -> None:
    """Say what came of it, and in the end what is not inside."""
    entries = count_text(sealed.entries, "entry", "entries")
    sizes = f"{output.size_text(sealed.content_size)} in {output.size_text(sealed.size)}"
    output.note(f"sealed {names.printable(out)}: {entries}, {sizes}, root {sealed.root.hex()}")
    for one in collection.signer.made if collection.signer else ():
        output.note(f"signed by {one}")
    if looked := recorded.summary(examination):
        output.note(f"content: {looked}")
    left_out = collection.gathered.left_out
    for left in left_out[:_MAX_LISTED]:
        output.note(f"not inside: {names.printable(left.name)}: {left.reason}")
    if len(left_out) > _MAX_LISTED:
        output.note(f"not inside: {len(left_out) - _MAX_LISTED} more; the archive lists the first {MOST_NOTES:,}")


def _json(out: str, collection: Collection, sealed: Sealed) -> dict[str, object]:
    return {
        "archive": {
            "path": out,
            **fields_json(sealed, "size", "id", "root"),
            **fields_json(collection, "profile", "kind"),
            **fields_json(sealed, "entries", "content_size"),
            "signatures": to_json(collection.signer.made if collection.signer else []),
        },
        "left_out": ({"name": names.printable(one.name), "reason": one.reason} for one in collection.gathered.left_out),
        "notes": [*collection.warnings, *collection.notes],
    }
