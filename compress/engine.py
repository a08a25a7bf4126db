"""What runs an artifact of a format. An engine's module imports nothing heavy at the top."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from compress.artifact import Artifact, Traits
from compress.task import Task


@dataclass(frozen=True)
class Placement:
    """Where and how wide a session runs: ``device`` is ``cpu`` or ``cuda``; ``threads`` are the
    intra-op threads."""

    device: str
    threads: int


class Session(Protocol):
    """A loaded model: arrays in, named arrays out. ``inputs`` are the names that the model
    takes."""

    inputs: tuple[str, ...]

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name (``logits``), float32; entries of ``batch`` that the model does not take
        are ignored."""
        ...


@dataclass(frozen=True)
class Counts:
    """What a loaded model is made of: parameters by part (``embeddings``, ``layers``, ``head``;
    shared ones once) and multiply-accumulate operations of one example of ``length`` tokens."""

    parameters: Mapping[str, int]
    macs: int
    length: int


@dataclass(frozen=True)
class Conversion:
    """How a float PyTorch artifact becomes one of an engine's float format: a ``stage`` with
    ``options``. ``suffix`` tells several ones of an engine apart."""

    stage: str
    options: Mapping[str, Any] = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True)
class Loading:
    """How a folder is opened without the toolkit, as text for a model card: ``packages`` are
    distributions to install, ``imports`` and ``code`` Python.

    Before ``code``, ``folder``, ``text`` (the example to answer) and ``max_length`` (tokens kept)
    are bound; after it, ``tokenizer`` (with ``decode``), ``logits`` (the answer, a numpy array [1,
    ...]) and ``labels`` (index to name)."""

    packages: tuple[str, ...]
    imports: str
    code: str


class Engine(ABC):
    """One runtime. ``formats`` are the artifact formats it opens; by each of its ``conversions``
    the reference is measured in it too, and the fastest is what compression is held against (none:
    it runs PyTorch artifacts as they are)."""

    name: ClassVar[str]
    summary: ClassVar[str]
    formats: ClassVar[tuple[str, ...]]
    packages: ClassVar[tuple[str, ...]]
    """Distributions whose versions ``doctor`` shows."""
    extra: ClassVar[str | None] = None
    """The extra of the toolkit that installs it, named in the error where it is missing."""
    conversions: ClassVar[tuple[Conversion, ...]] = ()

    @abstractmethod
    def open(self, artifact: Artifact, placement: Placement, task: Task[Any]) -> Session:
        """A session on a verified artifact; ``task`` says which head its model has.

        Raises EnvironmentFailure where the runtime or the device is missing. A process opens one
        engine only: it sets the process's threads, and the pools of two runtimes disturb each
        other."""

    def start(self) -> None:
        """Import the runtime, so that its memory and its seconds are not taken for the model's.
        ``open`` may follow without it."""

    def counts(self, session: Session, task: Task[Any], length: int) -> Counts | None:
        """What the session's model is made of; None where this engine cannot tell, as of a graph or
        of int8 weights."""
        return None

    def weights(self, artifact: Artifact) -> Iterator[tuple[str, np.ndarray]]:
        """Name and values of every stored tensor of an artifact, one after the other; bfloat16 as
        ``ml_dtypes`` has it. By default those of its safetensors files."""
        return stored_tensors(artifact.folder)

    def devices(self) -> tuple[str, ...]:
        """The devices it can use on this machine, best first. May import the runtime."""
        return ("cpu",)

    library: ClassVar[str | None] = None
    """What the model hub calls the library that opens its formats (``library_name``); None: the
    format's own name."""

    @classmethod
    def loading(cls, traits: Traits, task: type[Task[Any]]) -> Loading | None:
        """How a stock artifact is opened without the toolkit; None where that is not known, as by
        default: a model card then loads it with the toolkit."""
        return None


def stored_tensors(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of every tensor in the safetensors files of ``folder``, one after the other;
    bfloat16 and float8 as ``ml_dtypes`` has them."""
    import ml_dtypes  # noqa: F401 - teaches numpy the names bfloat16 and float8
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                yield name, tensors.get_tensor(name)
