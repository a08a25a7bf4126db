"""A plugin for ``benchmarks/twoprocesses.py``: the stage ``bench.steps`` trains, and writes down
the loss and the seconds of each step."""

from __future__ import annotations

import json
import time
from typing import Any, ClassVar

from compress import hookimpl
from compress.options import Options
from compress.stage import Accepts, Context, Made, Stage
from compress.training import LIBRARIES, TrainingOptions

FILE = "steps.json"


class Steps(Stage[TrainingOptions]):
    """A fine-tuning that is watched."""

    name: ClassVar[str] = "bench.steps"
    summary: ClassVar[str] = "Fine-tune, and write down each step."
    Options: ClassVar[type[Options]] = TrainingOptions
    accepts: ClassVar[Accepts] = Accepts(trainable=True)
    libraries: ClassVar[tuple[str, ...]] = LIBRARIES
    needs_data: ClassVar[tuple[str, ...]] = ("train",)

    @classmethod
    def shares_work(cls, options: TrainingOptions) -> bool:
        """Always: it trains."""
        return True

    def apply(self, context: Context[TrainingOptions]) -> Made:
        """Write the trained model, and what every process saw of each batch."""
        from transformers import set_seed

        from compress.adapting import adapt_input
        from compress.models import save_model
        from compress.training import fit

        assert context.input is not None and context.data is not None
        set_seed(context.seed)
        model = adapt_input(context, context.data.labels).model
        watch = _Watch(context.task)
        fit(model, context, context.options, loss=watch)
        seen = context.gather(watch.batches)
        if context.rank > 0:
            return Made()
        (context.output / FILE).write_text(json.dumps(seen), encoding="utf-8")
        parameters = save_model(model, context.output)
        context.task.processor(context.input.folder).save(context.output)
        return Made(parameters=parameters)


class _Watch:
    """The model's own loss. It keeps the rows, the loss, the labels and the time of each batch."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self.batches: list[dict[str, Any]] = []

    def __call__(self, model: Any, batch: dict[str, Any], indices: Any) -> Any:
        loss = model(**batch).loss
        self.batches.append(
            {
                "rows": indices.tolist(),
                "loss": float(loss.detach()),
                "count": self._task.counted(batch),
                "at": time.monotonic(),
            }
        )
        return loss


@hookimpl
def compress_stages() -> list[type[Stage[Any]]]:
    """The stage ``bench.steps``."""
    return [Steps]
