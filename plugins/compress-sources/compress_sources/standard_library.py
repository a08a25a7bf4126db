"""The Python standard library: real text that comes with every interpreter, so nothing is
downloaded.

The classification task: which package is a function from? Files, not functions, are dealt
to splits. The functions of one file share names, and a model should learn the subject of a
package, not the variables of a file.
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
"""The labels: packages that Python 3.11 to 3.14 have, in slim builds too, each with at
least three files of functions."""

_OTHER = ""


class StandardLibraryOptions(SourceOptions):
    """Options of the standard library as a source."""

    scope: Literal["labelled", "all"] = Field(
        default="labelled",
        description=(
            "labelled: functions of ten packages, with the package as label; all: functions of "
            "every module, without labels, for pre-training."
        ),
    )


class StandardLibrary(Source[StandardLibraryOptions]):
    """Functions of the running interpreter's standard library, with their docstrings, as
    ``text`` and ``label``.

    No text occurs twice. A labelled file is in the same split in either scope."""

    name = "python-stdlib"
    summary = "functions of the Python standard library, labelled with their package; no download"
    Options = StandardLibraryOptions

    def __init__(self, options: StandardLibraryOptions, root: Path | None = None) -> None:
        """``root`` is the library folder; by default the interpreter's."""
        super().__init__(options)
        self.root = Path(sysconfig.get_path("stdlib")) if root is None else root

    def identity(self) -> Mapping[str, Any]:
        """The options, Python's version, and a sha256 over the names and contents of the
        files."""
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
        columns = ("text", "label") if self.options.scope == "labelled" else ("text",)
        return dict.fromkeys(SPLITS, columns)

    def read(self) -> Mapping[str, Table]:
        """The three splits. Raises EnvironmentFailure where the interpreter lacks a
        labelled package's source."""
        listed = list(functions(self.root, self._files()))
        splits = self._splits(listed)
        parts: dict[str, list[Function]] = {split: [] for split in SPLITS}
        for function in listed:
            parts[splits[function.file]].append(function)
        return {split: self._table(part) for split, part in parts.items()}

    def _files(self) -> list[str]:
        """The files to read, labelled ones first. Of equal texts the first is kept, so a
        text that is also in an unlabelled file has the same split in either scope."""
        files = python_files(self.root)
        labelled = [file for file in files if _package(file) != _OTHER]
        if self.options.scope == "labelled":
            return labelled
        return labelled + [file for file in files if _package(file) == _OTHER]

    def _splits(self, listed: Sequence[Function]) -> dict[str, str]:
        """The split of each file. Each package is dealt by itself, so that every split has
        some of it."""
        counts = Counter(function.file for function in listed)
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

    def _table(self, part: Sequence[Function]) -> Table:
        rows = [{"text": function.text} for function in part]
        if self.options.scope == "labelled":
            for row, function in zip(rows, part, strict=True):
                row["label"] = _package(function.file)
        return Table(rows, [f"{function.file}:{function.line}" for function in part])


def _package(file: str) -> str:
    first, slash, _ = file.partition("/")
    return first if slash and first in PACKAGES else _OTHER
