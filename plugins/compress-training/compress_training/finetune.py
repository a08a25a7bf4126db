"""Fine-tuning: a head for the task on the given model, trained with the model's own loss."""

from __future__ import annotations

from transformers import set_seed

from compress.models import adapt_model, save_model
from compress.stage import Context, Made
from compress.training import TrainingOptions, fit


def finetune(context: Context[TrainingOptions]) -> Made:
    """What was made: the trained model in ``context.output``."""
    assert context.input is not None  # the stage accepts no fresh model
    set_seed(context.seed)  # a new head is drawn from the global generator
    model = adapt_model(context.input, context.task, context.data.labels)
    facts = fit(model, context, context.options)
    parameters = save_model(model, context.output)
    context.task.processor(context.input.folder).save(
        context.output, context.task.options.max_length
    )
    return Made(parameters=parameters, notes=facts)
