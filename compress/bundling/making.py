"""Making a bundle, and checking one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compress.artifact import Artifact, verify_files, with_files
from compress.bundling.cards import CARD, card_of
from compress.bundling.programs import (
    EXAMPLES,
    PREDICT,
    SETTINGS,
    Parts,
    parts_of,
    refuse_other_programs,
)
from compress.bundling.settings import (
    examples_of,
    requirements_of,
    server_requirements,
    settings_of,
)
from compress.errors import IntegrityError, UsageError
from compress.registry.plugins import Registry, load_plugins
from compress.serving import open_predictor
from compress.store.files import flush
from compress.workers.supervisor import worker_environment

_CHECK_SECONDS = 600


def make_bundle(folder: Path, out: Path, registry: Registry) -> Artifact:
    """The bundle of the artifact in ``folder``, at ``out``. It appears whole or not at all, after
    its own program has given the answers that the toolkit gives.

    Raises UsageError for an artifact that cannot be bundled, and for an ``out`` that is there and
    not empty; IntegrityError where the program answers otherwise."""
    _refuse_occupied(out)
    artifact = Artifact.open(folder)
    parts = parts_of(artifact, registry)
    with _draft(out) as draft:
        _fill(draft, artifact, folder, parts, registry)
        made = Artifact.open(draft)
        check_answers(made)
        flush(draft)
    return Artifact(out, made.manifest)


def check_bundle(artifact: Artifact) -> int | None:
    """The number of recorded answers that the program of a verified bundle gives again, in a
    process of its own; None for an artifact that is no bundle.

    Raises UsageError, and runs nothing, where its programs are not those of the installed toolkit;
    IntegrityError where an answer differs."""
    if SETTINGS not in artifact.manifest.files:
        return None
    refuse_other_programs(artifact, parts_of(artifact, load_plugins()))
    return check_answers(artifact)


def check_answers(artifact: Artifact) -> int:
    """Like ``check_bundle``, for a bundle whose programs are trusted."""
    ended = subprocess.run(
        [sys.executable, "-P", "-B", str(artifact.folder / PREDICT), "--check"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=_CHECK_SECONDS,
        env={**worker_environment(), "PYTHONIOENCODING": "utf-8"},
        check=False,
    )
    if ended.returncode:
        raise IntegrityError(
            f"{artifact.folder / PREDICT} does not give the recorded answers: "
            f"{ended.stderr.strip()[-2000:]}"
        )
    recorded = json.loads((artifact.folder / EXAMPLES).read_text(encoding="utf-8"))
    return len(recorded["examples"])


def _fill(draft: Path, artifact: Artifact, given: Path, parts: Parts, registry: Registry) -> None:
    """Write the files of a bundle, the manifest last."""
    for name in artifact.manifest.files:
        target = draft / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(artifact.folder / name, target)
    verify_files(draft, artifact.manifest.files)  # they may have changed since they were verified
    predictor = open_predictor(artifact.folder, registry)
    for name, program in parts.programs.items():
        (draft / name).write_bytes(program)
    _write_json(draft / SETTINGS, settings_of(predictor, parts))
    _write_json(draft / EXAMPLES, examples_of(predictor, parts))
    (draft / "requirements.txt").write_text(requirements_of(parts), encoding="utf-8")
    (draft / "requirements-serve.txt").write_text(server_requirements(), encoding="utf-8")
    (draft / CARD).write_text(card_of(artifact, given, parts), encoding="utf-8")
    with_files(artifact.manifest, draft).write(draft)


def _write_json(file: Path, values: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _refuse_occupied(out: Path) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise UsageError(f"{out} is no folder: choose another one for --out")
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty: choose a new folder for --out, or remove it")


@contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """A new folder beside ``out``, which takes its place at the end of the block, and is removed
    where that ends with an error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.{os.getpid()}.draft")
    draft.mkdir()
    try:
        yield draft
        if out.is_dir():
            out.rmdir()  # it was empty
        draft.rename(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
