"""Special tokens that a tokenizer's class in transformers has by default, and its folder therefore
does not name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def default_tokens(folder: Path, config: Mapping[str, Any], tokenizer: Tokenizer) -> dict[str, str]:
    """``{"mask_token": "[MASK]", ...}`` for a folder whose ``tokenizer_config.json``, ``config``,
    names no special token, as BERT's and GPT-2's on the hub: those of its class that ``tokenizer``
    has. Empty if one is named, or where transformers cannot read the folder: its
    ``tokenizer.json`` is then used as it stands, and a task that needs a token says so."""
    if any(config.get(f"{kind}_token") for kind in KINDS):
        return {}
    from transformers import AutoTokenizer

    try:
        read = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception:  # of any kind: a class may need a package, or be none that is known
        return {}
    known = tokenizer.get_vocab()
    return {
        name: str(token) for name, token in read.special_tokens_map.items() if str(token) in known
    }
