"""The configs and the models of ``bilstm`` and ``bigru``."""

from __future__ import annotations

from typing import ClassVar

import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import (
    BaseModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

_SPREAD = 0.1
"""Standard deviation of embeddings that are drawn."""
_NONE = -1e4
"""Below every state, which is between -1 and 1; int8 and float16 can hold it."""


class BilstmConfig(PreTrainedConfig):
    """``hidden_size`` is that of both directions together, and even. ``dropout`` is that of the
    embeddings, between layers, and before the head."""

    model_type = "bilstm"
    vocab_size: int = 30522
    embedding_size: int = 128
    hidden_size: int = 256
    num_hidden_layers: int = 1
    dropout: float = 0.1


class BigruConfig(BilstmConfig):
    """The same, for GRUs."""

    model_type = "bigru"


class _Drawn(PreTrainedModel):
    """How first weights are drawn."""

    base_model_prefix = "encoder"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Glorot's matrices for what layers read, orthogonal ones for their states, and open forget
        gates. Saxe et al. 2014 (arXiv:1312.6120); Jozefowicz et al. 2015, section 2.2 (PMLR 37)."""
        if isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=_SPREAD)
        elif isinstance(module, nn.LSTM | nn.GRU):
            # transformers marks what it read from a file, and a part of a tensor has no such mark.
            if not getattr(module.weight_hh_l0, "_is_hf_initialized", False):
                _draw_cells(module)
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]


def _draw_cells(cells: nn.LSTM | nn.GRU) -> None:
    read, states, bias, other = (
        cells.get_parameter(f"{name}_l0")
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    init.xavier_uniform_(read)
    for gate in states.split(cells.hidden_size):
        init.orthogonal_(gate)
    init.zeros_(bias)
    init.zeros_(other)
    if isinstance(cells, nn.LSTM):  # the order of its gates: input, forget, cell, output
        init.ones_(bias[cells.hidden_size : 2 * cells.hidden_size])


class RecurrentModel(_Drawn):
    """The recurrent layers: token ids [batch, length] to states [batch, length, hidden_size]."""

    _input_embed_layer = "embeddings"
    cell: ClassVar[type[nn.LSTM] | type[nn.GRU]]

    def __init__(self, config: BilstmConfig) -> None:
        super().__init__(config)
        if config.hidden_size % 2:
            raise ValueError(
                f"hidden_size: got {config.hidden_size}: expected an even number, half of it for "
                "each direction"
            )
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size)
        self.dropout = nn.Dropout(config.dropout)
        # A module for each direction: torch's own bidirectional one begins in the padding, unless
        # its input is packed, which is slower and cannot be exported everywhere.
        half, more = config.hidden_size // 2, config.num_hidden_layers - 1
        widths = [config.embedding_size, *[config.hidden_size] * more]
        self.forwards = nn.ModuleList(self.cell(width, half, batch_first=True) for width in widths)
        self.backwards = nn.ModuleList(self.cell(width, half, batch_first=True) for width in widths)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BaseModelOutput:
        """States of each token; 0 at padding, which stands on the right. Those of a text do not
        depend on the length of its batch.

        With ``output_hidden_states`` also the embeddings [batch, length, embedding_size] and the
        states of each layer."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        mirror, counted = _mirror(mask), mask.unsqueeze(-1)
        states = self.embeddings(input_ids)
        all_states = [states]
        for forwards, backwards in zip(self.forwards, self.backwards, strict=True):
            states = self.dropout(states)
            there, _ = forwards(states)
            mirrored, _ = backwards(_taken(states, mirror))
            states = torch.cat([there, _taken(mirrored, mirror)], dim=-1) * counted
            all_states.append(states)
        kept = tuple(all_states) if output_hidden_states else None
        return BaseModelOutput(last_hidden_state=states, hidden_states=kept)


def _mirror(mask: Tensor) -> Tensor:
    """Where each text is read backwards, int64 [batch, length, 1]: at place t stands the number of
    its token last - t, and after its end that of its first token again."""
    last = mask.sum(dim=1, keepdim=True) - 1
    steps = torch.arange(mask.shape[1], device=mask.device)
    return (last - steps).clamp(min=0).unsqueeze(-1)


def _taken(states: Tensor, places: Tensor) -> Tensor:
    """The states [batch, length, width] at the places [batch, length, 1] of their texts."""
    return states.gather(1, places.expand(-1, -1, states.shape[2]))


class BilstmModel(RecurrentModel):
    """Long short-term memories. Hochreiter and Schmidhuber 1997."""

    config_class = BilstmConfig
    cell = nn.LSTM


class BigruModel(RecurrentModel):
    """Gated recurrent units. Cho et al. 2014, section 2.3 (arXiv:1406.1078)."""

    config_class = BigruConfig
    cell = nn.GRU


class _ForTokens(_Drawn):
    """A label for each token."""

    body: ClassVar[type[RecurrentModel]]

    def __init__(self, config: BilstmConfig) -> None:
        super().__init__(config)
        self.encoder = self.body(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels or 2)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> TokenClassifierOutput:
        """Logits [batch, length, labels]; with ``labels`` [batch, length] the loss too."""
        read = self.encoder(input_ids, attention_mask, output_hidden_states)
        logits = self.classifier(self.dropout(read.last_hidden_state))
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, config=self.config)
        return TokenClassifierOutput(loss=loss, logits=logits, hidden_states=read.hidden_states)


class _ForTexts(_ForTokens):
    """Labels, or a number, for a text."""

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> SequenceClassifierOutput:
        """Logits [batch, labels], of the largest value of each state over the text; with
        ``labels`` the loss too. Conneau et al. 2017, section 3.2 (arXiv:1705.02364)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        read = self.encoder(input_ids, mask, output_hidden_states)
        largest = read.last_hidden_state.masked_fill(mask.unsqueeze(-1) == 0, _NONE).amax(dim=1)
        logits = self.classifier(self.dropout(largest))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=read.hidden_states)


class BilstmForTokenClassification(_ForTokens):
    """A label for each token, by LSTMs."""

    config_class = BilstmConfig
    body = BilstmModel


class BilstmForSequenceClassification(_ForTexts):
    """Labels, or a number, for a text, by LSTMs."""

    config_class = BilstmConfig
    body = BilstmModel


class BigruForTokenClassification(_ForTokens):
    """A label for each token, by GRUs."""

    config_class = BigruConfig
    body = BigruModel


class BigruForSequenceClassification(_ForTexts):
    """Labels, or a number, for a text, by GRUs."""

    config_class = BigruConfig
    body = BigruModel


def register() -> None:
    """Make transformers know both families."""
    t = transformers
    for config, body, tokens, texts in (
        (
            BilstmConfig,
            BilstmModel,
            BilstmForTokenClassification,
            BilstmForSequenceClassification,
        ),
        (BigruConfig, BigruModel, BigruForTokenClassification, BigruForSequenceClassification),
    ):
        t.AutoConfig.register(config.model_type, config)
        t.AutoModel.register(config, body)
        t.AutoModelForTokenClassification.register(config, tokens)
        t.AutoModelForSequenceClassification.register(config, texts)
