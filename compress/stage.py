"""A stage: a function from an artifact to a new artifact. It declares its options, what
input it accepts and what it makes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from compress.architecture import Architecture, KnownSizes
from compress.artifact import Artifact, Traits
from compress.edits import Edit
from compress.measurement import Measured
from compress.meter import Effort
from compress.options import FreshModel, Options
from compress.ranks import Ranks
from compress.task import Prediction, Row, Task


@dataclass(frozen=True)
class Accepts:
    """The artifacts that a stage accepts as input.

    ``trainable`` asks for weights that can be trained, ``task`` for a head that already
    serves the step's task. ``nothing``: the stage also works without an input, from a fresh
    configuration."""

    formats: tuple[str, ...] = ("pytorch",)
    precisions: tuple[str, ...] = ("float",)
    shapes: tuple[str, ...] = ("stock", "free")
    trainable: bool = False
    task: bool = False
    nothing: bool = False


@dataclass(frozen=True)
class Made:
    """What a stage reports about the model that it wrote."""

    parameters: int | None = None
    """The float parameter count; None: that of the input."""
    edits: Sequence[Edit] | None = None
    """The edits that give an empty model of the written config its shape
    (``compress.shapes.settle``); None: those of the input."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Facts for the manifest (steps trained, heads kept), JSON-ready."""
    traits: Traits | None = None
    """Those of the model, for a stage that chooses among formats; None: those that the plan knows
    from ``Stage.produces``."""


@dataclass(frozen=True)
class Candidate:
    """A model that a stage tries before it decides: its ``folder`` holds what ``output`` would.

    ``made`` describes it. ``traits`` are its own where they are not those of the stage's result: a
    candidate of another format is opened in another engine. The folder of an artifact that the
    context gave, such as ``context.input.folder``, is a candidate as it is."""

    folder: Path
    made: Made = field(default_factory=Made)
    traits: Traits | None = None


@dataclass(frozen=True)
class OptionMistake:
    """A mistake in a stage's options: the ``option``, what is wrong, and what to do about it. The
    name of a nested option is dotted, as ``student.layers``; an item of a list is its number, from
    0, as in ``losses.0.logits``. ``of_key``: its name is wrong, and not its value."""

    option: str
    message: str
    hint: str = ""
    of_key: bool = False

    @property
    def path(self) -> tuple[str | int, ...]:
        """The keys that lead to the option."""
        keys = self.option.split(".")
        return tuple(int(key) if key.isdecimal() else key for key in keys)


class Data(Protocol):
    """The prepared data of a step."""

    @property
    def labels(self) -> Sequence[str]:
        """Label names in order; empty for a task without labels."""
        ...

    @property
    def digest(self) -> str:
        """Identifies the content."""
        ...

    def rows(self, split: str) -> Sequence[Row]:
        """Normalised rows of a split, each with its ``id``; empty if there is no such
        split. A row is made when it is read, so keep no list of all of them."""
        ...


O = TypeVar("O", bound=Options)


class Context(Ranks, Protocol[O]):
    """What a stage works with. It writes the files of a model folder into ``output``, and
    nothing anywhere else but ``work``.

    Several processes may do one step. Each applies the stage. ``rank`` is its number among
    ``world``, from 0; only what rank 0 writes into ``output`` is kept. ``work`` is common to
    all, so rank 0 alone writes there. Every process must call ``first``, ``gather``,
    ``measure``, ``product`` and ``compress.training.fit`` as often as the others and in the
    same order, because each call waits for all.

    ``input`` is the artifact before it; None for a fresh model, whose configuration is then
    ``fresh``. ``references`` holds the artifact of each option that names one, those of an option
    with several under ``OPTION.0``, ``OPTION.1``, ... ``unlabelled`` holds the data of each option
    that describes some: rows without targets, in the split ``train``. ``data`` is
    None if the step has none; a stage with ``needs_data`` always has data. ``work``
    survives a crash and is deleted when the step is committed: checkpoints go there.
    ``earlier`` holds what was measured of the steps before, by name, on the test split; it is empty
    for a stage that does not set ``reads_earlier``. ``choices`` names what ``choice`` can make,
    with the traits that the plan expects of it.
    """

    options: O
    seed: int
    input: Artifact | None
    fresh: Mapping[str, Any] | None
    references: Mapping[str, Artifact]
    task: Task[Any]
    architectures: Sequence[type[Architecture]]
    data: Data | None
    unlabelled: Mapping[str, Data]
    output: Path
    work: Path
    earlier: Mapping[str, Measured]
    choices: Mapping[str, Traits]

    def progress(
        self,
        done: float,
        total: float,
        text: str = "",
        remaining: float | None = None,
        **values: float,
    ) -> None:
        """Show the user how far the stage is; ``values`` (loss, quality) are shown beside it.

        ``remaining`` is in seconds. Without it the remaining time follows from the speed so far."""
        ...

    def note(self, text: str) -> None:
        """Show the user one line that stays visible."""
        ...

    def measure(
        self,
        candidates: Mapping[str, Candidate],
        split: str = "validation",
        meters: Collection[str] | None = None,
        effort: Effort = "quick",
        rows: int | None = None,
    ) -> Mapping[str, Measured]:
        """Measurements of candidates by name, each with its ratios to the first.

        The instrument that measures the steps opens each in its own engine and process, and times
        them in turns, so a stage chooses by the numbers that the report will show. What depends on
        examples is measured on ``split``, of which ``rows`` are taken, evenly from all of it; None:
        all. ``meters`` names those that measure; None: all that work at this ``effort``.

        Raises UsageError for an unknown meter, ModelRefused if an engine cannot take a candidate,
        and another CompressError for one that does not open."""
        ...

    def predict(self, candidate: Candidate, split: str = "validation") -> list[Prediction]:
        """The task's answer of a candidate to each row of ``split``, in order, each answered alone
        in the candidate's own engine and process. Raises as ``measure``."""
        ...

    def choice(self, name: str, of: Candidate | None = None) -> Artifact:
        """What the stage named by one of ``choices`` makes of this step's input: the product that a
        step of that stage would have. Its folder is a candidate as it is. Raises the error of that
        stage, such as ModelRefused or PackageMissing.

        With ``of``: what it makes of that candidate. This is no product: it lies in ``work``, and
        goes with it."""
        ...

    def product(
        self, kind: str, ingredients: Mapping[str, Any], make: Callable[[Path], None]
    ) -> Path:
        """The folder of an immutable product of the store. If the store does not have it yet,
        ``make(folder)`` fills it.

        ``ingredients`` (JSON-ready) are everything that its content depends on, but for the
        version of the task's plugin; they make its key."""
        ...


