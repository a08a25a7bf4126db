"""Pre-training: a tokenizer and a model from a fresh configuration, or a given model that
trains on with other text."""

from __future__ import annotations

from transformers import set_seed

from compress.adapting import Adapted, adapt_input
from compress.fresh import fresh_reader
from compress.models import save_model
from compress.processor import TextProcessor
from compress.stage import Context, Made
from compress.training import fit
from compress_training import PretrainOptions
from compress_training.tokenizer import tokenizer_for


def pretrain(context: Context[PretrainOptions]) -> Made:
    """Write the trained model and its tokenizer into ``context.output``."""
    processor = _processor(context)
    set_seed(context.seed)  # weights are drawn from the global generator
    adapted = _model(context, processor)
    facts = fit(adapted.model, context, context.options, processor=processor)
    if context.rank > 0:
        return Made()
    parameters = save_model(adapted.model, context.output)
    context.task.save_processor(processor, context.output)
    notes = {**facts, **adapted.notes, "vocabulary": processor.tokenizer.get_vocab_size()}
    return Made(parameters=parameters, notes=notes)


def _processor(context: Context[PretrainOptions]) -> TextProcessor:
    if context.input is not None:
        given: TextProcessor = context.task.processor(context.input.folder)
        return given
    return tokenizer_for(context, context.options.vocabulary, context.options.lowercase)


def _model(context: Context[PretrainOptions], processor: TextProcessor) -> Adapted:
    """The given model, or a fresh one."""
    if context.input is not None:
        return adapt_input(context, ())
    assert context.fresh is not None, "without an input there is a fresh configuration"
    return Adapted(fresh_reader(context.fresh, context.task, (), processor))
