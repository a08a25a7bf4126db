"""The Python standard library: real text of which every interpreter brings the source, so nothing
is downloaded.

As a classification task: which package is a function from? Files, not functions, are dealt to
splits, for the functions of one file share names; what is asked of a model is to know a package's
subject, not one file's variables.
"""

from __future__ import annotations

import hashlib
import platform
import sysconfig
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from compress.errors import EnvironmentFailure
from compress.source import SPLITS, Source, SourceOptions, Table
from compress_sources.deal import SHARES, deal
from compress_sources.functions import Function, functions, python_files

PACKAGES = (
    "asyncio",
    "email",
    "encodings",
    "http",
    "importlib",
    "logging",
    "multiprocessing",
    "unittest",
    "urllib",
    "xml",
)
"""The labels: packages of Python 3.11 to 3.14 in slim builds too, each with three files of
functions or more."""

_OTHER = ""


class StandardLibraryOptions(SourceOptions):
    """Options of the standard library as a source."""

    scope: Literal["labelled", "all"] = Field(
        default="labelled",
        description="labelled: functions of ten packages, with the package as label; all: functions of every module, "
        "without labels, for pre-training.",
    )


class StandardLibrary(Source[StandardLibraryOptions]):
    """Functions of the running interpreter's standard library, with their docstrings, as ``text``
    and ``label``.

    No text is there twice. A labelled file is in the same split in either scope."""

    name = "python-stdlib"
    summary = "functions of the Python standard library, labelled with their package; no download"
    Options = StandardLibraryOptions

    def __init__(self, options: StandardLibraryOptions, root: Path | None = None) -> None:
        """``root`` stands in for the interpreter's library folder."""
        super().__init__(options)
        self.root = Path(sysconfig.get_path("stdlib")) if root is None else root

    def identity(self) -> Mapping[str, Any]:
        """The options, Python's version, and a sha256 over names and contents of the files that are
        read."""
        digest = hashlib.sha256()
        for file in self._files():
            digest.update(f"{file}\0".encode())
            digest.update(hashlib.sha256((self.root / file).read_bytes()).digest())
        return {
            "source": self.name,
            **self.options.model_dump(mode="json"),
            "python": platform.python_version(),
            "digest": digest.hexdigest(),
        }

    def columns(self) -> Mapping[str, Sequence[str]]:
        """``text``, and ``label`` where the scope has labels."""
        return {
            split: ("text", "label") if self.options.scope == "labelled" else ("text",)
            for split in SPLITS
        }

    def read(self) -> Mapping[str, Table]:
        """The three splits. Raises EnvironmentFailure where the interpreter lacks a labelled
        package's source."""
        found = list(functions(self.root, self._files()))
        splits = self._splits(found)
        return {
            split: self._table([f for f in found if splits[f.file] == split]) for split in SPLITS
        }

    def _files(self) -> list[str]:
        """Labelled files first: a text that is elsewhere too then keeps its label and its split in
        either scope."""
        files = python_files(self.root)
        labelled = [file for file in files if _package(file) != _OTHER]
        others = (
            [file for file in files if _package(file) == _OTHER]
            if self.options.scope == "all"
            else []
        )
        return labelled + others

    def _splits(self, found: Sequence[Function]) -> dict[str, str]:
        counts = Counter(function.file for function in found)
        dealt: dict[str, str] = {}
        for package in (*PACKAGES, _OTHER):
            files = {file: count for file, count in counts.items() if _package(file) == package}
            if package != _OTHER and len(files) < len(SHARES):
                raise EnvironmentFailure(
                    f"{self.root} has the source of {len(files)} files of {package!r}, fewer than "
                    f"{len(SHARES)}; use a Python that was installed with its library's source"
                )
            dealt |= deal(files)
        return dealt

    def _table(self, found: Sequence[Function]) -> Table:
        labelled = self.options.scope == "labelled"
        rows = [
            {"text": f.text, "label": _package(f.file)} if labelled else {"text": f.text}
            for f in found
        ]
        return Table(rows, [f"{function.file}:{function.line}" for function in found])


def _package(file: str) -> str:
    first, slash, _ = file.partition("/")
    return first if slash and first in PACKAGES else _OTHER
