"""Fine-tuning: the given model with a head for the task, or a fresh one, trained with the model's
own loss."""

from __future__ import annotations

from transformers import set_seed

from compress.adapting import Adapted, adapt_input
from compress.fresh import fresh_reader
from compress.models import save_model
from compress.processor import TextProcessor
from compress.stage import Context, Made
from compress.training import fit
from compress_training import FinetuneOptions


def finetune(context: Context[FinetuneOptions]) -> Made:
    """Write the trained model and its tokenizer into ``context.output``."""
    processor = _processor(context)
    set_seed(context.seed)  # new weights are drawn from the global generator
    adapted = _model(context, processor)
    facts = fit(adapted.model, context, context.options, processor=processor)
    if context.rank > 0:
        return Made()
    parameters = save_model(adapted.model, context.output)
    processor.save(context.output, context.task.options.max_length)
    return Made(parameters=parameters, notes={**facts, **adapted.notes})


def _processor(context: Context[FinetuneOptions]) -> TextProcessor:
    source = context.input or context.references["processor_of"]
    return context.task.processor(source.folder)


def _model(context: Context[FinetuneOptions], processor: TextProcessor) -> Adapted:
    """The given model with a head for the task, or a fresh one."""
    assert context.data is not None, "the stage needs data"
    labels = context.data.labels
    if context.input is not None:
        return adapt_input(context, labels)
    assert context.fresh is not None, "without an input there is a fresh configuration"
    return Adapted(fresh_reader(context.fresh, context.task, labels, processor))
