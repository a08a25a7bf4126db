"""Names of files; files that are written whole or not at all; folders that are linked or copied."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from compress.artifact import canonical
from compress.errors import IntegrityError
from compress.store.trouble import named

SEAL = "sha256"
"""The key of a file's own digest."""


def file_name(name: str) -> str:
    """A file name for the artifact ``name``: equal for equal names, different for different ones.

    The name of a model from outside is a path or a hub id, and a report from elsewhere may hold
    any text as a name."""
    plain = re.sub(r"[^\w.@+-]", "_", name)[-60:].lstrip(".")
    if name and plain == name:
        return name
    digest = sha256(canonical({"name": name}).encode()).hexdigest()
    return f"{plain}-{digest[:8]}"


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all. Two processes that write it at once do not mix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    try:
        with named(path):
            draft.write_text(text, encoding="utf-8")
            draft.replace(path)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def write_json(path: Path, values: Any) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def write_sealed(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all, with the sha256 of its content under ``sha256``."""
    write_json(path, {**values, SEAL: _seal(values)})


def read_sealed(path: Path) -> dict[str, Any]:
    """The JSON object that ``write_sealed`` wrote.

    Raises IntegrityError where it has changed since, and OSError for a file that cannot be read."""
    try:
        values = json.loads(path.read_bytes())
        seal = values.pop(SEAL)
        if seal == _seal(values):
            return dict(values)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # no JSON object, or one without a digest
    raise IntegrityError(f"{path} is not what was written: its content and its digest differ")


def _seal(values: Mapping[str, Any]) -> str:
    """sha256 of values as JSON gives them back: a tuple is a list there.

    They may hold NaN: a broken model gives such scores."""
    plain = json.loads(json.dumps(dict(values)))
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def link_or_copy(place: Path, content: Path) -> Path:
    """``place``, made a link to the folder ``content``, or a copy if the file system has no
    links."""
    place.parent.mkdir(exist_ok=True)
    remove(place)
    try:
        place.symlink_to(
            os.path.relpath(content.resolve(), place.parent.resolve()), target_is_directory=True
        )
    except OSError:
        shutil.copytree(content, place)
    return place


def remove(place: Path) -> None:
    """Remove a link, or a folder with its content. A place that does not exist is no error."""
    if place.is_symlink():
        place.unlink()
    elif place.is_dir():
        shutil.rmtree(place)


def flush(folder: Path) -> None:
    """Have the disk keep what was written. A rename must not become durable before the files it
    names."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
        else:
            flush_folder(path)
    flush_folder(folder)


def flush_folder(folder: Path) -> None:
    """Have the disk keep the names of a folder's files."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
