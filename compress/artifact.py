"""Artifacts: model folders with a manifest (``compress.json``), which describes the model and holds
the digest of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypedDict

from compress.edits import Edit
from compress.errors import IntegrityError, UsageError

JsonObject = Mapping[str, Any]
"""An object of JSON, as ``json.loads`` gives it."""

MANIFEST = "compress.json"
MANIFEST_VERSION = 1
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Traits:
    """What other stages need to know of an artifact. A plan knows it before any model is made.

    ``format`` is ``pytorch`` or an engine's format such as ``onnx``. ``precision`` is ``float``,
    ``fake-quantized`` or ``int8``. ``shape`` is ``stock`` if plain transformers can open the
    folder, and ``free`` if edits are replayed. ``task`` is the task of the model's head; None if it
    has no head, or if the task is not known yet. If several tasks have such a head, and the recipe
    is for none of them, it is their names joined by ``or``.
    """

    format: str = "pytorch"
    precision: str = "float"
    shape: Literal["stock", "free"] = "stock"
    trainable: bool = True
    task: str | None = None


class Ancestor(TypedDict):
    """A model that an artifact was made from: the step and the stage that made it, and the digest
    of its manifest."""

    step: str
    stage: str
    digest: str


@dataclass(frozen=True)
class Manifest:
    """The content of ``compress.json``.

    - ``files``: the sha256 of each file by its relative name.
    - ``edits``: the cuts that are replayed on the empty model at load; none for a stock shape.
    - ``parameters``: the number of parameters of the float model. Exported and quantized models
      inherit it.
    - ``lineage``: the ancestors, oldest first.
    - ``needs``: the distributions without which the folder does not load; none for a stock shape.
    - ``notes``: facts from the stage, such as steps trained and heads kept.
    """

    traits: Traits
    files: Mapping[str, str]
    step: str
    stage: str
    options: JsonObject = field(default_factory=dict)
    seed: int = 0
    labels: tuple[str, ...] = ()
    task_options: JsonObject = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()
    parameters: int | None = None
    base: str | None = None
    lineage: tuple[Ancestor, ...] = ()
    needs: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: JsonObject = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """sha256 over what the artifact is: its files, traits, labels, task options and edits. When
        and how it was made is not part of it."""
        content = {
            "files": dict(self.files),
            "traits": asdict(self.traits),
            "labels": list(self.labels),
            "task_options": dict(self.task_options),
            "edits": [dict(e) for e in self.edits],
        }
        return hashlib.sha256(canonical(content).encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write the manifest into ``folder``, as the last of its files."""
        text = json.dumps(
            {"manifest_version": MANIFEST_VERSION, **asdict(self)}, indent=2, sort_keys=True
        )
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of ``folder``. Raises UsageError if there is none, and IntegrityError if it
        cannot be read."""
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
            values["traits"] = Traits(**values["traits"])
            for name in ("labels", "edits", "lineage", "needs"):  # JSON has lists
                values[name] = tuple(values[name])
            return cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"{path} cannot be read: {error}") from error


def _refuse_outside(manifest: Path, names: Iterable[str]) -> None:
    """Raise IntegrityError for a file outside of the folder. A manifest may be a stranger's: it
    must not make this program read or copy other files."""
    for name in map(PurePosixPath, names):
        if name.is_absolute() or ".." in name.parts:
            raise IntegrityError(f"{manifest} names a file outside of the folder: {name}")


def _refuse_added(folder: Path, files: Iterable[str]) -> None:
    """Raise IntegrityError for files that the manifest does not name: a loader would read a config
    or weights among them."""
    known = {MANIFEST, "README.md", *files}
    added = [
        f"{folder / name} was added after the model was saved: move it out"
        for name in sorted(map(PurePosixPath, _file_names(folder)))
        if str(name) not in known and not _is_hidden(name)
    ]
    if added:
        raise IntegrityError("\n".join(added))


def _is_hidden(name: PurePosixPath) -> bool:
    """Whether the file, or a folder that it is in, has a name with a dot in front."""
    return any(part.startswith(".") for part in name.parts)


def _file_names(folder: Path) -> list[str]:
    """Relative names of all files below ``folder``, sorted, with forward slashes."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@dataclass(frozen=True)
class Artifact:
    """A verified model folder."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | Path) -> Artifact:
        """The artifact in ``folder``, every file checked against its sha256.

        Raises IntegrityError if a file differs, is missing or was added: loaders open what they
        find. A ``README.md`` and hidden files may be added."""
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
    """JSON text of ``value``, equal for equal values: sorted keys, no spaces. Raises ValueError for
    NaN."""
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
    """sha256 of every file below ``folder`` by its relative name with forward slashes, except those
    in ``without``."""
    skipped = set(without)
    return {name: sha256_file(folder / name) for name in _file_names(folder) if name not in skipped}


def verify_files(folder: Path, files: Mapping[str, str]) -> None:
    """Raise IntegrityError with each file of ``folder`` that is missing or differs from its digest
    in ``files``."""
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
    """``manifest`` with the digests of the files that are in ``folder`` now."""
    return replace(manifest, files=digest_files(folder))
