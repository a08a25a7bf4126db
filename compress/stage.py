"""A stage: a function from an artifact to a new artifact, with options and a declaration of what it
takes and gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from compress.architecture import Architecture
from compress.artifact import Artifact, Traits
from compress.measurement import Measured
from compress.options import Options
from compress.task import Row, Task


@dataclass(frozen=True)
class Accepts:
    """What a stage takes as input. ``nothing`` is for a stage that makes a model of a fresh
    configuration; ``task`` asks that the input's head already serves the step's task."""

    formats: tuple[str, ...] = ("pytorch",)
    precisions: tuple[str, ...] = ("float",)
    shapes: tuple[str, ...] = ("stock", "free")
    trainable: bool = False
    task: bool = False
    nothing: bool = False


@dataclass(frozen=True)
class Made:
    """What a stage says of the model it wrote: its float parameter count, and the edits that give
    it its shape."""

    parameters: int | None = None
    edits: Sequence[Mapping[str, Any]] | None = None
    """Every edit to replay on an empty model of the written config (``surgery.settle``); None:
    those of the input."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Facts for the manifest (steps trained, heads kept), JSON-ready."""


@dataclass(frozen=True)
class OptionMistake:
    """A mistake in a stage's options: the ``option`` (dotted where it is nested), what is wrong,
    and what to do about it."""

    option: str
    message: str
    hint: str = ""


class Data(Protocol):
    """The prepared data of a step."""

    labels: Sequence[str]
    digest: str

    def rows(self, split: str) -> list[Row]:
        """Normalised rows of a split, each with its ``id``; empty where the recipe has no such
        split."""
        ...


O = TypeVar("O", bound=Options)


class Context(Protocol[O]):
    """What a stage is given. It writes a model folder's files into ``output`` and nothing anywhere
    else but ``work``.

    ``input`` is the artifact before it (None for a fresh model, whose configuration is then
    ``fresh``); ``references`` holds the artifact of each option that names one; ``work`` survives a
    crash and is deleted when the step is committed: checkpoints go there.
    """

    options: O
    seed: int
    input: Artifact | None
    fresh: Mapping[str, Any] | None
    references: Mapping[str, Artifact]
    task: Task[Any]
    architectures: Sequence[type[Architecture]]
    data: Data
    output: Path
    work: Path

    def progress(self, done: float, total: float, text: str = "", **values: float) -> None:
        """Tell the user how far it is; ``values`` are shown beside (loss, quality)."""
        ...

    def note(self, text: str) -> None:
        """Tell the user one line that stays visible."""
        ...

    def measure(self, folders: Mapping[str, Path], made: Made) -> Mapping[str, Measured]:
        """Measurements of candidate models by name, each with its ratios to the first, timed in
        turns.

        Each folder holds a model as ``output`` would; ``made`` says what it is. They are opened in
        processes of their own by the instrument that measures the steps, so that a stage chooses by
        the numbers the report will show."""
        ...

    def product(
        self, kind: str, ingredients: Mapping[str, Any], make: Callable[[Path], None]
    ) -> Path:
        """The folder of an immutable product of the store, made by ``make(folder)`` where it is not
        there yet.

        ``ingredients`` (JSON-ready) are all that its content depends on; the key is made of
        them."""
        ...


class Stage(ABC, Generic[O]):
    """A kind of work. A subclass sets the class variables and implements ``apply``; heavy imports
    stand inside it."""

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[Options]] = Options
    accepts: ClassVar[Accepts] = Accepts()
    references: ClassVar[Accepts] = Accepts(task=True)
    """What an artifact must be that an option names, such as a teacher."""
    paper: ClassVar[str] = ""
    libraries: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    """Distributions whose versions shape the result; they are part of the product's key."""
    reads_architectures: ClassVar[bool] = False
    """Whether it reads ``context.architectures``: who registers them is then part of the product's
    key."""
    needs_data: ClassVar[tuple[str, ...]] = ()
    """Splits without which it cannot work."""
    serves: ClassVar[tuple[str, ...]] = ()
    """Tasks it can work for; empty for any."""
    configures: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Keys of a fresh model's config that it sets itself, and by what: a recipe that sets one is
    told so."""
    extra: ClassVar[str | None] = None
    """The extra of the toolkit it needs, named in the error where an import fails."""

    @classmethod
    def produces(cls, traits: Traits, options: O, task: str) -> Traits:
        """Traits of what it makes from an input of ``traits``: by default the same, for the step's
        task."""
        return replace(traits, task=task)

    @classmethod
    def check(cls, options: O) -> list[OptionMistake]:
        """Mistakes in options that pydantic cannot find."""
        return []

    @classmethod
    def check_layers(cls, options: O, layers: int) -> list[OptionMistake]:
        """Mistakes in options for an input of ``layers`` layers. A plan asks where the number is
        known."""
        return []

    @classmethod
    def layers_left(cls, options: O, layers: int) -> int | None:
        """Layers of what it makes of an input of ``layers`` layers; None where only ``apply``
        knows, and by default."""
        return None

    @classmethod
    def back_off(cls, options: O) -> O | None:
        """Options that take less from the model, for another try when a budget was missed; None
        where there is no less.

        A stage that does not override it has no such rule. It may look at nothing but the options,
        and the same ones give the same answer, so that a run that is continued makes the same
        tries."""
        return None

    @abstractmethod
    def apply(self, context: Context[O]) -> Made:
        """Make the model in ``context.output``. Raises CompressError for what the user can mend."""


def has_back_off(stage: type[Stage[Any]]) -> bool:
    """Whether a stage has a rule of its own for another try with less."""
    own, default = (getattr(s.back_off, "__func__", s.back_off) for s in (stage, Stage))
    return own is not default
