"""Engines: each runs artifacts of some formats. An engine's module imports nothing heavy at the
top."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from compress.artifact import Artifact, JsonObject, Traits
from compress.errors import CompressError, IntegrityError, name_and_first_line
from compress.session import Session as Session
from compress.task import Task
from compress.weightfiles import weight_files


@dataclass(frozen=True)
class Placement:
    """Where a session runs: ``device`` is ``cpu`` or ``cuda``; ``threads`` is the number of threads
    within an operation."""

    device: str
    threads: int


@dataclass(frozen=True)
class Counts:
    """Sizes of a loaded model: parameters by part (``embeddings``, ``layers``, ``head``), where
    shared ones count once, and multiply-accumulate operations of one example of ``length``
    tokens."""

    parameters: Mapping[str, int]
    macs: int
    length: int


@dataclass(frozen=True)
class Conversion:
    """How a float PyTorch artifact becomes one of an engine's float format: by a ``stage`` with
    ``options``. An engine with several conversions gives each its ``suffix``.

    The reference is measured in this form at any effort but ``quick``, and at that if a limit asks
    for it; with ``thorough_only``, at the effort ``thorough`` alone."""

    stage: str
    options: JsonObject = field(default_factory=dict)
    suffix: str = ""
    thorough_only: bool = False


@dataclass(frozen=True)
class Loading:
    """How to open a folder without the toolkit, as text for a model card. ``packages`` are
    distributions to install; ``imports`` and ``code`` are Python.

    ``code`` reads the variables ``folder``, ``text`` (the example to answer) and ``max_length``
    (tokens to keep). It sets ``tokenizer`` (with ``decode``), ``logits`` (the answer, a numpy array
    [1, ...]) and ``labels`` (names by index).

    For a task that generates it reads ``max_new_tokens`` in place of ``max_length``, and sets
    ``tokenizer`` and ``tokens``, the ids of the answer alone."""

    packages: tuple[str, ...]
    imports: str
    code: str


class Engine(ABC):
    """One runtime. ``formats`` are the artifact formats that it opens.

    The reference is also measured in this engine, once for each of its ``conversions``, so that a
    report can compare with the fastest float engine. A quick run does so only for a limit that asks
    for it. An engine without conversions runs PyTorch artifacts as they are."""

    name: ClassVar[str]
    summary: ClassVar[str]
    formats: ClassVar[tuple[str, ...]]
    packages: ClassVar[tuple[str, ...]]
    """Distributions that it runs on. ``doctor`` shows their versions. An engine that names torch or
    transformers may start in a process that has both imported."""
    extra: ClassVar[str | None] = None
    """The extra of its distribution that installs it, for the error message if it is missing."""
    conversions: ClassVar[tuple[Conversion, ...]] = ()
    bundled: ClassVar[str] = ""
    """The module whose file alone runs a model in a bundle, with numpy and the ``packages``:
    ``Session``, as docs/plugins.md describes it. Empty, the default: the formats cannot be
    bundled."""

    @abstractmethod
    def open(self, artifact: Artifact, placement: Placement, task: Task[Any]) -> Session:
        """A session on a verified artifact, whose model has the head of ``task``.

        Raises EnvironmentFailure if the runtime or the device is missing, and ModelRefused for a
        model that this engine cannot run. A process opens one engine only: it sets the process's
        threads, and the thread pools of two runtimes would disturb each other."""

    def start(self) -> None:
        """Import the runtime, so that its memory and its seconds are not counted as the model's.
        ``open`` also works without this call."""

    def counts(self, session: Session, task: Task[Any], length: int) -> Counts | None:
        """Sizes of the session's model; None if this engine cannot count them, as in a graph or
        with int8 weights."""
        return None

    def weights(self, artifact: Artifact) -> Iterator[tuple[str, np.ndarray]]:
        """Name and values of every stored tensor of an artifact, one after the other; bfloat16 with
        the dtype of ``ml_dtypes``. By default those of its safetensors files."""
        return stored_tensors(artifact.folder)

    def model_files(self, artifact: Artifact) -> tuple[Path, ...]:
        """The files that hold an artifact's model: by default those of its safetensors, in order.
        An engine may keep one model in several files, such as an encoder and a decoder."""
        return tuple(weight_files(artifact.folder))

    def devices(self) -> tuple[str, ...]:
        """The devices that it can use on this machine, the best first. May import the runtime."""
        return ("cpu",)

    library: ClassVar[str | None] = None
    """The model hub's name for the library that opens its formats (``library_name``); None for the
    format's own name."""

    @classmethod
    def loading(cls, traits: Traits, task: type[Task[Any]]) -> Loading | None:
        """How to open a stock artifact without the toolkit. None, the default, if that is not
        known: the model card then loads it with the toolkit."""
        return None


def open_session(
    engine: Engine, artifact: Artifact, placement: Placement, task: Task[Any]
) -> Session:
    """The session of an artifact in its engine.

    Raises IntegrityError, with the engine's own words, for a file that the engine cannot read. A
    missing package stays an ImportError."""
    try:
        session: Session = engine.open(artifact, placement, task)
    except (CompressError, ImportError):
        raise
    except Exception as error:  # each engine has errors of its own for a file that it cannot read
        raise IntegrityError(
            f"the engine {engine.name} cannot open {artifact.folder}: {name_and_first_line(error)}"
        ) from error
    return session


def stored_tensors(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and values of every tensor in the weights of ``folder``, one after the other; bfloat16
    and float8 with the dtypes of ``ml_dtypes``. Raises UsageError if it has no safetensors."""
    import ml_dtypes  # noqa: F401 - teaches numpy the names bfloat16 and float8
    from safetensors import safe_open

    for file in weight_files(folder):
        with safe_open(file, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - it is no mapping
                yield name, tensors.get_tensor(name)
