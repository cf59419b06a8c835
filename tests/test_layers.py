"""Imports point downwards, to folders above in the table; construct stays where bytes are declared; names differ."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parents[1] / "src" / "tokar"

# From the bottom up. A part imports itself and every part of an earlier row; `__init__` imports everything below the
# command line.
LAYERS = [
    {"errors", "_version"},
    {"as_json", "codes", "tokens", "names", "redact"},
    {"namelist", "paths", "signals", "words"},
    {"location_list"},
    {"processes", "storage"},
    {"ese", "format"},
    {"trust"},
    {"salvage"},
    {"sets"},
    {"replay"},
    {"restore"},
    {"collect"},
    {"check"},
    {"report"},
    {"server"},
    {"rpc"},
    {"__init__", "doors"},
    {"lab", "live", "testing"},
    {"cli"},
    {"__main__"},
]
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
MODULES = {
    ".".join(("tokar", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}
CONSTRUCT_HOMES = {"format", "ese"}
# The steps of the procedures see the contract and nothing else.
STEPS = {f"tokar.server.{name}" for name in ("states", "transcript", "content", "backup_steps", "restore_steps")}
STEPS_SEE = {"as_json", "errors", "names", "namelist", "codes", "server"}


def part_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement below a node, but those under TYPE_CHECKING."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        for child in getattr(node, part, ()):
            yield child
            if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
                yield from statements(child)


def imported(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions, but not under TYPE_CHECKING."""
    found: set[str] = set()
    for node in statements(tree_of(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found.update(name if (name := f"{module}.{alias.name}") in MODULES else module for alias in node.names)
    return found


@cache
def imports() -> dict[str, set[str]]:
    """What each module imports."""
    return {module: imported(path) - {module} for module, path in MODULES.items()}


def offence(module: str, target: str) -> bool:
    """Whether a module may not import another."""
    part, other = part_of(module), part_of(target)
    if target.partition(".")[0] == "construct":
        return part not in CONSTRUCT_HOMES
    if target.partition(".")[0] != "tokar":
        return target.startswith(".")
    if module in STEPS and other not in STEPS_SEE:
        return True
    return other != part and RANK[other] >= RANK[part]


def test_imports_point_downwards() -> None:
    assert {part_of(module) for module in MODULES} == set(RANK)
    offenders = [
        (module, target) for module, targets in imports().items() for target in targets if offence(module, target)
    ]
    assert offenders == []


def test_there_is_no_cycle() -> None:
    left = {module: {target for target in targets if target in MODULES} for module, targets in imports().items()}
    while free := {module for module, targets in left.items() if not targets}:
        left = {module: targets - free for module, targets in left.items() if module not in free}
    assert left == {}


def test_a_plain_install_has_all_that_checks_pages_and_the_old_name_for_that_stays() -> None:
    project = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert any(one.startswith("numpy") for one in project["dependencies"])
    assert project["optional-dependencies"]["ese"] == []


def test_every_file_is_short_and_every_name_stands_for_one_thing() -> None:
    assert [name for name, path in MODULES.items() if path.read_text(encoding="utf-8").count("\n") > 500] == []
    nodes = (node for path in MODULES.values() for node in statements(tree_of(path)))
    classes = Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))
    assert [name for name, count in classes.items() if count > 1] == []
    leaves = Counter(path.stem for path in MODULES.values() if "cli" not in path.parts and path.stem != "__init__")
    assert [name for name, count in leaves.items() if count > 1] == []
