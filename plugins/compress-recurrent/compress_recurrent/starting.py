"""First weights of a student from its teacher: vectors for its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from compress.architecture import Origin
from compress.errors import UsageError
from compress.processor import TextProcessor
from compress_recurrent.vectors import reduced, sif_weights

_AT_ONCE = 512
"""Tokens that the teacher reads in one batch."""
_LONGEST = 32
"""Ids of the text of one token, of which a teacher reads no more."""


def start_recurrent(model: Any, origin: Origin) -> Mapping[str, Any]:
    """Set the embeddings of ``model`` to those of the teacher, of whose axes as many stay as
    ``embedding_size`` says. A token that the teacher's tokenizer does not have starts as the mean
    of the pieces that it makes of the token. Returns notes.

    Raises UsageError where ``embedding_size`` is more than the teacher's embeddings have."""
    embeddings: Any = origin.model.get_input_embeddings()
    table = embeddings.weight.detach().float()
    pieces = _pieces(origin, with_special=False)
    vectors = torch.stack(
        [table[ids].mean(dim=0) if ids else table.new_zeros(table.shape[1]) for ids in pieces]
    )
    return _fill(model.base_model.embeddings.weight, vectors)


def start_static(model: Any, origin: Origin) -> Mapping[str, Any]:
    """Set the vector of each token to the mean of the teacher's last hidden states for this token
    alone, of whose axes as many stay as ``embedding_size`` says; and its weight to its SIF weight,
    or the vector times that where tokens have no weights. Returns notes.

    Tulkens and van Dongen 2024, Model2Vec (doi:10.5281/zenodo.17270888). Frequencies are those of
    the training rows, where Model2Vec takes them from the order of the vocabulary. Raises
    UsageError where ``embedding_size`` is more than the teacher's hidden width."""
    body = model.base_model
    notes = _fill(body.embeddings.weight, _token_outputs(origin))
    weights = sif_weights(torch.from_numpy(origin.counts))[:, None]
    target = body.embeddings.weight if body.weights is None else body.weights.weight
    with torch.no_grad():
        target[: len(weights)].mul_(weights)
    return notes


def _fill(parameter: Tensor, vectors: Tensor) -> Mapping[str, Any]:
    """Write ``vectors`` [tokens, width], with as many axes as ``parameter`` has, into its first
    rows."""
    size, width = parameter.shape[1], vectors.shape[1]
    if size > width:
        raise UsageError(
            f"embedding_size: {size} is more than the {width} axes of the teacher's vectors: take "
            f"{width} or less, or leave embeddings_of out"
        )
    kept, share = reduced(vectors, size)
    with torch.no_grad():
        parameter[: len(kept)] = kept
    return {"embeddings_of_teacher": {"axes": size, "of": width, "variance": round(share, 4)}}


def _pieces(origin: Origin, *, with_special: bool) -> list[list[int]]:
    """What the teacher reads for each id of the fresh model's tokenizer: the same id where the two
    tokenizers are one, else the ids that its tokenizer makes of the token's text."""
    theirs, own, count = origin.processor, origin.own, len(origin.counts)
    before, after = _around(theirs) if with_special else ([], [])
    if theirs.identity() == own.identity():
        return [[*before, i, *after] for i in range(count)]
    texts = [_text(own, i) for i in range(count)]
    inner = [e.ids for e in theirs.tokenizer.encode_batch(texts, add_special_tokens=False)]
    return [[*before, *ids[:_LONGEST], *after] for ids in inner]


def _around(processor: TextProcessor) -> tuple[list[int], list[int]]:
    """The special tokens that a tokenizer puts before and after a text."""
    (encoding,) = processor.encode(["a"], max_length=_LONGEST)
    places = [i for i, special in enumerate(encoding.special_tokens_mask) if not special]
    return encoding.ids[: places[0]], encoding.ids[places[-1] + 1 :]


def _text(processor: TextProcessor, token: int) -> str:
    """The text of a token; empty for a special one. What a decoder makes of a text's first token
    can differ ("##s"), so it is that of a second one."""
    once, twice = (processor.decode([token] * times) for times in (1, 2))
    return twice[len(once) :].strip()


@torch.inference_mode()
def _token_outputs(origin: Origin) -> Tensor:
    """The mean of the teacher's last hidden states over each token alone, with the special tokens
    around it: float32 [tokens, width]."""
    model = origin.model
    body: Any = model.get_encoder() if model.config.is_encoder_decoder else model.base_model
    pieces = _pieces(origin, with_special=True)
    order = np.argsort([len(ids) for ids in pieces], kind="stable")
    made: list[tuple[Sequence[int], Tensor]] = []
    for start in range(0, len(order), _AT_ONCE):
        places = order[start : start + _AT_ONCE].tolist()
        ids, mask = _padded([pieces[place] for place in places], origin.processor.pad_id)
        states = body(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        counted = mask.unsqueeze(-1)
        mean = (states * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
        made.append((places, mean))
    vectors = made[0][1].new_zeros(len(pieces), made[0][1].shape[1])
    for places, mean in made:
        vectors[places] = mean
    return vectors


def _padded(sequences: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and mask, int64 [batch, length]."""
    length = max(1, *map(len, sequences))
    ids = torch.full((len(sequences), length), pad)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.int64)
        mask[row, : len(sequence)] = 1
    return ids, mask
