"""`tokar redact`: a report, a receipt, a transcript or a trace without the names of machines and people."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from tokar.cli import output
from tokar.cli.options import Json, local_file
from tokar.errors import InputError
from tokar.redact import Redactor
from tokar.storage.bytesource import read_whole
from tokar.storage.stored_json import parse_json

_LARGEST: Final = 256 << 20

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("redact")
def print_redacted(
    path: Annotated[str, typer.Argument(metavar="FILE", help="A text or JSON file; - for standard input.")],
    *,
    names: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="NAME", help="Replace this name too, wherever it stands; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a report without the names of machines, people, authorities and databases, and without addresses.

    The same name becomes the same word everywhere, such as host-1. Codes, sizes, times and names of logs stay. Read it
    before you send it: a name that stands in running text alone is replaced only with --name.

    Example: tokar redact full.tokar.receipt.json
    Example: tokar redact transcript.txt --name CONTOSO --name ca1
    """
    with local_file(path) as real:
        data = read_whole(real, _LARGEST)
    text = _text_of(data, path)
    redactor = Redactor(names or ())
    try:
        value = parse_json(text)
    except InputError:  # no report that tokar wrote
        redacted = redactor.text(text)
        if as_json:
            output.as_json({"report": None, "text": redacted})
            return
        for line in redacted.splitlines():
            output.line(output.safe(line.replace("\t", "    ")))
    else:
        report = redactor.value(value)
        if as_json:
            output.as_json({"report": report, "text": None})
        else:
            output.write(output.json_text(report, indent=2) + "\n")


def _text_of(data: bytes, path: str) -> str:
    """Return the text in a file: UTF-8, UTF-16 with its mark, or one of the code pages that consoles write.

    Raises:
        InputError: It is no text.
    """
    try:
        return data.decode("utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig")
    except UnicodeDecodeError as error:
        if not any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in data[:65536]):
            return data.decode("cp1252", "replace")
        raise InputError("it is no text", path=path, hint="tokar inspect --json shows an archive as text") from error
