"""Fine-tuning: the given model with a head for the task, or a fresh one, trained with the task's
loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import set_seed

from compress.adapting import Adapted, adapt_input
from compress.fresh import fresh_reader, processor_for
from compress.models import save_model
from compress.processor import Processor
from compress.stage import Context, Made
from compress.training import Loss, fit
from compress_training import FinetuneOptions
from compress_training.smoothing import SmoothedLoss
from compress_training.tokenizer import tokenizer_for

if TYPE_CHECKING:
    from compress_training.lora import Adapters


def finetune(context: Context[FinetuneOptions]) -> Made:
    """Write the trained model and its tokenizer into ``context.output``."""
    set_seed(context.seed)  # new weights are drawn from the global generator
    adapted, processor = _given(context) if context.input else _fresh(context)
    adapters = _adapters(context, adapted)
    facts = fit(adapted.model, context, context.options, loss=_loss(context), processor=processor)
    if context.rank > 0:
        return Made()
    notes = {**facts, **adapted.notes}
    if adapters is not None:
        adapters.merge()
        notes |= adapters.notes
    parameters = save_model(adapted.model, context.output)
    context.task.save_processor(processor, context.output)
    return Made(parameters=parameters, notes=notes)


def _loss(context: Context[FinetuneOptions]) -> Loss | None:
    """The loss of smoothed labels; None: the task's own."""
    share = context.options.label_smoothing
    return SmoothedLoss(context.task, share) if share > 0 else None


def _adapters(context: Context[FinetuneOptions], adapted: Adapted) -> Adapters | None:
    """The matrices that are trained in place of the layers; None if the layers are."""
    if context.options.lora is None:
        return None
    from compress_training.lora import Adapters

    adapters = Adapters(adapted, context.options.lora)
    context.note(str(adapters))
    return adapters


def _given(context: Context[FinetuneOptions]) -> tuple[Adapted, Processor]:
    """The given model with a head for the task, and its processor."""
    assert context.input is not None and context.data is not None
    adapted = adapt_input(context, context.data.labels)
    return adapted, context.task.processor(context.input.folder)


def _fresh(context: Context[FinetuneOptions]) -> tuple[Adapted, Processor]:
    """A fresh model, and its processor: one that is trained, or another model's."""
    assert context.fresh is not None and context.data is not None
    theirs = _tokenizer(context)
    model = fresh_reader(context.fresh, context.task, context.data.labels, theirs)
    return Adapted(model), processor_for(model, theirs, context.task)


def _tokenizer(context: Context[FinetuneOptions]) -> Processor:
    """The processor that a fresh model gets."""
    vocabulary = context.options.vocabulary
    if vocabulary is not None:
        return tokenizer_for(context, vocabulary)
    processor: Processor = context.task.processor(context.references["processor_of"].folder)
    return processor
