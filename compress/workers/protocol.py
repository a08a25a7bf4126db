"""What the supervisor and a worker send each other.

A worker is started on a file with one job. Then both sides send messages over the line.
``compress.workers.encoding`` turns jobs and messages into JSON and back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from compress.artifact import JsonObject, Traits
from compress.errors import Mistake
from compress.measurement import Measured
from compress.meter import Effort, Sample
from compress.store.prepared import Prepared
from compress.store.store import Store

if TYPE_CHECKING:  # a worker needs no plans, and would load the readers of recipes with them
    from compress.planning import DataChoice, TaskChoice


@dataclass(frozen=True)
class Chosen:
    """A task or source by its name, with its options."""

    name: str
    options: JsonObject

    @classmethod
    def of(cls, choice: TaskChoice | DataChoice) -> Chosen:
        """The task or source that a plan has chosen."""
        return cls(choice.entry.name, choice.options.model_dump(mode="json"))


# Jobs


@dataclass(frozen=True)
class PrepareData:
    """Read a source and write its prepared data for ``task`` into ``output``. ``seed`` draws the
    rows where the source's options limit them. Without ``targets`` only what the task reads."""

    source: Chosen
    task: Chosen
    output: Path
    seed: int
    targets: bool = True


@dataclass(frozen=True)
class DownloadModel:
    """Fetch a model from the hub into the hub's own cache."""

    hub_id: str


@dataclass(frozen=True)
class ImportModel:
    """Make an artifact of the model ``folder`` in ``output``.

    Its manifest names it ``step``, and ``source`` as the model that it comes from. ``tasks`` are
    those of the recipe: they decide which one its head serves."""

    folder: Path
    step: str
    source: str
    output: Path
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class AskFamilies:
    """Write all families of models that transformers knows into ``output``."""

    output: Path


@dataclass(frozen=True)
class ConfigureModel:
    """Build a fresh model without memory and write its whole config into ``output``."""

    fresh: JsonObject
    task: Chosen
    labels: tuple[str, ...]
    output: Path


@dataclass(frozen=True)
class Part:
    """One machine's part of a step that several machines do: its number, from 0, among
    ``machines``; and the ``host`` and ``port`` where the processes of all meet. They talk over the
    network ``interface`` of this machine; where it is empty, over the one that they choose."""

    machine: int
    machines: int
    host: str
    port: int
    interface: str = ""


@dataclass(frozen=True)
class ApplyStage:
    """Apply a stage and write the artifact into ``output``.

    ``input`` is the artifact before it, or None for a model that starts from the configuration
    ``fresh``. ``references`` has the artifact of each option that names one. ``work`` survives a
    crash, so that a training continues. ``processes`` do it together; those of this machine are its
    ``part`` of them, or all. ``earlier`` holds what was measured of the steps before, for a stage
    that reads it. ``unlabelled`` has the rows without targets of each option that describes some.
    ``choices`` names what it may ask for by ``MakeChoice``, with the traits that the plan expects
    of it."""

    stage: str
    step: str
    seed: int
    options: JsonObject
    task: Chosen
    traits: Traits
    store: Store
    input: Path | None
    fresh: JsonObject | None
    references: Mapping[str, Path]
    data: Prepared | None
    output: Path
    work: Path
    processes: int = 1
    earlier: Mapping[str, Measured] = field(default_factory=dict)
    unlabelled: Mapping[str, Prepared] = field(default_factory=dict)
    choices: Mapping[str, Traits] = field(default_factory=dict)
    part: Part | None = None


@dataclass(frozen=True)
class OpenArtifact:
    """Open a new artifact once in its engine, in a process that has imported nothing but that.
    ``made_by`` names the stage and its plugin, for the error."""

    folder: Path
    task: Chosen
    made_by: str


@dataclass(frozen=True)
class Subject:
    """An artifact to measure, with the task and data that it is measured on.

    ``compared`` names the subjects that it is compared with, ``parent`` the artifact that it was
    made from. ``slowdown`` is a share of its time by which each call is prolonged, to check that
    the instrument finds it. ``split`` has the examples, of which ``rows`` are taken (None: all)."""

    name: str
    folder: Path
    task: Chosen
    data: Prepared | None
    compared: tuple[str, ...] = ()
    parent: str | None = None
    slowdown: float = 0.0
    split: str = "test"
    rows: int | None = None


@dataclass(frozen=True)
class ProbeArtifact:
    """Open a subject's artifact in its engine and take samples on command."""

    subject: Subject
    effort: Effort


Job = (
    PrepareData
    | DownloadModel
    | ImportModel
    | AskFamilies
    | ConfigureModel
    | ApplyStage
    | OpenArtifact
    | ProbeArtifact
)


def folders_written(job: Job) -> tuple[Path, ...]:
    """The folders that a job writes into."""
    match job:
        case ApplyStage():
            return job.output, job.work
        case PrepareData() | ImportModel() | AskFamilies() | ConfigureModel():
            return (job.output,)
        case DownloadModel() | OpenArtifact() | ProbeArtifact():
            return ()


# From a worker, whatever its job


@dataclass(frozen=True)
class Progress:
    """How far a job is, for the user; ``values`` such as the loss are shown beside. ``remaining``
    is in seconds, None where the job does not know it."""

    done: float
    total: float
    text: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    remaining: float | None = None


@dataclass(frozen=True)
class Note:
    """A line for the user that stays visible."""

    text: str


