"""A BERT with a head for levels: one score of the text, and a threshold below each level but the
first (Cao et al. 2020, Rank consistent ordinal regression, section 3.3, arXiv:1901.07884)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, BertPreTrainedModel, initialization
from transformers.modeling_outputs import SequenceClassifierOutput


class BertForOrdinal(BertPreTrainedModel):
    """The logits [batch, levels - 1] say whether a text is at least at a level."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.score = nn.Linear(config.hidden_size, 1, bias=False)
        levels = config.num_labels or 2
        self.thresholds = nn.Parameter(torch.zeros(levels - 1))
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """transformers draws the weights of layers that it knows, and a parameter is none."""
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, BertForOrdinal):
            initialization.zeros_(module.thresholds)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> SequenceClassifierOutput:
        """With ``labels`` [batch] also the loss: the mean cross-entropy of each yes or no."""
        read = self.bert(
            input_ids,
            attention_mask,
            token_type_ids,
            output_hidden_states=output_hidden_states,
        )
        logits = self.score(read.pooler_output) + self.thresholds
        loss = None
        if labels is not None:
            reached = labels[:, None] > torch.arange(logits.shape[1], device=logits.device)
            loss = nn.functional.binary_cross_entropy_with_logits(logits, reached.to(logits.dtype))
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=read.hidden_states)
