"""Token to path, the whole way: every story of a table that was written by hand, with the list in both of its forms."""

from __future__ import annotations

import ntpath
import posixpath
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from restore_helpers import NOW, entries, plan_of

from tokar.ese.filenames import parse_file_name
from tokar.location_list import Location, parse_location_list
from tokar.namelist import build_names
from tokar.names import leaf_of
from tokar.paths import PathMap
from tokar.restore.locations import NameTarget, parse_to
from tokar.restore.next_steps import Recovery, RestoredSet, make_guidance, places_of
from tokar.restore.options import Request
from tokar.restore.plan import Plan
from tokar.server.contract import DIALECTS
from tokar.server.restore_steps import RestoreProcedure
from tokar.server.transcript import Transcript
from tokar.testing.scripted_server import ScriptedServer

TABLE = Path(__file__).with_name("token_to_path.txt").read_text("utf-8")


@dataclass
class TokenStory:
    """One story of the table."""

    title: str
    lines: dict[str, list[str]] = field(default_factory=dict)
    files: list[tuple[int, str, str]] = field(default_factory=list)

    def of(self, word: str) -> list[str]:
        return self.lines.get(word, [])


def stories() -> list[TokenStory]:
    found: list[TokenStory] = []
    for line in TABLE.splitlines():
        if line.startswith("== "):
            found.append(TokenStory(line[3:]))
        elif line.startswith("0x"):
            stored, _, place = line.partition("->")
            token, _, name = stored.strip().partition(" ")
            found[-1].files.append((int(token, 16), name.strip(), place.strip()))
        elif line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            found[-1].lines.setdefault(word, []).append(rest.strip())
    return found


STORIES = stories()


def located(story: TokenStory) -> list[tuple[int, str]]:
    rows = (line.partition(" ") for line in story.of("location"))
    return [(int(token, 16), path) for token, _, path in rows]


def raw_list(story: TokenStory, form: str) -> bytes:
    code = "utf-16-le" if form == "W" else "ascii"
    return build_names([(token, path.encode(code)) for token, path in located(story)], wide=form == "W")


def request_of(story: TokenStory, form: str, root: str) -> Request:
    (profile,) = story.of("profile")
    spoken = [parse_to(text.replace("R/", f"{root}/"), profile, base="/") for text in story.of("to")]
    by_hand = [one for one in spoken if isinstance(one, Location)]
    said = {one.token for one in by_hand}
    listed = parse_location_list(raw_list(story, form), wide=form == "W")
    maps = (line.partition("=") for line in story.of("map"))
    here = story.of("here")
    return Request(
        profile=profile,
        now=NOW,
        locations=(*(one for one in listed if one.token not in said), *by_hand),
        targets=tuple(one for one in spoken if isinstance(one, NameTarget)),
        maps=tuple(PathMap(prefix, in_root(directory, root)) for prefix, _, directory in maps),
        windows=bool(here),
        hosts=frozenset(here[0].split()) if here else frozenset(),
    )


def in_root(path: str, root: str) -> str:
    return root + path[1:] if path == "R" or path.startswith("R/") else path


@pytest.mark.parametrize("form", ["W", "A"])
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_every_file_goes_where_the_table_says(story: TokenStory, form: str, tmp_path: Path) -> None:
    root = str(tmp_path)
    for there in story.of("there"):
        (tmp_path / there).mkdir() if there.endswith("/") else (tmp_path / there).write_bytes(b"")
    files = entries(*((token, name) for token, name, _ in story.files))
    request = request_of(story, form, root)
    plan = plan_of(files, **{name: getattr(request, name) for name in request.__slots__ if name != "now"})
    join = ntpath.join if request.windows else posixpath.join
    for step, (_, name, place) in zip(plan.steps, story.files, strict=True):
        if place.startswith("refused: "):
            assert step.directory is None, name
            assert step.rule.startswith(place.removeprefix("refused: ")), name
        else:
            assert step.directory is not None, step.rule
            assert join(step.directory, step.name or "") == in_root(place, root), name
    for text in story.of("refused"):
        assert any(text in problem.error.message for problem in plan.problems)
    expected_problems = bool(story.of("refused")) or any(" refused:" in f" {place}" for _, _, place in story.files)
    assert bool(plan.problems) == expected_problems
    hints = [problem.error.hint for problem in plan.problems]
    assert all(hint in hints for hint in story.of("hint"))
    assert all(note in plan.notes for note in story.of("note"))
    if not expected_problems:
        assert registered(story, request, plan) == expected_register(story, root)


def registered(story: TokenStory, request: Request, plan: Plan) -> dict[str, object]:
    """What Register is told."""
    numbers = [parse_file_name(leaf_of(name)).generation or 0 for token, name, _ in story.files if token == 0x21]
    whole = RestoredSet(label="full", low=min(numbers), high=max(numbers), has_databases=True)
    places = places_of(plan, request)
    guidance = make_guidance(profile=request.profile, recovery=Recovery.HARD, sets=[whole], places=places)
    (one,) = guidance.registrations
    assert one.backup_log_path == one.log_path
    return {
        "range": f"0x{one.low:X}-0x{one.high:X}",
        "logs": one.log_path,
        "checkpoint": one.checkpoint_path,
        "rows": set(one.restore_map or ()) if story.of("row") else set(),
        "count": len(one.restore_map or ()),
    }


def expected_register(story: TokenStory, root: str) -> dict[str, object]:
    (line,) = story.of("register")
    numbers, _, rest = line.partition(" logs ")
    logs, _, checkpoint = rest.partition(" checkpoint ")
    rows = (row.partition(" -> ") for row in story.of("row"))
    return {
        "range": numbers,
        "logs": in_root(logs, root),
        "checkpoint": None if checkpoint == "-" else in_root(checkpoint, root),
        "rows": {(old, in_root(new, root)) for old, _, new in rows},
        "count": sum(token & 0x40 > 0 for token, _, _ in story.files),
    }


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_a_server_s_answer_says_the_same_in_both_forms(story: TokenStory) -> None:
    wide, narrow = (parse_location_list(raw_list(story, form), wide=form == "W") for form in "WA")
    assert wide == narrow
    (profile,) = story.of("profile")
    server = ScriptedServer(dialect=DIALECTS[profile], locations=tuple(located(story)))
    with RestoreProcedure(server, Transcript(str)) as procedure:
        procedure.prepare(b"token")
        listed = procedure.locations()
    assert parse_location_list(listed.data, wide=listed.wide) == wide
