"""`tokar tokens`: what the token bytes mean in each profile."""

from __future__ import annotations

from typing import Annotated

import typer

from tokar import tokens
from tokar.as_json import fields_json
from tokar.cli import completion, output
from tokar.cli.options import Json
from tokar.errors import InputError

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("tokens")
def list_tokens(
    *,
    profile: Annotated[str | None, typer.Option(autocompletion=completion.profiles, help="Only this profile.")] = None,
    as_json: Json = False,
) -> None:
    """Print the token profiles: names, bytes, roles and where each comes from.

    Example: tokar tokens
    Example: tokar tokens --profile certadm
    """
    if profile is not None and profile not in tokens.PROFILES:
        raise InputError(f"there is no profile {profile}", hint=f"choose one of {', '.join(tokens.PROFILES)}")
    chosen = [one for one in tokens.PROFILES.values() if profile in (None, one.name)]
    if as_json:
        output.as_json({"profiles": [_json(one) for one in chosen]})
        return
    for one in chosen:
        output.line(f"{one.name}: {one.title}")
        rows = [
            (
                f"0x{row.token:02X}",
                row.name,
                tokens.role(row.token).value,
                row.meaning + (" (number provisional)" if row.provisional else ""),
                row.source,
            )
            for row in one.rows
        ]
        output.table(("token", "name", "role", "meaning", "source"), rows)
        output.line()
    output.line(
        "A token may be any byte; one without a name prints as its number. Role bits: 0x80 a directory, "
        "0x40 goes to the database directory,"
    )
    output.line(
        "0x20 goes to the log directory. The names of public headers (BFT_LOG, CSBFT_LOG) and numbers are accepted "
        "wherever a token is asked for."
    )


def _json(profile: tokens.Profile) -> dict[str, object]:
    return {
        "profile": profile.name,
        "title": profile.title,
        "tokens": [
            {
                **fields_json(row, "token", "name"),
                "role": tokens.role(row.token).value,
                **fields_json(row, "meaning", "constants", "source", "provisional"),
            }
            for row in profile.rows
        ],
    }
