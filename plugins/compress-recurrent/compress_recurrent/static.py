"""The config and the models of ``static``."""

from __future__ import annotations

import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput


class StaticConfig(PreTrainedConfig):
    """``embedding_size`` is the width of a token's vector. With ``token_weights`` each token has a
    weight of its own too. ``intermediate_size`` is the width of the head's inner layer; 0: the head
    is linear. ``dropout`` is that of what the head's layers read."""

    model_type = "static"
    vocab_size: int = 30522
    embedding_size: int = 256
    token_weights: bool = True
    intermediate_size: int = 0
    dropout: float = 0.1


class StaticModel(PreTrainedModel):
    """The vectors of the tokens: ids [batch, length] to their mean [batch, embedding_size]."""

    config_class = StaticConfig
    base_model_prefix = "static"
    _input_embed_layer = "embeddings"

    def __init__(self, config: StaticConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size)
        self.weights = nn.Embedding(config.vocab_size, 1) if config.token_weights else None
        self.post_init()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if module is self.weights:
            init.ones_(self.weights.weight)
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None
    ) -> BaseModelOutputWithPooling:
        """The mean of the vectors of a text's tokens, each times its weight; padding does not
        count. Tulkens and van Dongen 2024, Model2Vec (doi:10.5281/zenodo.17270888)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        vectors, counted = self.embeddings(input_ids), mask.unsqueeze(-1).to(self.dtype)
        weights = counted if self.weights is None else counted * self.weights(input_ids)
        mean = (vectors * weights).sum(dim=1) / counted.sum(dim=1).clamp(min=1)
        return BaseModelOutputWithPooling(last_hidden_state=vectors, pooler_output=mean)


class StaticForSequenceClassification(PreTrainedModel):
    """Labels, or a number, for a text."""

    config_class = StaticConfig
    base_model_prefix = "static"

    def __init__(self, config: StaticConfig) -> None:
        super().__init__(config)
        self.static = StaticModel(config)
        self.classifier = _head(config)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits [batch, labels]; with ``labels`` the loss too."""
        logits = self.classifier(self.static(input_ids, attention_mask).pooler_output)
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits)


def _head(config: StaticConfig) -> nn.Sequential:
    width = config.embedding_size
    layers: list[nn.Module] = [nn.Dropout(config.dropout)]
    if config.intermediate_size:
        inner = nn.Linear(width, config.intermediate_size)
        layers += [inner, nn.ReLU(), nn.Dropout(config.dropout)]
        width = config.intermediate_size
    return nn.Sequential(*layers, nn.Linear(width, config.num_labels or 1))


def register() -> None:
    """Make transformers know the family."""
    t = transformers
    t.AutoConfig.register("static", StaticConfig)
    t.AutoModel.register(StaticConfig, StaticModel)
    t.AutoModelForSequenceClassification.register(StaticConfig, StaticForSequenceClassification)
