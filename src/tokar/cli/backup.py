"""`tokar backup`: a server backed up by its own procedure into a sealed archive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tokar import names
from tokar.as_json import as_json as to_json
from tokar.as_json import fields_json
from tokar.cli import completion, output
from tokar.cli.encryption import NewPassphrase, RecipientFiles, RecipientTexts, recipients_of
from tokar.cli.logon import How, PasswordEnv, PasswordFd, TraceFile, User, demand_taken, settings_for
from tokar.cli.options import Deadline, Json, Quiet, Sign, deadlines_of, make_signer, name_leftovers
from tokar.cli.progress import ProgressLines
from tokar.cli.sources import opened_server, usable_kind
from tokar.errors import ArchiveError, InputError
from tokar.format.compression import Compression
from tokar.server.backup_result import BackupResult
from tokar.server.content import ListedFile
from tokar.server.contract import BackupKind
from tokar.server.prior import find_prior, load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.by_other_means import beside
from tokar.sets.outcome import Word
from tokar.words import count_text, log_range

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def backup(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="lab:DIR, a simulated server; dir:DIR, a set that nobody writes to (only --type copy); "
            "ca://HOST, a certification authority on the network (experimental); others as tokar sources lists them.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The archive to make. Its receipt appears beside it.")],
    *,
    kind: Annotated[
        BackupKind,
        typer.Option(
            "--type",
            help="full: databases and logs, then the logs are truncated (certutil -backupDB). "
            "incremental: logs since the last set, then truncated. "
            "differential: logs since the last full, kept (certutil -backupDB Incremental). "
            "copy: a full that changes nothing on the server (KeepLog).",
            show_default=False,
        ),
    ],
    after: Annotated[
        Path | None, typer.Option(help="The set before this one: its archive or its receipt. An incremental needs it.")
    ] = None,
    chain: Annotated[Path | None, typer.Option(help="A folder of sets: find the one before this one there.")] = None,
    or_full: Annotated[
        bool,
        typer.Option(
            "--or-full", help="Take a full where the server refuses logs only for one of its four documented reasons."
        ),
    ] = False,
    accept_damage: Annotated[
        bool,
        typer.Option("--accept-damage", help="Succeed although pages are damaged. Logs are not truncated even so."),
    ] = False,
    name: Annotated[str | None, typer.Option(help="A name for the set.")] = None,
    annotation: Annotated[str | None, typer.Option(help="A remark to keep in the archive.")] = None,
    compress: Annotated[
        str, typer.Option(autocompletion=completion.compressions, help="none, zstd or zstd:LEVEL.")
    ] = "zstd",
    recipients: RecipientTexts = None,
    recipients_files: RecipientFiles = None,
    passphrase: NewPassphrase = False,
    deadline: Deadline = None,
    truncate: Annotated[
        bool,
        typer.Option(
            "--truncate",
            help="Let logs be truncated on a source that is experimental as well: one that was tried on doubles, "
            "not yet on Windows (tokar sources). Others need it not.",
        ),
    ] = False,
    user: User = None,
    password_env: PasswordEnv = None,
    password_fd: PasswordFd = None,
    auth: How = None,
    trace: TraceFile = None,
    sign: Sign = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Back a server up.

    Logs are truncated only when the archive is sealed, durable and re-read, never before and never for a differential
    or a copy.

    Example: tokar backup lab:server full.tokar --type full --recipients-file recipients
    Example: tokar backup ca://ca1.example.com later.tokar --type incremental --chain backups --user admin@EXAMPLE.COM
    """
    if after is not None and chain is not None:
        raise InputError("--after and --chain exclude each other")
    takes = usable_kind(source).takes  # before anything is read or started
    demand_taken({"truncate"} if truncate else set(), takes)
    if not quiet:
        name_leftovers(out.parent)
    announcer = _Announcer()
    options = BackupOptions(
        prior=load_prior(after) if after else None,
        or_full=or_full,
        accept_damage=accept_damage,
        name=name,
        annotation=annotation,
        compression=Compression.parse(compress),
        recipients=recipients_of(recipients, recipients_files, passphrase=passphrase),
        progress=announcer if output.shows_lines() or not (quiet or as_json) else None,
        signer=make_signer(sign),
    )
    deadlines = deadlines_of(deadline)
    with (
        settings_for(
            user=user, password_env=password_env, password_fd=password_fd, auth=auth, trace=trace, takes=takes
        ) as settings,
        opened_server(source, settings | ({"truncate": True} if truncate else {}), deadlines) as server,
    ):
        if chain is not None:
            options = replace(options, prior=find_prior(chain, kind, server=server.name, report=_not_read))
        result = run_backup(server, out, kind, options)
        announcer.end()
    _warn(result)
    own = beside((server.dialect.profile, None))
    if as_json:
        signatures = to_json(options.signer.made if options.signer else [])
        output.as_json({**_json(result), "beside": own, "signatures": signatures})
    elif not quiet:
        _describe(result)
        output.lines("signed by ", map(str, options.signer.made if options.signer else ()))
        output.last_line(result.outcome, own)


def _warn(result: BackupResult) -> None:
    """Say that what was sealed cannot be recovered, also with --quiet: its source is still there."""
    found = result.outcome
    if found is not None and found.word in {Word.NOT_RESTORABLE, Word.WITH_LOSS}:
        path = names.printable(str(result.path))
        output.note(f"warning: {path} is sealed, and {output.safe(str(found))}; all of it: tokar check {path}")


def _not_read(problem: ArchiveError) -> None:
    output.note(f"cannot be read, and the chain does not need it: {output.safe(str(problem))}")


class _Announcer:
    """Says which file is being read, once a file; or how far it is, for programs."""

    def __init__(self) -> None:
        self._last: object = None
        self._lines: ProgressLines | None = None

    def __call__(self, file: ListedFile, size: int) -> None:
        if file is not self._last:
            self.end()
            self._last, name = file, names.display(file.raw_name, file.encoding)
            if output.shows_lines():
                self._lines = output.progress_lines("reading", name)
            else:
                output.note(f"reading {name}")
        if self._lines:
            self._lines.advance(size)

    def end(self) -> None:
        """Say that the last file is read."""
        if self._lines:
            self._lines.write()


def _describe(result: BackupResult) -> None:
    sealed = result.sealed
    if result.refusal:
        output.line(f"logs only was refused ({result.refusal}); took a {result.took.value} instead")
    entries = count_text(sealed.entries, "entry", "entries")
    output.line(
        f"sealed {result.path}: {result.took.value}, {entries}, "
        f"{output.size_text(sealed.content_size)} in {output.size_text(sealed.size)}"
    )
    if result.generations:
        output.line(f"{log_range(*result.generations)}; truncation: {result.truncation.value}")
    output.lines("damaged: ", result.damaged)
    output.lines("note: ", map(names.printable, result.notes))
    output.line(f"root {sealed.root.hex()}; receipt {result.receipt}")


def _json(result: BackupResult) -> dict[str, Any]:
    low_high = result.generations
    return {
        "archive": {"path": str(result.path), **fields_json(result.sealed, "id", "root", "size", "entries")},
        **fields_json(result, "receipt", "asked", "took"),
        "refusal": result.refusal or None,
        "truncation": result.truncation.value,
        "generations": {"low": low_high[0], "high": low_high[1]} if low_high else None,
        **fields_json(result, "damaged", "notes", "outcome"),
    }
