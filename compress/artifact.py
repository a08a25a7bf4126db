"""Artifacts: model folders with a manifest (``compress.json``), which describes the model and holds
the digest of every file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

# pydantic, which checks manifests, needs this one before Python 3.12.
from typing_extensions import TypedDict

from compress.edits import Edit
from compress.errors import IntegrityError, UsageError
from compress.folderfiles import file_names, refuse_added, refuse_other_weights, refuse_outside
from compress.jsonfiles import first_problem, read_object

JsonObject = Mapping[str, Any]
"""An object of JSON, as ``json.loads`` gives it."""

MANIFEST = "compress.json"
MANIFEST_VERSION = 1
_CHUNK = 1 << 20
_STRICT = ConfigDict(extra="forbid", strict=True)
"""How values of a manifest are checked: by type, without conversions, and no others."""

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""A sha256 in hexadecimal."""
FileName = Annotated[str, Field(pattern=r"^[^\x00]+$", max_length=1000)]
"""A relative name, with forward slashes."""


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


@with_config(_STRICT)
class Ancestor(TypedDict):
    """A model that an artifact was made from: the step and the stage that made it, and the digest
    of its manifest."""

    step: str
    stage: str
    digest: Digest


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

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    traits: Traits
    files: Mapping[FileName, Digest]
    step: str
    stage: str
    options: JsonObject = field(default_factory=dict)
    seed: int = 0
    labels: tuple[str, ...] = ()
    task_options: JsonObject = field(default_factory=dict)
    edits: tuple[Edit, ...] = ()
    parameters: Annotated[int, Field(ge=0)] | None = None
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
            values = read_object(path)
        except UsageError as error:
            raise IntegrityError(str(error)) from error
        _check_version(path, values.pop("manifest_version", None))
        try:
            manifest = _MANIFEST.validate_json(json.dumps(values))
        except ValidationError as error:
            raise IntegrityError(f"{path} cannot be read: {first_problem(error)}") from error
        refuse_outside(path, manifest.files)
        return manifest


_MANIFEST: TypeAdapter[Manifest] = TypeAdapter(Manifest)


def _check_version(manifest: Path, version: object) -> None:
    """Raise IntegrityError for a manifest of another version, which may have other keys."""
    if type(version) is not int:
        raise IntegrityError(f"{manifest} cannot be read: manifest_version is no whole number")
    if version != MANIFEST_VERSION:
        raise IntegrityError(
            f"{manifest}: manifest version {version} is not {MANIFEST_VERSION}; "
            "it was written by another release of compress"
        )


@dataclass(frozen=True)
class Artifact:
    """A verified model folder."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | Path) -> Artifact:
        """The artifact in ``folder``, every file checked against its sha256.

        Raises IntegrityError if a file differs, is missing or was added: loaders open what they
        find. A ``README.md`` and hidden files may be added. Raises it too for weights of a PyTorch
        model that are no safetensors."""
        path = Path(folder)
        manifest = Manifest.read(path)
        verify_files(path, manifest.files)
        refuse_added(path, {MANIFEST, "README.md", *manifest.files})
        if manifest.traits.format == "pytorch":
            refuse_other_weights(path, manifest.files.keys())
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
    return {name: sha256_file(folder / name) for name in file_names(folder) if name not in skipped}


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
