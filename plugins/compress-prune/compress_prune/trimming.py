"""Drop tokens from a tokenizer and a model together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from compress.artifact import Artifact
from compress.errors import NothingChanged, UsageError
from compress.models import open_model, save_model
from compress.processor import TextProcessor
from compress.sizes import positions
from compress.stage import Context, Made
from compress.training import fit
from compress_prune.corpus import count_file, count_rows
from compress_prune.embeddings import rows_of_vocabulary, vocabulary_axes, with_tokens
from compress_prune.numbering import (
    named_ids,
    new_ids,
    renumbered_config,
    renumbered_tokenizer,
)
from compress_prune.pieces import Pieces, added_ids, chosen, ids_around, pieces_of
from compress_prune.vocabulary import VocabularyOptions


def trim(context: Context[VocabularyOptions]) -> Made:
    """Write the model with fewer tokens into ``context.output``.

    Raises UsageError for a tokenizer or a family that cannot be cut, and where more rows stay in
    any case than ``keep`` allows; NothingChanged if every token stays."""
    source = context.input
    assert source is not None, "a plan gives this stage an input"
    processor = _tokenizer(context, source)
    model = open_model(source, context.task, "cuda" if torch.cuda.is_available() else "cpu")
    rows = rows_of_vocabulary(model)
    vocabulary_axes(model)  # a family that cannot be cut is refused before the corpus is read
    state = json.loads(processor.tokenizer.to_str())
    pieces = pieces_of(state)
    always = _always(model, processor, pieces, added_ids(state))
    counts = _counts(context, processor)
    kept = chosen(pieces, always, counts, context.options.minimum, _most(context, rows, always))
    if len(kept) == rows:
        raise NothingChanged(
            f"the corpus needs all {rows} tokens: raise minimum, give keep, or leave the step out"
        )
    new = new_ids(kept, pieces, added_ids(state), model.config.pad_token_id)
    cut = _cut(model, source, new)
    tokenizer = renumbered_tokenizer(processor, pieces, new)
    cut.save_pretrained(context.output)  # the task's processor reads the config too
    tokenizer.save(context.output)
    notes: dict[str, Any] = {
        "rows": len(kept),
        "rows_before": rows,
        "always": len(always),
        "tokens_in_corpus": len(counts),
    }
    if context.options.recover is not None:
        own = context.task.processor(context.output)
        notes["recover"] = fit(cut, context, context.options.recover, processor=own)
    if context.rank > 0:
        return Made()
    return Made(parameters=save_model(cut, context.output), notes=notes)


def _tokenizer(context: Context[VocabularyOptions], source: Artifact) -> TextProcessor:
    processor = context.task.processor(source.folder)
    if not isinstance(processor, TextProcessor):
        raise UsageError(
            f"{source.folder}: its tokenizer has no tokenizer.json ({', '.join(processor.files)}); "
            "only such a one can lose tokens, so leave the step out"
        )
    return processor


def _always(
    model: PreTrainedModel, processor: TextProcessor, pieces: Pieces, added: dict[str, int]
) -> set[int]:
    """Ids that stay whatever the corpus holds: those without which a text could have unknown
    tokens, special tokens, and those that a config names."""
    rows = rows_of_vocabulary(model)
    named = named_ids(model.config.to_dict()) | named_ids(_generation(model) or {})
    around = ids_around(processor.tokenizer)
    kinds = {
        processor.token_id(kind) for kind in ("pad", "mask", "cls", "sep", "unk", "bos", "eos")
    }
    known = {*pieces.always(), *added.values(), *around, *named, *(kinds - {None})}
    return {number for number in known if number is not None and 0 <= number < rows}


def _counts(context: Context[VocabularyOptions], processor: TextProcessor) -> Counter[int]:
    texts = context.options.texts
    if texts is None:
        return count_rows(context, processor)
    return count_file(Path(texts), context.options.column, processor)


def _most(context: Context[VocabularyOptions], rows: int, always: Collection[int]) -> int:
    """The number of rows that may stay."""
    keep = context.options.keep
    if keep is None:
        return rows
    most = keep if isinstance(keep, int) else int(keep * rows)
    if most < len(always):
        raise UsageError(
            f"keep: {keep} is {most} of {rows} rows, and {len(always)} stay in any case, so that "
            "every text has tokens (special tokens, and characters alone): give keep: "
            f"{len(always)} or more"
        )
    return most


def _cut(model: PreTrainedModel, source: Artifact, new: dict[int, int]) -> PreTrainedModel:
    """The model with the rows whose ids are in ``new``, and with the new ids in its configs."""
    before = model.config.to_dict()
    config, generation = renumbered_config(before, new), _generation(model)
    if positions(before) != positions(config):
        raise UsageError(
            f"this {model.config.model_type} model counts positions from its padding token, whose "
            "id would change: its vocabulary stays as it is, so leave the step out"
        )
    kept = sorted(new, key=lambda old: new[old])
    renumbered = None if generation is None else renumbered_config(generation, new)
    return with_tokens(model, kept, config, renumbered, source.manifest.edits)


def _generation(model: PreTrainedModel) -> dict[str, Any] | None:
    config = model.generation_config if model.can_generate() else None
    return None if config is None else config.to_dict()
