"""Names of files; files that are written whole or not at all; folders that are linked or copied."""

from __future__ import annotations

import json
import os
import re
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

from compress.artifact import canonical


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
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def write_json(path: Path, values: Any) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


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