class Stage(ABC, Generic[O]):
    """A kind of work. A subclass sets the class variables and implements ``apply``, with
    heavy imports inside it."""

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[Options]] = Options
    accepts: ClassVar[Accepts] = Accepts()
    references: ClassVar[Accepts] = Accepts(task=True)
    """What it accepts as the artifact that an option names, such as a teacher."""
    paper: ClassVar[str] = ""
    libraries: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    """Distributions whose versions shape the result; they are part of the product's key. A stage
    that names torch or transformers may start in a process that has both imported."""
    reads_architectures: ClassVar[bool] = False
    """Whether it reads ``context.architectures``: the versions of their plugins are then
    part of the product's key."""
    reads_earlier: ClassVar[bool] = False
    """Whether it reads ``context.earlier``: what was measured of the steps before is then part of
    the product's key."""
    needs_data: ClassVar[tuple[str, ...]] = ()
    """Splits without which it cannot work, whatever its options."""
    configures: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Keys of a fresh model's config that it sets itself, each with what sets it. A recipe
    that sets one is refused."""
    extra: ClassVar[str | None] = None
    """The extra of its distribution that installs what it needs, for the error message if an import
    fails."""
    needs_choice: ClassVar[bool] = True
    """Whether a stage that chooses among the products of others needs at least one."""
    offers: ClassVar[Sequence[Mapping[str, Any]]] = ()
    """Options with which it offers itself to a stage that chooses among the products of others;
    empty, the default: it is tried only where a recipe names it."""

    @classmethod
    def produces(cls, traits: Traits, options: O, task: str) -> Traits:
        """Traits of what it makes from an input of ``traits``; by default the same, with
        the step's task."""
        return replace(traits, task=task)

    @classmethod
    def check(cls, options: O) -> list[OptionMistake]:
        """Mistakes in options that pydantic cannot find."""
        return []

    @classmethod
    def splits_needed(cls, options: O) -> tuple[str, ...]:
        """Splits without which it cannot work with these options; by default ``needs_data``."""
        return cls.needs_data

    @classmethod
    def accepts_reference(cls, option: str) -> Accepts:
        """What it accepts as the artifact that an option names, by the option's dotted name, with
        a number where there are several (``teacher.1``); by default ``references`` for all."""
        return cls.references

    @classmethod
    def task_misfit(cls, task: type[Task[Any]]) -> str | None:
        """Why it does not work for a task, as in "learns from text alone, and ..."; None, the
        default, if it does."""
        return None

    @classmethod
    def check_task(cls, options: O, task: type[Task[Any]]) -> list[OptionMistake]:
        """Mistakes in options for a task, such as one that the task cannot do; by default none."""
        return []

    @classmethod
    def check_sizes(cls, options: O, sizes: KnownSizes) -> list[OptionMistake]:
        """Mistakes in options for an input of these ``sizes``. Called by a plan that knows the
        family, and before the first step for a model from the hub."""
        return []

    @classmethod
    def shares_work(cls, options: O) -> bool:
        """Whether several processes can do it together, as ``compress.training.fit`` can.
        Otherwise one does it, whatever the recipe's ``resources`` say. Default: False."""
        return False

    @classmethod
    def chooses(cls, options: O) -> bool:
        """Whether a stage with an option of the type ``StageChoices`` chooses among the products of
        others, with these options. Default: True."""
        return True

    @classmethod
    def needs_layout(cls, options: O) -> bool:
        """Whether it looks for the parts of a model. Then a plan refuses one of a family whose
        parts no architecture describes."""
        return False

    @classmethod
    def sizes_left(cls, options: O, sizes: KnownSizes) -> KnownSizes | None:
        """The sizes of what it makes from an input of these ``sizes``; None, the default, if only
        ``apply`` knows."""
        return None

    @classmethod
    def builds(cls, options: O) -> FreshModel | None:
        """The configuration of the fresh model that it builds in place of its input's. None, the
        default: its result is its input, trained, cut or converted."""
        return None

    @classmethod
    def back_off(cls, options: O) -> O | None:
        """Options that remove less from the model, for another try after a missed budget;
        None if nothing less is possible.

        A stage that does not override it cannot back off. The result may depend on the
        options alone, so that a continued run makes the same tries."""
        return None

    @abstractmethod
    def apply(self, context: Context[O]) -> Made:
        """Make the model in ``context.output``. Raises CompressError for what the user can
        fix."""


def has_back_off(stage: type[Stage[Any]]) -> bool:
    """Whether a stage overrides ``back_off``."""
    own = getattr(stage.back_off, "__func__", stage.back_off)
    default = getattr(Stage.back_off, "__func__", Stage.back_off)
    return own is not default
