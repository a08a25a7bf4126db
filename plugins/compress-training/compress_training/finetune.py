"""Fine-tuning: the given model with a head for the task, trained with the task's loss."""

from __future__ import annotations

from transformers import set_seed

from compress.adapting import adapt_input
from compress.models import save_model
from compress.stage import Context, Made
from compress.training import TrainingOptions, fit


def finetune(context: Context[TrainingOptions]) -> Made:
    """Write the trained model and its tokenizer into ``context.output``."""
    assert context.input is not None, "the stage accepts no fresh model"
    assert context.data is not None, "the stage needs data"
    set_seed(context.seed)  # a new head is drawn from the global generator
    adapted = adapt_input(context, context.data.labels)
    facts = fit(adapted.model, context, context.options)
    parameters = save_model(adapted.model, context.output)
    processor = context.task.processor(context.input.folder)
    context.task.save_processor(processor, context.output)
    return Made(parameters=parameters, notes={**facts, **adapted.notes})
