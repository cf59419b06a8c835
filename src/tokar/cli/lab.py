"""`tokar lab`: a simulated server to practise on, and to test one's own backup client against."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer

from tokar import names
from tokar.as_json import fields_json
from tokar.cli import completion, output
from tokar.cli.options import Json
from tokar.errors import InputError
from tokar.lab.database_file import DatabaseFile
from tokar.lab.lab import Lab, create_lab, open_lab
from tokar.lab.log_stream import closed_logs
from tokar.lab.tables import dump
from tokar.words import count_text, log_range, range_text

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder that the simulated server lives in.", show_default=False)
]
_SWITCHES = {"on": True, "off": False}


@app.callback()
def lab() -> None:
    """A simulated server with databases, logs and users at work: make one, let it work, break it, recover it.

    Nothing outside its folder is touched.
    """


@app.command()
def new(
    folder: Folder,
    *,
    profile: Annotated[
        str,
        typer.Option(
            autocompletion=completion.profiles,
            help="edbbcli (Exchange), ntdsbcli (Active Directory) or certadm (AD CS).",
        ),
    ] = "edbbcli",
    databases: Annotated[
        int | None, typer.Option(min=1, max=12, help="How many databases. [default: 2 for edbbcli, else 1]")
    ] = None,
    seed: Annotated[int, typer.Option(help="What its chances follow from.")] = 1,
    empty: Annotated[
        bool, typer.Option("--empty", help="A server that has lost its databases and logs: one to restore to.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a server.

    Example: tokar lab new server
    Example: tokar lab new ca --profile certadm
    """
    made = create_lab(folder, profile, databases, seed, empty=empty)
    if not empty:
        made.start()
        made.stop()
    _show(made, as_json=as_json)


@app.command()
def work(
    folder: Folder,
    *,
    transactions: Annotated[int, typer.Option("--transactions", "-n", min=1, help="How many more transactions.")] = 100,
    crash: Annotated[bool, typer.Option("--crash", help="Stop in the middle of things, as a power cut does.")] = False,
    as_json: Json = False,
) -> None:
    """Let users work, then stop the server cleanly.

    Example: tokar lab work server
    Example: tokar lab work server -n 60 --crash
    """
    opened = open_lab(folder)
    opened.work(transactions)
    if crash:
        opened.crash()
    else:
        opened.stop()
    _show(opened, as_json=as_json)


@app.command("set")
def set_option(
    folder: Folder,
    settings: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="circular=on|off, incremental=on|off")],
    *,
    as_json: Json = False,
) -> None:
    """Change settings of the server.

    Example: tokar lab set server circular=on
    Example: tokar lab set server circular=off incremental=on
    """
    opened = open_lab(folder)
    wanted = [_setting(setting) for setting in settings]
    for name, value in wanted:
        if name == "circular":
            opened.set_circular(_SWITCHES[value])
        elif _SWITCHES[value]:
            opened.enable_incremental()
        else:
            opened.disable_incremental()
        if not as_json:
            output.line(f"{name} is {value}")
    if as_json:
        _show(opened, as_json=True)


def _setting(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if name not in ("circular", "incremental") or value not in _SWITCHES:
        raise InputError(f"not a setting: {text}", hint="circular=on|off or incremental=on|off")
    return name, value


@app.command()
def defragment(
    folder: Folder,
    *,
    database: Annotated[str | None, typer.Option(help="Its file name; all by default.")] = None,
    as_json: Json = False,
) -> None:
    """Compact databases offline.

    They get new signatures, and their chain of backups ends.

    Example: tokar lab defragment server
    Example: tokar lab defragment ca --database 'Lab CA.edb'
    """
    opened = open_lab(folder)
    for name in [database] if database else [each.name for each in opened.config.databases]:
        opened.defragment(name)
        if not as_json:
            output.line(f"{name}: compacted; take a full backup, its chain has ended")
    opened.stop()
    if as_json:
        _show(opened, as_json=True)


@app.command()
def recover(folder: Folder, *, as_json: Json = False) -> None:
    """Recover what lies in the server's folders.

    Its service does so at its start: hard after a restore, else soft.

    Example: tokar lab recover server
    Example: tokar lab recover server --json
    """
    opened = open_lab(folder)
    done = opened.recover()
    if as_json:
        output.as_json({"recovery": fields_json(done, "hard", "low", "high", "undone", "deleted"), **_facts(opened)})
        return
    kind = "hard" if done.hard else "soft"
    output.line(
        f"{kind} recovery: {log_range(done.low, done.high)} played, {count_text(done.undone, 'transaction')} undone"
    )
    output.lines("deleted after a gap: ", done.deleted)
    _show(opened, as_json=False)


@app.command()
def show(folder: Folder, *, as_json: Json = False) -> None:
    """Show databases, logs, and where files belong.

    Of each database there is a digest of its records, to compare two servers by.

    Example: tokar lab show server
    Example: tokar lab show server --json
    """
    _show(open_lab(folder), as_json=as_json)


def contents_digest(records: dict[bytes, bytes]) -> str:
    """Return a short digest of a database's records, for comparing two servers by eye."""
    digest = hashlib.blake2b(digest_size=8)
    for key, value in sorted(records.items()):
        digest.update(len(key).to_bytes(4, "big") + key + len(value).to_bytes(4, "big") + value)
    return digest.hexdigest()


def _facts(lab: Lab) -> dict[str, Any]:
    lab.demand_folders()
    logs = sorted(closed_logs(lab.place.logs, lab.place.base))
    contents = _contents(lab)
    databases = {
        name: {
            "clean": records is not None,
            "records": None if records is None else len(records),
            "digest": None if records is None else contents_digest(records),
        }
        for name, records in contents.items()
    }
    return {
        "folder": str(lab.folder),
        **fields_json(lab.config, "profile", "server", "circular"),
        "databases": databases,
        "logs": {"count": len(logs), "low": logs[0] if logs else None, "high": logs[-1] if logs else None},
        "locations": [fields_json(one, "token", "name", "path", "is_directory") for one in lab.locations()],
    }


def _contents(lab: Lab) -> dict[str, dict[bytes, bytes] | None]:
    """Return the records of the databases that are there; None for one that has to be recovered first."""
    found: dict[str, dict[bytes, bytes] | None] = {}
    for each in lab.config.databases:
        path = lab.place.databases[each.dbid]
        if path.exists():
            is_clean = DatabaseFile(path, lab.era).header.is_clean
            found[each.name] = dump(path, lab.era) if is_clean else None
    return found


def _show(lab: Lab, *, as_json: bool) -> None:
    facts = _facts(lab)
    if as_json:
        output.as_json(facts)
        return
    output.line(f"{facts['folder']}: simulated server {facts['server']}, {facts['profile']}")
    for name, one in facts["databases"].items():
        if one["clean"]:
            output.line(f"  {name:<12}  {count_text(one['records'], 'record'):>14}  contents {one['digest']}")
        else:
            output.line(f"  {name:<12}  to be recovered first: tokar lab recover {names.typed(facts['folder'])}")
    logs = facts["logs"]
    closed = range_text(logs["low"], logs["high"]) if logs["count"] else "none"
    output.line(f"  closed logs   {closed}, circular logging {'on' if facts['circular'] else 'off'}")
    for one in facts["locations"]:
        output.line(f"  0x{one['token']:02X}  {one['name']} -> {one['path']}")
