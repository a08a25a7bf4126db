"""Checkpoints that count only when they are complete: a marker with digests is written last. Old
checkpoints are deleted after that."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from compress.artifact import digest_files, verify_files
from compress.errors import IntegrityError

MARKER = "complete.json"
STATE = "trainer_state.json"


def mark_complete(checkpoint: Path) -> None:
    """Write the marker of a checkpoint whose files are all written."""
    draft = checkpoint / (MARKER + ".draft")
    draft.write_text(
        json.dumps(digest_files(checkpoint, without=(MARKER, draft.name))), encoding="utf-8"
    )
    draft.replace(checkpoint / MARKER)


def newest_complete(folder: Path, note: Callable[[str], None]) -> Path | None:
    """The complete checkpoint with the highest step; None if there is none. Checkpoints
    that are not complete are deleted. One that was complete and has changed since is noted.

    One counts only if the best checkpoint that it names is complete too: training loads the
    best weights at its end."""
    by_step = sorted(folder.glob("checkpoint-*"), key=_step)
    complete = {checkpoint.name for checkpoint in by_step if _is_complete(checkpoint, note)}
    newest: Path | None = None
    for checkpoint in by_step:
        if checkpoint.name in complete and best_of(checkpoint) in (None, *complete):
            newest = checkpoint
        else:
            shutil.rmtree(checkpoint)
    return newest


def best_of(checkpoint: Path) -> str | None:
    """Name of the checkpoint that had the best weights when ``checkpoint`` was written;
    None without validation."""
    best = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["best_model_checkpoint"]
    return Path(best).name if best else None


def keep_only(folder: Path, keep: set[Path]) -> None:
    """Delete every checkpoint of ``folder`` that is not in ``keep``."""
    names = {path.name for path in keep}
    for checkpoint in folder.glob("checkpoint-*"):
        if checkpoint.name not in names:
            shutil.rmtree(checkpoint)


def _is_complete(checkpoint: Path, note: Callable[[str], None]) -> bool:
    marker = checkpoint / MARKER
    if not marker.is_file():
        return False
    try:
        verify_files(checkpoint, json.loads(marker.read_text(encoding="utf-8")))
    except (IntegrityError, ValueError):
        note(f"warning: {checkpoint.name} has changed since it was written, and is left out")
        return False
    return True


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rsplit("-", 1)[1])
