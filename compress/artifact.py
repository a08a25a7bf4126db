"""Artifacts: model folders whose manifest (``compress.json``) says what they are and holds the
digest of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from compress.errors import IntegrityError, UsageError

MANIFEST = "compress.json"
MANIFEST_VERSION = 1
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Traits:
    """What other stages need to know of an artifact, known from the plan alone.

    ``format`` is ``pytorch`` or an engine's format such as ``onnx``; ``precision`` is ``float``,
    ``fake-quantized`` or ``int8``; ``shape`` is ``stock`` where plain transformers can open the
    folder and ``free`` where edits are replayed; ``task`` is the task of the model's head, or None
    where it has none (or it is not known yet).
    """

    format: str = "pytorch"
    precision: str = "float"
    shape: Literal["stock", "free"] = "stock"
    trainable: bool = True
    task: str | None = None


@dataclass(frozen=True)
class Manifest:
    """The content of ``compress.json``.

    ``files`` maps each file's relative name to its sha256; ``edits`` are the cuts replayed on the
    empty model at load (empty for a stock shape); ``parameters`` counts the float model's
    parameters, and is inherited by what is exported or quantized from it; ``needs`` names the
    distributions without which the folder does not load (empty for stock); ``lineage`` lists the
    ancestors, oldest first, as ``{"step", "stage", "digest"}``; ``notes`` are facts the stage told
    (steps trained, heads kept).
    """

    traits: Traits
    files: Mapping[str, str]
    step: str
    stage: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    labels: tuple[str, ...] = ()
    task_options: Mapping[str, Any] = field(default_factory=dict)
    edits: tuple[Mapping[str, Any], ...] = ()
    parameters: int | None = None
    base: str | None = None
    lineage: tuple[Mapping[str, str], ...] = ()
    needs: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """sha256 over what the artifact is: its files, traits, labels and edits; not over when or
        how it was made."""
        what = {
            "files": dict(self.files),
            "traits": asdict(self.traits),
            "labels": list(self.labels),
            "task_options": dict(self.task_options),
            "edits": [dict(e) for e in self.edits],
        }
        return hashlib.sha256(canonical(what).encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write the manifest into ``folder``; it is the last file to be written."""
        text = json.dumps(
            {"manifest_version": MANIFEST_VERSION, **asdict(self)}, indent=2, sort_keys=True
        )
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of ``folder``. Raises UsageError where there is none, IntegrityError where
        it is unreadable."""
        path = folder / MANIFEST
        if not path.is_file():
            raise UsageError(f"{folder} is not an artifact: it has no {MANIFEST}")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            version = values.pop("manifest_version")
            if version != MANIFEST_VERSION:
                raise IntegrityError(
                    f"{path}: manifest version {version} is not {MANIFEST_VERSION}; "
                    "it was written by another release of compress"
                )
            _refuse_outside(path, values["files"])
            return cls(
                **{
                    **values,
                    "traits": Traits(**values["traits"]),
                    "labels": tuple(values["labels"]),
                    "edits": tuple(values["edits"]),
                    "lineage": tuple(values["lineage"]),
                    "needs": tuple(values["needs"]),
                }
            )
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"{path} cannot be read: {error}") from error


def _refuse_outside(manifest: Path, names: Iterable[str]) -> None:
    """A stranger's manifest must not have files read or copied that are not its folder's."""
    for name in map(PurePosixPath, names):
        if name.is_absolute() or ".." in name.parts:
            raise IntegrityError(f"{manifest} names a file outside of the folder: {name}")


def _refuse_added(folder: Path, files: Iterable[str]) -> None:
    """A loader would read a config or weights that were put beside those of the manifest."""
    known = {MANIFEST, "README.md", *files}
    found = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    added = [
        n
        for n in found
        if n.as_posix() not in known and not any(part.startswith(".") for part in n.parts)
    ]
    if added:
        raise IntegrityError(
            "\n".join(
                f"{folder / n} was added after the model was saved: move it out" for n in added
            )
        )


@dataclass(frozen=True)
class Artifact:
    """A verified model folder."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | Path) -> Artifact:
        """The artifact in ``folder``, every file checked against its sha256.

        Raises IntegrityError where one differs, is missing, or was added: loaders go by the names
        that they find. A ``README.md`` and hidden files may be added."""
        path = Path(folder)
        manifest = Manifest.read(path)
        verify_files(path, manifest.files)
        _refuse_added(path, manifest.files)
        return cls(path, manifest)

    @property
    def traits(self) -> Traits:
        """The manifest's traits."""
        return self.manifest.traits

    @property
    def digest(self) -> str:
        """The manifest's digest: equal for equal content."""
        return self.manifest.digest


def canonical(value: Any) -> str:
    """JSON text of ``value`` that is equal for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def sha256_file(path: Path) -> str:
    """Hexadecimal sha256 of the file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def digest_files(folder: Path, *, without: Iterable[str] = (MANIFEST,)) -> dict[str, str]:
    """sha256 of every file below ``folder`` by relative name with forward slashes, except the names
    in ``without``."""
    skipped = set(without)
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return {name: sha256_file(folder / name) for name in names if name not in skipped}


def verify_files(folder: Path, files: Mapping[str, str]) -> None:
    """Raise IntegrityError naming each file of ``folder`` that is missing or differs from its
    digest in ``files``."""
    problems = []
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{path} is missing")
        elif sha256_file(path) != expected:
            problems.append(f"{path} has changed since it was saved (sha256 differs)")
    if problems:
        raise IntegrityError("\n".join(problems))


def with_files(manifest: Manifest, folder: Path) -> Manifest:
    """``manifest`` with the digests of what is in ``folder`` now."""
    return replace(manifest, files=digest_files(folder))
