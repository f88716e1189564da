"""The package's imports, read from the code: those inside functions and those by importlib with a literal name too."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "edge_agender"


@cache
def modules() -> Mapping[str, ast.Module]:
    """Every module of the package by its dotted name below it; the package itself is "". A folder's name is its own."""
    return {_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def room(module: str) -> str:
    """The folder, or the module at the top, that a module belongs to."""
    return module.split(".")[0]


@cache
def edges() -> tuple[tuple[str, str], ...]:
    """Return (importer, imported) for every module that imports another one of the package."""
    pairs = ((name, target) for name, tree in modules().items() for target in sorted(inner(tree)))
    return tuple((name, target) for name, target in pairs if target != name)


def inner(tree: ast.Module) -> set[str]:
    """The modules of the package that a module imports."""
    found = (_module(name.removeprefix("edge_agender").lstrip(".")) for name in imported(tree) if _is_own(name))
    return set(found)


def outer(tree: ast.Module) -> set[str]:
    """The first names of what else it imports."""
    return {name.split(".")[0] for name in imported(tree) if not _is_own(name)} - {"__future__"}


@cache
def imported(tree: ast.Module) -> frozenset[str]:
    """Every imported name, absolute. What is imported from a module counts as module.name."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and _called(node.func) in ("import_module", "__import__"):
            name = node.args[0] if node.args else None
            found |= {name.value} if isinstance(name, ast.Constant) and isinstance(name.value, str) else set()
    return frozenset(found)


def loop(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the nodes of one loop, first and last the same; empty where there is none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for target in sorted(graph.get(node, ())):
            if found := visit(target, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := visit(node, []))), [])


def _name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_own(name: str) -> bool:
    return name == "edge_agender" or name.startswith("edge_agender.")


def _module(name: str) -> str:
    """The longest part of a dotted name that is a module."""
    while name and name not in modules():
        name = name.rpartition(".")[0]
    return name


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