@dataclass(frozen=True)
class MeasureCandidates:
    """A question: what are the measurements of the models in these folders, by name, on a split?
    ``meters`` are those that measure; None: all. ``rows`` of the split are taken; None: all."""

    folders: Mapping[str, Path]
    split: str
    meters: tuple[str, ...] | None
    effort: Effort
    rows: int | None = None


@dataclass(frozen=True)
class PredictCandidate:
    """A question: what does the model in this folder answer to the rows of a split?"""

    folder: Path
    split: str


@dataclass(frozen=True)
class MakeChoice:
    """A question: where is what the choice of this name makes of the step's input?

    Or of the candidate in the folder ``of``. That is made in the folder ``into``."""

    name: str
    of: Path | None = None
    into: Path | None = None


@dataclass(frozen=True)
class Finished:
    """The job is done. ``folder`` holds the model that was downloaded. ``opened``: the artifact
    that was made was opened in its engine."""

    folder: Path | None = None
    opened: bool = False


@dataclass(frozen=True)
class Failed:
    """The job ended with an error: its text, its class in ``compress.errors``, and the mistakes of
    a UsageError. ``error`` is None for a bug. ``follows``: another process had failed before, so
    this may be no more than what that one's end did to it."""

    text: str
    error: str | None = None
    mistakes: tuple[Mistake, ...] = ()
    follows: bool = False


# From one of several processes that do a job together, to the worker that started them


@dataclass(frozen=True)
class Joined:
    """The process with this number has opened its line."""

    rank: int


# Between the first machine of a run and the others


@dataclass(frozen=True)
class Meeting:
    """What the first machine tells one that comes: where its store is, and the ``name`` of a file
    in it that shows whether the other has the same store."""

    store: Path
    name: str


@dataclass(frozen=True)
class Arrived:
    """What the other answers: its number, how many machines it was told there are, its host's name,
    the content of the file, the digest of its recipe, and what else all must have in common."""

    machine: int
    machines: int
    host: str
    secret: str
    recipe: str
    facts: Mapping[str, str]


@dataclass(frozen=True)
class Assigned:
    """The other machine's part of a job, which names its files by ``name``. It answers by
    ``Finished`` or ``Failed``. When the run is over, it gets one of these itself."""

    name: str
    job: ApplyStage


# From a worker that probes an artifact


@dataclass(frozen=True)
class Started:
    """Everything but the artifact is loaded."""


@dataclass(frozen=True)
class Opened:
    """The artifact is loaded."""


@dataclass(frozen=True)
class MeterPrepared:
    """The meter has warmed up, and the process is at rest. ``failure`` says what it raised, if it
    did."""

    failure: str = ""


@dataclass(frozen=True)
class Sampled:
    """A sample was taken, and the process is at rest. ``clock`` is that of its core when the sample
    was done, in MHz; None if the system does not say. ``failure`` says why there is no sample."""

    sample: Sample
    clock: float | None = None
    failure: str = ""


@dataclass(frozen=True)
class Predicted:
    """The answers to all rows, in order."""

    predictions: Sequence[JsonObject]


@dataclass(frozen=True)
class LoadUsed:
    """The load is there, and answers from now on."""


# From the supervisor


@dataclass(frozen=True)
class CandidatesMeasured:
    """The answer to ``MeasureCandidates``: measurements by name."""

    measured: Mapping[str, Measured]


@dataclass(frozen=True)
class CandidatePredicted:
    """The answer to ``PredictCandidate``: a prediction for each row."""

    predictions: Sequence[JsonObject]


@dataclass(frozen=True)
class ChoiceMade:
    """The answer to ``MakeChoice``: the folder of what was made."""

    folder: Path


@dataclass(frozen=True)
class Open:
    """Load the artifact. The worker waits for this so that one side loads at a time."""


@dataclass(frozen=True)
class PrepareMeter:
    """Warm up for a meter."""

    meter: str


@dataclass(frozen=True)
class TakeSample:
    """Take one sample with a meter."""

    meter: str


@dataclass(frozen=True)
class Predict:
    """Answer every row, each alone."""


@dataclass(frozen=True)
class UseLoad:
    """Answer with the load of this number from now on; the first is 0. The artifact is loaded anew
    unless the process holds that load."""

    number: int


@dataclass(frozen=True)
class End:
    """End the process."""


ForUser = Progress | Note
Reply = Started | Opened | MeterPrepared | Sampled | Predicted | LoadUsed | Finished
"""What a worker that probes an artifact sends in reply to a command."""
Question = MeasureCandidates | PredictCandidate | MakeChoice
"""What a worker that applies a stage asks about its candidates."""
Answer = CandidatesMeasured | CandidatePredicted | ChoiceMade
"""What the supervisor answers, if it does not answer with a ``Failed``."""
FromWorker = ForUser | Question | Failed | Joined | Reply
Command = Open | PrepareMeter | TakeSample | Predict | UseLoad | End
FromSupervisor = Answer | Failed | Command
BetweenMachines = Meeting | Arrived | Assigned | Finished | Failed | End
Message = FromWorker | FromSupervisor | BetweenMachines

# From the process that workers start from, and to it

READY, READY_TO_MEASURE = b"ready", b"ready to measure"
"""What it says after its imports. Without the second, the memory of a worker that it starts cannot
be measured."""
LONGEST_REQUEST = 1 << 16
"""Bytes of a request for a worker: three paths."""
