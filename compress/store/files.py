"""Files and names of files: written whole or not at all, linked or copied."""

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
    """The name of an artifact as one of a file: that of a model from outside is a path or hub id,
    and a report of anyone's may hold any. Equal for equal names, different for different ones."""
    plain = re.sub(r"[^\w.@+-]", "_", name)[-60:].lstrip(".")
    return (
        name
        if name and plain == name
        else f"{plain}-{sha256(canonical({'name': name}).encode()).hexdigest()[:8]}"
    )


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; two processes that write it at once do not mix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def write_json(path: Path, values: Any) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def link_or_copy(place: Path, content: Path) -> Path:
    """``place`` as a link to the folder ``content``, or as a copy of it where the file system has
    no links."""
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
    """Remove a link, or a folder with all that is in it; what is not there is no error."""
    if place.is_symlink():
        place.unlink()
    elif place.is_dir():
        shutil.rmtree(place)
