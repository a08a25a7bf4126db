"""Functions of Python files as text: what the standard library's source is made of.

A function nested in another one is part of the outer one's text and does not stand alone.
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
"""Characters below which a function (a bare ``pass``, a one-line property) says nothing about where
it comes from."""

_TESTS = frozenset({"test", "tests", "idle_test"})
_DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef)
_HOLDER = (ast.ClassDef, ast.If, ast.Try, ast.With)


@dataclass(frozen=True)
class Function:
    """Source of one function, dedented, with decorators and docstring; ``file`` is relative, with
    forward slashes."""

    file: str
    line: int
    text: str


def python_files(root: Path) -> list[str]:
    """Importable modules below ``root`` by relative name, sorted; without tests and
    ``site-packages``."""
    found = []
    for folder, names, files in os.walk(root):
        names[:] = [name for name in names if name.isidentifier() and name not in _TESTS]
        stems = (
            Path(folder, file)
            for file in files
            if file.endswith(".py") and file[:-3].isidentifier()
        )
        found += [path.relative_to(root).as_posix() for path in stems]
    return sorted(found)


def functions(root: Path, files: Iterable[str]) -> Iterator[Function]:
    """The functions of ``files`` in order, none of them equal to an earlier one up to white space.

    Those under ``SHORTEST`` characters are left out, and so is a file that does not decode or
    parse."""
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
    lines = source.split(
        "\n"
    )  # as the parser counts them: str.splitlines also breaks at form feeds
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
