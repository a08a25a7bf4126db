"""Recurrent students: an LSTM or a GRU over the tokens of a text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from compress import hookimpl
from compress.architecture import Architecture
from compress.exportable import Exportable

KEYS = ("cell", "dropout", "embedding_dim", "hidden_size", "num_hidden_layers", "vocab_size")


class Recurrent(Architecture):
    """The family ``lstm``, for ``student: {type: lstm, hidden_size: 128}``."""

    name = "lstm"
    summary = "An LSTM or a GRU that reads a text in both directions."
    model_types = ("lstm",)
    config_keys = KEYS

    @classmethod
    def register(cls) -> None:
        """The config, and a class of models for each kind of head."""
        import transformers as t

        from compress_lstm import model as m

        t.AutoConfig.register("lstm", m.LstmConfig)
        t.AutoModel.register(m.LstmConfig, m.LstmModel)
        t.AutoModelForSequenceClassification.register(m.LstmConfig, m.LstmForSequenceClassification)
        t.AutoModelForTokenClassification.register(m.LstmConfig, m.LstmForTokenClassification)

    @classmethod
    def exportables(cls, model: Any, task: Any, batch: Any) -> list[Exportable]:
        """The whole model, traced: ``torch.export`` binds an LSTM to one length."""
        from compress.exporting import whole

        return [replace(whole(model, batch), traced=True)]


@hookimpl
def compress_architectures() -> list[type[Architecture]]:
    """The family of this plugin."""
    return [Recurrent]
