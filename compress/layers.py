"""Which layers of a model stay: how what a user asks fits the stacks of a model, and what is
left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compress.architecture import Layers
from compress.errors import listed, suggestion
from compress.options import KeptByStack, KeptLayers
from compress.stage import OptionMistake


def layer_mistakes(
    kept: KeptByStack | None, layers: Layers, option: str = "layers"
) -> list[OptionMistake]:
    """Why ``kept``, the value of ``option``, does not fit a model of ``layers``: it does not say of
    which stack it speaks, names one that the model does not have, or layers that a stack does not
    have."""
    return list(_mistakes(kept, layers, option))


def layers_left(kept: KeptByStack | None, layers: Layers) -> Layers:
    """How many layers of each stack stay: all of a stack of which ``kept`` says nothing."""
    asked = _by_stack(kept, layers)
    return {name: _count(asked[name]) if name in asked else layers[name] for name in layers}


def all_stay(kept: KeptByStack | None, layers: Layers) -> bool:
    """Whether ``kept``, which fits the model, is known to remove no layer."""
    left = layers_left(kept, layers)
    return None not in left.values() and left == dict(layers)


def in_words(layers: Layers) -> str:
    """How many layers a model has: ``4 layers``, or ``encoder: 4 layers, decoder: 2 layers``."""
    if len(layers) == 1:
        return _counted(next(iter(layers.values())))
    return ", ".join(f"{name}: {_counted(count)}" for name, count in layers.items())


def _mistakes(kept: KeptByStack | None, layers: Layers, option: str) -> Iterator[OptionMistake]:
    if kept is None:
        return
    if isinstance(kept, Mapping) != (len(layers) > 1):
        yield _wrong_form(kept, layers, option)
        return
    for name, count in _by_stack(kept, layers).items():
        place = f"{option}.{name}" if isinstance(kept, Mapping) else option
        if name not in layers:
            message = f"{option}: the model has no stack {name!r}: it has {listed(layers)}"
            yield OptionMistake(place, message, suggestion(name, layers), of_key=True)
        elif not _fits(count, layers[name]):
            yield OptionMistake(place, f"{place}: {_misfit(count, layers[name])}")


def _wrong_form(kept: KeptByStack, layers: Layers, option: str) -> OptionMistake:
    if isinstance(kept, Mapping):
        message = f"{option}: a model of {in_words(layers)} has one stack of them"
        return OptionMistake(option, message, "give a number or a list")
    example = ", ".join(f"{name}: {kept}" for name in layers)
    message = f"{option}: {kept} does not say whose layers: the model has {listed(layers)}"
    return OptionMistake(option, message, f"give {{{example}}}")


def _by_stack(kept: KeptByStack | None, layers: Layers) -> Mapping[str, KeptLayers]:
    """What is asked of each stack, by its name; nothing for a form that does not fit."""
    if isinstance(kept, Mapping):
        return kept
    return {} if kept is None or len(layers) > 1 else dict.fromkeys(layers, kept)


def _fits(kept: KeptLayers, layers: int | None) -> bool:
    return layers is None or (kept if isinstance(kept, int) else kept[-1] + 1) <= layers


def _misfit(kept: KeptLayers, layers: int | None) -> str:
    words = f"{kept} does not fit a model of {_counted(layers)}"
    return words if isinstance(kept, int) or layers is None else _numbered(words, layers)


def _numbered(words: str, layers: int) -> str:
    return f"{words}, numbered from 0 to {layers - 1}"


def _count(kept: KeptLayers) -> int:
    return kept if isinstance(kept, int) else len(kept)


def _counted(layers: int | None) -> str:
    return "an unknown number of layers" if layers is None else _plural(layers)


def _plural(layers: int) -> str:
    return "1 layer" if layers == 1 else f"{layers} layers"
