"""The ``torch`` engine: PyTorch artifacts run as they are."""

from __future__ import annotations

from typing import Any, ClassVar

from compress import hookimpl
from compress.artifact import Artifact, Traits
from compress.engine import Counts, Engine, Loading, Placement, Session
from compress.errors import EnvironmentFailure
from compress.task import Task


class TorchEngine(Engine):
    """PyTorch in eager mode, on the processor or one GPU."""

    name: ClassVar[str] = "torch"
    summary: ClassVar[str] = "PyTorch in eager mode"
    formats: ClassVar[tuple[str, ...]] = ("pytorch",)
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")
    library: ClassVar[str | None] = "transformers"

    def open(self, artifact: Artifact, placement: Placement, task: Task[Any]) -> Session:
        """A session on the artifact's model, float32 where its precision is float. Sets
        torch's threads.

        Raises EnvironmentFailure where ``placement`` names a GPU that torch does not
        see."""
        import torch

        from compress.models import open_model
        from compress.sessions import TorchSession

        if placement.device not in self.devices():
            raise EnvironmentFailure(
                f"torch {torch.__version__} sees no {placement.device} device here; "
                f"it has: {', '.join(self.devices())}"
            )
        torch.set_num_threads(placement.threads)
        return TorchSession(open_model(artifact, task, placement.device), placement.device)

    def start(self) -> None:
        """Import torch, and of transformers what every model needs; on a GPU, make torch's context
        on it."""
        import torch
        import transformers.generation.utils
        import transformers.models.auto.modeling_auto  # noqa: F401

        import compress.models
        import compress.sessions  # noqa: F401

        if torch.cuda.is_available():
            torch.zeros(1, device="cuda")

    def counts(self, session: Session, task: Task[Any], length: int) -> Counts | None:
        """Parameters by part and multiply-accumulates of a float model; None for one with
        int8 weights, and for a session that is not this engine's own."""
        from compress.sessions import TorchSession
        from compress_torch.anatomy import counts

        return counts(session, length) if isinstance(session, TorchSession) else None

    def devices(self) -> tuple[str, ...]:
        """``cuda`` first where torch sees a GPU, then ``cpu``. Imports torch."""
        import torch

        return ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",)

    @classmethod
    def loading(cls, traits: Traits, task: type[Task[Any]]) -> Loading | None:
        """transformers alone, where the class of the task's models is its own."""
        from compress_torch.loading import loading

        opener = task.model_class({})
        return None if ":" in opener else loading(traits, opener, task.generates())


@hookimpl
def compress_engines() -> list[type[Engine]]:
    """The engine of this plugin."""
    return [TorchEngine]
