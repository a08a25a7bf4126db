"""Special tokens that a model folder leaves to its tokenizer's class in transformers."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from compress.artifact import JsonObject

KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def default_tokens(folder: Path, config: JsonObject, tokenizer: Tokenizer) -> dict[str, str]:
    """The special tokens of the class of a folder's tokenizer, as entries for its config
    (``{"mask_token": "[MASK]", ...}``): those that ``tokenizer`` knows.

    ``config`` holds the entries of ``tokenizer_config.json``. BERT's and GPT-2's on the hub name no
    special token. The result is empty if the config names one, or if transformers cannot read the
    folder. Its ``tokenizer.json`` is then used without them, and a task that needs one raises an
    error."""
    if any(config.get(f"{kind}_token") for kind in KINDS):
        return {}
    from transformers import AutoTokenizer

    try:
        read = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception:  # of any kind: a class may be unknown, or need a package
        return {}
    known = tokenizer.get_vocab()
    return {
        name: str(token) for name, token in read.special_tokens_map.items() if str(token) in known
    }
