"""Which files the folder of an artifact may hold and name. It may be a stranger's."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from compress.errors import IntegrityError, UsageError
from compress.weightfiles import INDEX, PICKLES, SUFFIX, headers_of, leads_outside, weight_files

_LONGEST_NAME = 255
"""Bytes of the longest name of a file or a folder."""


def file_names(folder: Path) -> list[str]:
    """Relative names of all files below ``folder``, sorted, with forward slashes."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def refuse_outside(manifest: Path, names: Iterable[str]) -> None:
    """Raise IntegrityError if a manifest names a file outside of its folder: it must not make this
    program read or copy other files."""
    for name in names:
        path = PurePosixPath(name)
        is_outside = path.is_absolute() or ".." in path.parts
        if any(len(part.encode()) > _LONGEST_NAME for part in path.parts):
            raise IntegrityError(f"{manifest} names a file that no disk can hold: {name!r:.60}")
        if is_outside or leads_outside(manifest.parent / path, manifest.parent):
            raise IntegrityError(f"{manifest} names a file outside of the folder: {name!r}")


def refuse_other_weights(folder: Path, names: Collection[str]) -> None:
    """Raise IntegrityError for weights of a PyTorch model that are no safetensors, by their names
    or their content. That a digest is right does not make a stranger's pickle safe to read."""
    for name in map(PurePosixPath, names):
        if any(map(name.match, PICKLES)):
            raise IntegrityError(
                f"{folder / name} is a pickle by its name, which can run code and is not read"
            )
    try:
        if (folder / INDEX).is_file():
            weight_files(folder)
        for file in sorted(names):
            if file.endswith(SUFFIX):
                headers_of(folder / file)
    except UsageError as error:
        raise IntegrityError(str(error)) from error


def refuse_added(folder: Path, known: Collection[str]) -> None:
    """Raise IntegrityError for files that are not ``known``: a loader would read a config or
    weights among them. Hidden files may be added."""
    added = [
        f"{folder / name} was added after the model was saved: move it out"
        for name in sorted(map(PurePosixPath, file_names(folder)))
        if str(name) not in known and not _is_hidden(name)
    ]
    if added:
        raise IntegrityError("\n".join(added))


def _is_hidden(name: PurePosixPath) -> bool:
    """Whether the file, or a folder that it is in, has a name with a dot in front."""
    return any(part.startswith(".") for part in name.parts)
