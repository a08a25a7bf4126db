"""Training the biases of a model, and the weights that are new."""

from __future__ import annotations

from transformers import set_seed

from compress.adapting import adapt_input
from compress.models import save_model
from compress.stage import Context, Made
from compress.training import TrainingOptions, fit


def train_biases(context: Context[TrainingOptions]) -> Made:
    """Write the trained model and its processor into ``context.output``."""
    assert context.input is not None and context.data is not None, "a plan gives this stage both"
    set_seed(context.seed)  # new weights are drawn from the global generator
    adapted = adapt_input(context, context.data.labels)
    for name, weight in adapted.model.named_parameters():
        weight.requires_grad = name.endswith(".bias") or name in adapted.drawn
    facts = fit(adapted.model, context, context.options)
    if context.rank > 0:
        return Made()
    parameters = save_model(adapted.model, context.output)
    processor = context.task.processor(context.input.folder)
    context.task.save_processor(processor, context.output)
    return Made(parameters=parameters, notes={**facts, **adapted.notes})
