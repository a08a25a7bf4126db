"""Students that are no transformers: ``bilstm`` and ``bigru`` read a text in both directions,
``static`` adds the vectors of its tokens up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from compress import hookimpl
from compress.architecture import Architecture, Origin
from compress.exportable import Exportable


class Recurrent(Architecture):
    """Recurrent layers over the tokens of a text, in both directions, with a head for texts or
    for tokens. The embeddings can start from a teacher's, reduced to ``embedding_size``."""

    name = "recurrent"
    summary = "An LSTM (bilstm) or a GRU (bigru) that reads a text in both directions."
    model_types = ("bilstm", "bigru")
    sizes = {
        "layers": "num_hidden_layers",
        "hidden": "hidden_size",
        "vocabulary": "vocab_size",
    }
    config_keys = ("dropout", "embedding_size", "hidden_size", "num_hidden_layers", "vocab_size")

    @classmethod
    def register(cls) -> None:
        """The configs, and a class of models for each kind of head."""
        from compress_recurrent.recurrent import register

        register()

    @classmethod
    def start_from(cls, model: Any, origin: Origin) -> Mapping[str, Any]:
        """Embeddings that are the teacher's own, on fewer axes where ``embedding_size`` is less
        than their width."""
        from compress_recurrent.starting import start_recurrent

        return start_recurrent(model, origin)

    @classmethod
    def exportables(cls, model: Any, task: Any, batch: Any) -> Sequence[Exportable]:
        """The whole model, traced: ``torch.export`` binds an LSTM to one length."""
        return _traced(model, batch)


class Static(Architecture):
    """A vector for each token, whose mean a small head reads. The vectors can start from a
    teacher's outputs for each token alone, as in model2vec."""

    name = "static"
    summary = "The mean of the vectors of a text's tokens, read by a small head (static)."
    model_types = ("static",)
    sizes = {"vocabulary": "vocab_size"}
    config_keys = ("dropout", "embedding_size", "intermediate_size", "token_weights", "vocab_size")

    @classmethod
    def register(cls) -> None:
        """The config and the models."""
        from compress_recurrent.static import register

        register()

    @classmethod
    def start_from(cls, model: Any, origin: Origin) -> Mapping[str, Any]:
        """Vectors of what the teacher makes of each token, on the axes that hold most of it, less
        of them the more frequent the token is."""
        from compress_recurrent.starting import start_static

        return start_static(model, origin)

    @classmethod
    def exportables(cls, model: Any, task: Any, batch: Any) -> Sequence[Exportable]:
        """The whole model, traced, which is quicker than to capture it."""
        return _traced(model, batch)


def _traced(model: Any, batch: Any) -> Sequence[Exportable]:
    from compress.exporting import whole

    return [replace(whole(model, batch), traced=True)]


@hookimpl
def compress_architectures() -> list[type[Architecture]]:
    """The families of this plugin."""
    return [Recurrent, Static]
