"""Imports point downwards: no upward arrow, no cycle, construct only where bytes are declared."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "tokar"

# From the bottom up. A module may import from its own row only inside its own part, and from any row below.
LAYERS = [
    {"errors", "_version"},
    {"bytesource", "tokens", "names", "durable"},
    {"namelist"},
    {"format", "ese", "receipt"},
    {"recovery"},
    {"sources", "restore"},
    {"procedure"},
    {"examination", "prior"},
    {"collect", "backup", "chains", "check", "describe", "restoration"},
    {"demo"},
    {"cli", "__init__"},
    {"__main__"},
]
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
CONSTRUCT_HOMES = {"format", "ese"}
# Parts that only re-export for library users may be imported by name from the package root.
MODULES = sorted(SOURCE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = ("tokar", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


NAMES = {module_name(path) for path in MODULES}


def part_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def imported(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions, but not under TYPE_CHECKING."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found.update(
                name if (name := f"{node.module}.{alias.name}") in NAMES else node.module for alias in node.names
            )
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return found


def test_every_module_belongs_to_a_layer() -> None:
    assert {part_of(module_name(path)) for path in MODULES} <= set(RANK)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_downwards(path: Path) -> None:
    part = part_of(module_name(path))
    for target in imported(path):
        if target.startswith("tokar"):
            other = part_of(target)
            assert other == part or RANK[other] < RANK[part], f"{module_name(path)} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_construct_stays_where_bytes_are_declared(path: Path) -> None:
    if any(target.split(".")[0] == "construct" for target in imported(path)):
        assert part_of(module_name(path)) in CONSTRUCT_HOMES


def test_there_is_no_cycle() -> None:
    graph = {module_name(path): {t for t in imported(path) if t.startswith("tokar.")} for path in MODULES}
    for module, targets in graph.items():
        targets.discard(module)
    assert tuple(TopologicalSorter(graph).static_order())


PROCEDURE_MAY_SEE = {"tokar.errors", "tokar.names", "tokar.sources.base", "tokar.sources.codes"}


@pytest.mark.parametrize("path", sorted((SOURCE / "procedure").glob("*.py")), ids=module_name)
def test_the_procedure_sees_only_the_contract(path: Path) -> None:
    targets = {target for target in imported(path) if target.startswith("tokar")}
    assert all(target in PROCEDURE_MAY_SEE or target.startswith("tokar.procedure") for target in targets), targets
