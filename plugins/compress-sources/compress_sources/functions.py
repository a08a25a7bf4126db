"""Functions of Python files as text.

A function inside another is part of the outer one's text and is not listed by itself.
"""

from __future__ import annotations

import ast
import os
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SHORTEST = 40
"""Characters of the shortest function that is listed. A shorter one (a bare ``pass``, a
one-line property) does not show which package it comes from."""

_TESTS = frozenset({"test", "tests", "idle_test"})
_DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef)
_HOLDER = (ast.ClassDef, ast.If, ast.Try, ast.With)


@dataclass(frozen=True)
class Function:
    """Source of one function, dedented, with decorators and docstring. ``file`` is a
    relative path with forward slashes."""

    file: str
    line: int
    text: str


def python_files(root: Path) -> list[str]:
    """Importable modules below ``root`` by relative name, sorted; without tests and
    ``site-packages``."""
    modules = []
    for folder, names, files in os.walk(root):
        # os.walk goes into the folders that are left in ``names``.
        names[:] = [name for name in names if name.isidentifier() and name not in _TESTS]
        for file in files:
            if file.endswith(".py") and file[:-3].isidentifier():
                modules.append(Path(folder, file).relative_to(root).as_posix())
    return sorted(modules)


def functions(root: Path, files: Iterable[str]) -> Iterator[Function]:
    """The functions of ``files`` in order.

    Left out are functions that differ from an earlier one in white space only, functions
    under ``SHORTEST`` characters, and files that cannot be decoded or parsed."""
    seen: set[str] = set()
    for file in files:
        for function in _functions_of(root, file):
            words = " ".join(function.text.split())
            if len(words) >= SHORTEST and words not in seen:
                seen.add(words)
                yield function


def _functions_of(root: Path, file: str) -> list[Function]:
    try:
        with tokenize.open(root / file) as stream:  # honours the file's coding cookie
            source = stream.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in somebody else's strings
            tree = ast.parse(source)
    except (SyntaxError, ValueError):  # ValueError: bytes that the encoding lacks
        return []
    # Lines as the parser counts them: str.splitlines also breaks at form feeds.
    lines = source.split("\n")
    return [_function(file, node, lines) for node in _definitions(tree)]


def _definitions(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _DEFINITION):
            yield child
        elif isinstance(child, (*_HOLDER, ast.ExceptHandler)):
            yield from _definitions(child)


def _function(
    file: str, node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]
) -> Function:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    body = lines[first - 1 : node.end_lineno]
    indent = body[0][: len(body[0]) - len(body[0].lstrip())]
    return Function(file, first, "\n".join(line.removeprefix(indent) for line in body))
