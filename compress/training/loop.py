"""One training, from its options to its facts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from compress.errors import UsageError
from compress.machine import processor
from compress.processor import Processor
from compress.stage import Context, Data
from compress.training import checkpoints
from compress.training.ending import EndRequest, end_requested
from compress.training.facts import TrainingFacts
from compress.training.memory import SteadyMemory
from compress.training.options import Loss, TrainingOptions
from compress.training.reporter import Reporter
from compress.training.speed import quick_on_processor
from compress.training.trainer import OrderedTrainer, TrainingParts


def train(
    model: PreTrainedModel,
    context: Context[Any],
    options: TrainingOptions,
    loss: Loss | None,
    row_processor: Processor,
    data: Data,
    groups: Sequence[int],
    work: Path,
) -> TrainingFacts:
    """Train ``model`` in place, as ``compress.training.fit`` describes it."""
    with end_requested() as ending:
        parts = TrainingParts(context, options, loss, row_processor, data, groups)
        facts = _train(model, context, options, parts, work / "checkpoints", ending)
        ending.obey()
    return facts


def _train(
    model: PreTrainedModel,
    context: Context[Any],
    options: TrainingOptions,
    parts: TrainingParts,
    folder: Path,
    ending: EndRequest,
) -> TrainingFacts:
    """Train ``model`` until it is trained, or until ``ending`` is asked. Checkpoints are in
    ``folder``."""
    set_seed(_seed(context))
    if not len(parts.dataset):
        raise UsageError("the train split is empty")
    trainer = _trainer(model, context, options, parts, folder, ending)
    newest = context.first(lambda: checkpoints.newest_complete(folder, context.note))
    if newest:
        context.note(f"continuing from step {newest.name.rsplit('-', 1)[1]}")
    start = time.monotonic()
    if newest and _is_over(newest, options.patience):  # only the step was not committed yet
        trainer.state = TrainerState.load_from_json(str(newest / checkpoints.STATE))
        best = folder / (checkpoints.best_of(newest) or newest.name)
        load_model(model, best / "model.safetensors")
    else:
        longest = int(parts.batches.lengths.max())
        with quick_on_processor(model, uses_bf16(options.precision), longest):
            trainer.train(resume_from_checkpoint=str(newest) if newest else None)
    model.eval()
    return _facts(trainer, options, time.monotonic() - start, newest)


def _seed(context: Context[Any]) -> int:
    """The seed of what a process draws while it trains. Each has another, or all would drop the
    same units."""
    return (context.seed + context.rank) % 2**32


def uses_bf16(precision: str) -> bool:
    """Whether training computes in bf16. With ``auto`` it does if this machine is faster in it."""
    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return processor().fast_in_bf16


def _trainer(
    model: PreTrainedModel,
    context: Context[Any],
    options: TrainingOptions,
    parts: TrainingParts,
    folder: Path,
    ending: EndRequest,
) -> OrderedTrainer:
    """The trainer of ``model``, which writes its checkpoints into ``folder``."""
    callbacks: list[TrainerCallback] = [
        Reporter(context, parts.task.headline, ending, parts.validation_share)
    ]
    if not torch.cuda.is_available():
        callbacks.append(SteadyMemory())
    if options.patience is not None:
        if not parts.validation_rows:
            raise UsageError(
                "patience needs validation data to judge by; add a validation split or leave it out"
            )
        callbacks.append(EarlyStoppingCallback(options.patience))
    arguments = _arguments(_seed(context), options, parts, folder)
    return OrderedTrainer(parts, model=model, args=arguments, callbacks=callbacks)


def _arguments(
    seed: int, options: TrainingOptions, parts: TrainingParts, folder: Path
) -> TrainingArguments:
    validates = bool(parts.validation_rows)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=options.epochs,
        learning_rate=options.learning_rate,
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.gradient_accumulation,
        activation_checkpointing=options.gradient_checkpointing,
        bf16=uses_bf16(options.precision),
        weight_decay=options.weight_decay,
        optim="adamw_torch_fused",
        seed=seed,
        eval_strategy="epoch" if validates else "no",
        save_strategy="epoch",
        load_best_model_at_end=validates,
        metric_for_best_model=f"eval_{parts.task.headline}" if validates else None,
        greater_is_better=parts.task.higher_is_better if validates else None,
        restore_callback_states_from_checkpoint=True,  # epochs without progress count on
        logging_steps=10,
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    # With several GPUs and one process, Trainer would wrap the model in DataParallel. That hides
    # its config, computes outside of autocast and puts a batch on each GPU. So one GPU is used.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def _is_over(checkpoint: Path, patience: int | None) -> bool:
    """Whether training had ended when the checkpoint was written: all steps were done, or the
    patience was used up. Trainer itself would train on in the second case."""
    state = TrainerState.load_from_json(str(checkpoint / checkpoints.STATE))
    if state.global_step >= state.max_steps or patience is None:
        return bool(state.global_step >= state.max_steps)
    saved = state.stateful_callbacks["EarlyStoppingCallback"]["attributes"]
    return int(saved["early_stopping_patience_counter"]) >= patience


def _facts(
    trainer: OrderedTrainer, options: TrainingOptions, seconds: float, resumed: Path | None
) -> TrainingFacts:
    state = trainer.state
    facts: TrainingFacts = {
        "steps": state.global_step,
        "precision": "bf16" if uses_bf16(options.precision) else "fp32",
    }
    if trainer.args.world_size > 1:
        facts["processes"] = trainer.args.world_size
    if resumed is None:
        facts["training_seconds"] = round(seconds, 2)
    if state.best_metric is not None and state.best_global_step is not None:
        facts["best_validation"] = state.best_metric
        facts["best_step"] = state.best_global_step
    return facts
