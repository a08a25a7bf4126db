"""``config.json`` of a model from outside: what it holds is checked before anything is built of
it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from compress.architecture import ModelConfig
from compress.errors import Mistake, UsageError
from compress.jsonfiles import read_object

FILE = "config.json"
_MOST_LABELS = 1_000_000
_LARGEST_SIZE = 20_000_000
"""The largest size of a model: Llama 4 has positions for ten million tokens."""
_LAYERS_WITHOUT_WEIGHTS = 256
"""Layers that a config may have without a tensor for each: ALBERT's layers share theirs."""
_SIZE_WORDS = frozenset({"size", "dim", "heads", "embd", "positions", "embeddings", "experts"})
"""Last words of the keys that hold a size, such as ``hidden_size``."""
_SIZE_KEYS = frozenset({"d_model", "d_ff", "d_kv", "n_head", "n_inner", "n_ctx"})
_NEVER_NEGATIVE = frozenset(
    {"hidden_size", "intermediate_size", "vocab_size", "d_model", "n_embd", "n_head", "n_layer"}
)
_LAYER_WORDS = frozenset({"layers", "layer", "blocks", "depth", "groups"})
"""Last words of the keys that hold a number of layers, such as ``num_hidden_layers``."""
_NEVER_TEXT = frozenset({"size", "dim", "heads", "layers"})
"""Last words of the keys that hold no text in any family."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 200


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "model_type": (_is_text, "a text"),
    "architectures": (_is_list_of_texts, "a list of class names"),
    "problem_type": (_is_text, "a text"),
    "quantization_config": (_is_object, "an object"),
    "text_config": (_is_object, "an object"),
    "pad_token_id": (lambda value: type(value) is int, "a whole number"),
}
"""For each entry that the core reads: whether a value is right, and what is."""


def read_config(folder: Path) -> ModelConfig:
    """The entries of the folder's ``config.json``, with the label names of ``label2id`` in
    ``id2label`` if they stand there alone.

    Raises UsageError if it is missing, is no JSON object, or states labels or a kind of model in
    another form than transformers writes."""
    file = folder / FILE
    if not file.is_file():
        raise UsageError(f"{folder} is not a model folder: it has no {FILE}")
    config = read_object(file, infinity=True)
    mistakes = [*_kind_mistakes(config), *_label_mistakes(config), *_size_mistakes(config)]
    if mistakes:
        raise UsageError([Mistake(str(file), mistake) for mistake in mistakes])
    names = config.get("label2id")
    if config.get("id2label") is None and names:
        by_number = sorted((number, name) for name, number in names.items())
        config["id2label"] = {str(number): name for number, name in by_number}
    return config


def refuse_absurd_depth(file: Path, config: ModelConfig, tensors: int) -> None:
    """Raise UsageError for a config with many more layers than the weights have ``tensors``: to
    build such a model would take hours."""
    most = max(tensors, _LAYERS_WITHOUT_WEIGHTS)
    for key, value in _numbers(config):
        if _last_word(key) in _LAYER_WORDS and value > most:
            raise UsageError(
                f"{file}: {key} is {value}, and the weights have {tensors} tensors in all"
            )


def _kind_mistakes(config: ModelConfig) -> Iterator[str]:
    """What is wrong with the entries that say what kind of model it is."""
    for key, (is_right, wanted) in _KINDS.items():
        value = config.get(key)
        if value is not None and not is_right(value):
            yield f"{key} is {_shown(value)}, and not {wanted}"


def _label_mistakes(config: ModelConfig) -> Iterator[str]:
    """What is wrong with the entries about labels."""
    count, names = config.get("num_labels"), config.get("id2label")
    if count is not None and not (type(count) is int and 0 <= count <= _MOST_LABELS):
        yield f"num_labels is {_shown(count)}, and not a number of labels up to {_MOST_LABELS}"
        return
    if names is None:
        numbers = config.get("label2id")
        problem = "" if numbers is None else _problem_of_numbers(numbers)
        key, found = "label2id", numbers
    else:
        problem, key, found = _problem_of_names(names), "id2label", names
    if problem:
        yield f"{key} {problem}"
    elif found and count is not None and count != len(found):
        yield f"num_labels is {count}, and {key} has {len(found)} names"


def _problem_of_names(names: Any) -> str:
    """Why ``id2label`` does not name outputs; empty if it does."""
    if not isinstance(names, dict):
        return f'is {_shown(names)}, and not an object such as {{"0": "negative"}}'
    if not names:
        return "names no output: leave it out, or name each"
    for number in range(len(names)):
        if str(number) not in names:
            return (
                f'has no name for output {number}: its keys are the numbers "0" to '
                f'"{len(names) - 1}", got {_shown(list(names))}'
            )
    return _problem_of_labels(list(names.values()))


def _problem_of_numbers(numbers: Any) -> str:
    """Why ``label2id`` does not number labels; empty if it does."""
    if not isinstance(numbers, dict):
        return f'is {_shown(numbers)}, and not an object such as {{"negative": 0}}'
    wanted = list(range(len(numbers)))
    ids = list(numbers.values())
    if not all(type(number) is int for number in ids) or sorted(ids) != wanted:
        return f"has the numbers {_shown(ids)}, and not 0 to {len(numbers) - 1}, each once"
    return _problem_of_labels(list(numbers))


def _problem_of_labels(labels: list[Any]) -> str:
    if len(labels) > _MOST_LABELS:
        return f"has {len(labels)} names, and a head has at most {_MOST_LABELS}"
    wrong = [label for label in labels if not isinstance(label, str)]
    if wrong:
        return f"has the name {_shown(wrong[0])}, and not a text"
    seen = set()
    for label in labels:
        if label in seen:
            return f"has the name {_shown(label)} twice"
        seen.add(label)
    return ""


def _size_mistakes(config: ModelConfig) -> Iterator[str]:
    """Entries that a model would be built of and that are no size."""
    for key, value in config.items():
        if _last_word(key) in _NEVER_TEXT and isinstance(value, str):
            yield f"{key} is {_shown(value)}, and not a number"
    for key, number in _numbers(config):
        if number < 0 and _is_never_negative(key):
            yield f"{key} is {number}, and no model has less than none"
        if _is_size(key) and abs(number) > _LARGEST_SIZE:
            yield f"{key} is {number:.4g}, and no model is that large"


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a config, also those of the configs and lists in it, with their keys."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _numbers(value)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, int | float) and not isinstance(item, bool):
                yield key, item


def _is_size(key: str) -> bool:
    return key in _SIZE_KEYS or _last_word(key) in _LAYER_WORDS | _SIZE_WORDS


def _is_never_negative(key: str) -> bool:
    """Whether a key has no negative value in any family. Some use -1 for a size without limit."""
    return key in _NEVER_NEGATIVE or _last_word(key) in ("heads", "layers")


def _last_word(key: str) -> str:
    return key.rpartition("_")[2]


def _shown(value: Any) -> str:
    """A value as a message shows it: short, also if it is not."""
    return f"{value!r:.60}"
