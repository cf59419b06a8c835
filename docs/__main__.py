"""Writes what of the manual is made from the code: `make docs`.

The page about JSON comes from docs/schema, the rest of the reference and the man pages from the program.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs import from_code
from docs.manpages import man_pages
from docs.verbs import program

HERE = Path(__file__).parent
SCHEMAS = HERE / "schema"
MAN = HERE / "man"
TARGET = HERE / "reference" / "json.md"
INTRODUCTION = """# What `--json` prints

Every verb takes `--json` and prints one JSON object in ASCII on standard output, whatever
happens; notes and progress go to standard error. This page is made from the schemas in `docs/schema`
(JSON Schema 2020-12), to which the tests hold every verb.

* `schema` says what it is: `tokar/VERB/1`. Before a verb is known it is `tokar/error/1`, with an `error` alone.
  Within a version keys may be added, so pass over those you do not know; none goes away and none gets another
  meaning. Otherwise the number at the end changes.
* `error` is there where the command failed. Its `kind` is a word that keeps its meaning, its `message` is for people
  and may change. Results that are known all the same stand beside it.
* The [exit code](exit-codes.md) says the same in a number, and [errors](errors.md) lists the kinds.
* Times are ISO 8601, in UTC with `Z`; a time that a file gives in local time has no `Z`. Digests, ids and roots are
  hexadecimal. Integers beyond 2^53 are text.
* Names and texts are safe to print: what is not printable is escaped as `<U+202E>`.
* `--progress json` writes a JSON object a line to standard error: `{"phase": "creating", "of": "a.tokar", "bytes":
  1048576, "total": 4194304}`.

"""


def page() -> str:
    """Return the page."""
    schemas = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(SCHEMAS.glob("*.json"))}
    common = schemas.pop("common")["$defs"]
    parts = [INTRODUCTION]
    for name, value in common.items():
        parts.append(f"## `{name}`\n\n{value['description'].capitalize()}.\n\n{''.join(_lines(value, common))}\n")
    for verb, value in schemas.items():
        lines = "".join(_lines(value, common))
        parts.append(f"## tokar {verb}\n\n[The schema](../schema/{verb}.json)\n\n{lines}\n")
    return "".join(parts).rstrip() + "\n"


def _lines(schema: dict[str, Any], common: dict[str, Any], depth: int = 0) -> Iterator[str]:
    """Yield a line for each key, with those below it."""
    shown = schema.get("$defs", {}).get("result", schema)
    for key, one in {**shown.get("properties", {}), **schema.get("properties", {})}.items():
        value = shown["properties"].get(key, one) if "$ref" in one and one["$ref"].startswith("#") else one
        yield f"{'    ' * depth}* `{key}` {_text(value, common)}\n"
        below = value.get("items", value)
        if "$ref" not in below:
            yield from _lines(below, common, depth + 1)


def _text(value: dict[str, Any], common: dict[str, Any]) -> str:
    """Return what is said of a key: its type and its meaning."""
    reference = value.get("$ref") or next((one["$ref"] for one in value.get("anyOf", ()) if "$ref" in one), None)
    if reference:
        name = reference.rpartition("/")[2]
        return f"[`{name}`](#{name})" + (f": {common[name]['description']}" if name in common else "")
    if "const" in value:
        return f'`"{value["const"]}"`'
    types = value.get("type", "any")
    kinds = " or ".join([types] if isinstance(types, str) else types)
    words = f", one of {', '.join(value['enum'])}" if "enum" in value else ""
    meaning = f": {value['description']}" if "description" in value else ""
    return f"{kinds if kinds != 'any' else ''}{meaning}{words}".lstrip(": ")


def made() -> dict[Path, str]:
    """Return every file that is made, with its text."""
    verbs = program()
    reference = {HERE / "reference" / name: text for name, text in from_code.pages(verbs).items()}
    variables = [(name, sets) for name, sets, _ in from_code.variables()]
    man = {MAN / name: text for name, text in man_pages(verbs, from_code.exit_codes(), variables).items()}
    return {TARGET: page(), **reference, **man}


def main() -> None:
    """Write them all; a man page of a verb that is gone goes too."""
    files = made()
    for path in {*MAN.glob("*.1")} - files.keys():
        path.unlink()
    MAN.mkdir(exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
