"""transformers' Trainer with the additions that ``compress.training`` lists."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate.data_loader import prepare_data_loader
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer

from compress.errors import CompressError
from compress.featurising import FeatureRows
from compress.models import forward, task_loss
from compress.predict import predict
from compress.processor import Processor
from compress.rows import Picked
from compress.sessions import TorchSession
from compress.stage import Context, Data
from compress.task import Row
from compress.training import checkpoints
from compress.training.batches import BucketedBatches, Collator, FeatureDataset
from compress.training.options import Loss, Term, TrainingOptions
from compress.training.rates import rate_at
from compress.training.sharing import dealt_back, shared_loss, sum_of, transparent

_SOON_READ = 20_000
"""Rows that are read within a second or two, of which the user need not be told."""


class OrderedTrainer(Trainer):
    """The trainer of all stages. ``parts`` holds its data, task and loss."""

    # Every loss, a stage's or a model's, is the mean over its batch. So Trainer must divide by the
    # number of batches of a step.
    loss_is_scaled_for_ga = False

    def __init__(self, parts: TrainingParts, **arguments: Any) -> None:
        self.parts = parts
        super().__init__(
            train_dataset=parts.dataset,
            eval_dataset=FeatureDataset(parts.validation_features),
            data_collator=parts.collator,
            **arguments,
        )
        # Trainer believes that a head whose forward accepts the number of items in a step divides
        # by it. Many heads accept it and do not divide.
        self.model_accepts_loss_kwargs = False

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Our batches in our order; Trainer calls their ``set_epoch``.

        Creating an iterator draws a random number: the loader has a generator of its own,
        so that the global one, from which dropout draws, is left as it is."""
        loader = DataLoader(
            self.parts.dataset,
            batch_sampler=self.parts.batches,
            collate_fn=self.parts.collator,
            generator=torch.Generator().manual_seed(0),
            pin_memory=self.args.dataloader_pin_memory,
        )
        # The collator gives each process its rows. Shared by accelerate, batches would be dropped
        # or seen twice where their number or size is uneven.
        prepared: DataLoader[Any] = prepare_data_loader(
            loader, self.args.device, num_processes=1, process_index=0, put_on_device=True
        )
        return prepared

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> LRScheduler:
        """The schedule of ``compress.training.rates``, in which no step has a rate of 0."""
        if self.lr_scheduler is None:
            chosen = optimizer or self.optimizer
            assert chosen is not None, "Trainer makes the optimizer first"
            rate = partial(rate_at, steps=num_training_steps, warmup=self.parts.warmup)
            self.lr_scheduler = LambdaLR(chosen, rate)
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The loss of a batch, a scalar: the stage's if it has one, else the task's; 0 for a
        batch without a label.

        Such a batch occurs: a text of unknown characters alone has no token to mask. Either loss
        would be a mean over nothing, which is not a number."""
        indices, part = inputs.pop("indices"), inputs.pop("part")
        if part.has_no_label:
            return _zero(forward(model, inputs))
        if self.parts.loss is not None:
            loss: Any = self.parts.loss(transparent(model), inputs, indices)
        else:
            loss = self._task_loss(model, inputs)
        if self.args.world_size == 1:
            return loss if isinstance(loss, torch.Tensor) else sum_of(loss)
        if isinstance(loss, torch.Tensor):
            loss = [Term(loss, self.parts.task.counted(inputs))]
        return shared_loss([Term(t.value, 0) for t in loss] if part.is_lent else loss)

    def _task_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        loss = task_loss(self.parts.task, model, inputs)
        if loss is None:
            raise CompressError(
                f"task {self.parts.task.name} has no loss for this model, which computes none "
                "itself: the task defines loss"
            )
        return loss

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Trainer's step. Raises CompressError that names the step if its loss is not finite."""
        loss = super().training_step(*args, **kwargs)
        if not torch.isfinite(loss):
            raise CompressError(
                f"the loss is {loss.item()} at step {self.state.global_step + 1} of "
                f"{self.state.max_steps} "
                f"(epoch {self.state.epoch or 0:.2f}): lower learning_rate, or set precision: fp32"
            )
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Quality on the validation split, by metric. Rows are predicted in their order:
        Trainer's own loop would reorder them."""
        parts, model = self.parts, cast(PreTrainedModel, self.model)
        parts.context.progress(self.state.global_step, self.state.max_steps, "validating")
        model.eval()
        session = TorchSession(model, str(self.args.device))
        with self.accelerator.autocast():
            own = predict(
                session,
                parts.task,
                parts.processor,
                parts.own_rows,
                parts.validation_features,
                parts.evaluation_batch,
            )
        answers = dealt_back(parts.context.gather(own))
        quality = parts.context.first(
            lambda: parts.task.score(answers, parts.validation_rows, parts.labels, parts.processor)
        )
        metrics = {f"eval_{name}": float(value) for name, value in quality.metrics.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            folder = Path(str(self.args.output_dir))
            newest = folder / f"checkpoint-{self.state.global_step}"
            checkpoints.mark_complete(newest)
            keep = {newest}
            if self.state.best_model_checkpoint:  # loaded at the end of the training
                keep.add(Path(self.state.best_model_checkpoint))
            checkpoints.keep_only(folder, keep)


def _zero(outputs: Any) -> torch.Tensor:
    """A loss of 0 with a graph, which the backward pass needs; every gradient is 0."""
    values = (value for name, value in outputs.items() if name != "loss")
    logits = next(value for value in values if torch.is_tensor(value) and value.requires_grad)
    return 0.0 * logits.sum()


def _together(features: FeatureRows, groups: Sequence[int]) -> np.ndarray:
    """The group of each of the features, int64: the task's own, and that of its row. Raises
    CompressError where rows with groups are cut into several examples."""
    if not len(groups):
        return features.groups
    if len(groups) != len(features):
        raise CompressError(
            f"{len(groups)} rows are cut into {len(features)} examples, and rows of several groups "
            "must not be cut: raise max_length"
        )
    pairs = np.stack([features.groups, np.asarray(groups, np.int64)])
    return np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)


class TrainingParts:
    """The data, the task and the share of warm-up steps that one training reads.

    Of several processes each answers its share of the validation rows."""

    def __init__(
        self,
        context: Context[Any],
        options: TrainingOptions,
        loss: Loss | None,
        processor: Processor,
        data: Data,
        groups: Sequence[int] = (),
    ) -> None:
        self.context = context
        batch_size = options.batch_size
        self.task, self.loss, self.warmup = context.task, loss, options.warmup
        self.labels = data.labels
        self.processor = processor
        features = FeatureRows(self.task, data.rows("train"), self.processor, self._told)
        self.validation_rows = data.rows("validation")
        self.own_rows: Sequence[Row] = self.validation_rows
        if context.world > 1:
            self.own_rows = Picked(
                self.validation_rows, range(context.rank, len(self.validation_rows), context.world)
            )
        self.validation_features = FeatureRows(self.task, self.own_rows, self.processor)
        self.validation_share = len(self.validation_rows) / max(1, len(features))
        self.evaluation_batch = max(32, batch_size)
        self.dataset = FeatureDataset(features)
        self.batches = BucketedBatches(
            features.lengths, batch_size, context.seed, _together(features, groups)
        )
        self.collator = Collator(
            self.task, self.processor, self.batches, context.rank, context.world
        )

    def _told(self, done: int, total: int) -> None:
        if total > _SOON_READ:
            self.context.progress(done, total, "reading the training rows")
