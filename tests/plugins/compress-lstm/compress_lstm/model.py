"""The config and the models of the family ``lstm``."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, SequenceClassifierOutput


class LstmConfig(PreTrainedConfig):
    """``hidden_size`` is that of both directions together; ``cell`` is ``lstm`` or ``gru``."""

    model_type = "lstm"
    cell: str = "lstm"
    vocab_size: int = 30000
    embedding_dim: int = 128
    hidden_size: int = 256
    num_hidden_layers: int = 1
    dropout: float = 0.1


class LstmModel(PreTrainedModel):
    """The recurrent layers: token ids [batch, length] to states [batch, length, hidden_size]."""

    config_class = LstmConfig
    base_model_prefix = "lstm"
    _input_embed_layer = "embeddings"

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        cells = {"lstm": nn.LSTM, "gru": nn.GRU}
        if config.cell not in cells or config.hidden_size % 2:
            raise ValueError("cell is lstm or gru, and hidden_size is even")
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_dim)
        self.dropout = nn.Dropout(config.dropout)
        # One module for each direction: torch's own bidirectional one begins in the padding.
        cell, half = cells[config.cell], config.hidden_size // 2
        widths = [config.embedding_dim, *[config.hidden_size] * (config.num_hidden_layers - 1)]
        self.forwards = nn.ModuleList(cell(width, half, batch_first=True) for width in widths)
        self.backwards = nn.ModuleList(cell(width, half, batch_first=True) for width in widths)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> BaseModelOutput:
        """States of each token; 0 at padding, which stands on the right. Those of a text do not
        depend on the length of its batch."""
        # The mirrored text has token last - t at place t; after its end, its first token again.
        last = attention_mask.sum(dim=1, keepdim=True) - 1
        steps = torch.arange(input_ids.shape[1], device=input_ids.device)
        mirror = (last - steps).clamp(min=0).unsqueeze(-1)  # [batch, length, 1]
        states = self.embeddings(input_ids)
        for forwards, backwards in zip(self.forwards, self.backwards, strict=True):
            states = self.dropout(states)
            there, _ = forwards(states)
            mirrored, _ = backwards(states.gather(1, mirror.expand(-1, -1, states.shape[2])))
            back = mirrored.gather(1, mirror.expand(-1, -1, mirrored.shape[2]))
            states = torch.cat([there, back], dim=-1) * attention_mask.unsqueeze(-1)
        return BaseModelOutput(last_hidden_state=states)


class LstmForTokenClassification(PreTrainedModel):
    """A label for each token."""

    config_class = LstmConfig
    base_model_prefix = "lstm"

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        self.lstm = LstmModel(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels or 2)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> SequenceClassifierOutput:
        """Logits [batch, length, labels], or [batch, labels] of whole texts; with ``labels`` the
        loss that transformers has for such a head."""
        states = self.lstm(input_ids, attention_mask).last_hidden_state
        logits = self.classifier(self.read(states, attention_mask))
        # transformers' losses of the two heads call the logits by different names.
        named = {"logits": logits, "pooled_logits": logits, "config": self.config}
        loss = None if labels is None else self.loss_function(labels=labels, **named)
        kept = (states,) if output_hidden_states else None
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=kept)

    def read(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """What the head reads of the states [batch, length, width]."""
        return states


class LstmForSequenceClassification(LstmForTokenClassification):
    """A label for a text."""

    def read(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """The largest value of each state over the text, [batch, width]."""
        return states.masked_fill(attention_mask.unsqueeze(-1) == 0, -1e4).amax(dim=1)
