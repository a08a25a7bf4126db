"""Text to ids with the ``tokenizers`` library alone: an engine's process need not import
torch or transformers.

``AutoTokenizer`` reads the same ``tokenizer.json`` of an artifact; tests hold both to equal
ids.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from tokenizers import Encoding, Tokenizer
from tokenizers.decoders import DecodeStream

from compress.errors import CompressError, UsageError, name_and_first_line
from compress.jsonfiles import read_object, refuse_large
from compress.readout import ReadAt, read_at

_KINDS = ("pad", "mask", "cls", "sep", "unk", "bos", "eos")
_CHAT = "chat_template.jinja"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", _CHAT)

# Families whose models tell the two texts of a pair apart by token_type_ids. Others refuse
# them (distilbert), have one type only (roberta) or read them as something else (gpt2).
_TOKEN_TYPE_FAMILIES = frozenset(
    {
        "albert",
        "bert",
        "big_bird",
        "convbert",
        "electra",
        "ernie",
        "fnet",
        "funnel",
        "layoutlm",
        "megatron-bert",
        "mobilebert",
        "nomic_bert",
        "rembert",
        "roformer",
        "squeezebert",
    }
)


class Processor(Protocol):
    """What turns rows into a model's inputs, as it is saved in a model folder: a tokenizer, what
    prepares sounds, or both together. ``files`` are the names of its own files."""

    files: ClassVar[tuple[str, ...]]

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The processor of a model folder. Raises UsageError if it is missing or cannot be read."""
        ...

    def save(self, folder: Path) -> None:
        """Write its files into a folder."""
        ...

    def identity(self) -> str:
        """A digest, equal for processors that cut an input into equal steps (tokens, frames), so
        that the outputs of their models can be compared step by step."""
        ...


@runtime_checkable
class Vocabulary(Processor, Protocol):
    """A processor of texts, with what a config follows from and must fit."""

    def vocabulary(self) -> Mapping[str, int]:
        """The id of each token."""
        ...

    def token_id(self, kind: str) -> int | None:
        """The id of a special token, None if there is none of the ``kind``."""
        ...

    def ids(self, text: str) -> list[int]:
        """The ids of a text, with special tokens."""
        ...


class TextProcessor:
    """A tokenizer as saved in a model folder, without its built-in padding and truncation.

    ``model_type`` and ``model_padding`` are the family and the padding id in the model's
    config. ``read_at`` says where a head for a whole text reads it."""

    files: ClassVar[tuple[str, ...]] = TOKENIZER_FILES

    def __init__(
        self,
        tokenizer: Tokenizer,
        config: dict[str, Any],
        model_type: str | None = None,
        model_padding: int | None = None,
        read_at: ReadAt | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.config = config
        self.model_type = model_type
        self.model_padding = model_padding
        self.read_at = read_at or ReadAt()
        tokenizer.no_padding()
        tokenizer.no_truncation()

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The processor of a model folder. Raises UsageError if the folder has no
        ``tokenizer.json``, or if it or a config cannot be read."""
        path = Path(folder)
        file = path / "tokenizer.json"
        if not file.is_file():
            raise UsageError(f"{path} has no tokenizer.json")
        tokenizer = read_tokenizer(file)
        config = _config(path / "tokenizer_config.json")
        _refuse_wrong_words(path / "tokenizer_config.json", config)
        if (path / _CHAT).is_file():
            config["chat_template"] = _text(path / _CHAT)
        model = _config(path / "config.json")
        family, padding = model.get("model_type"), model.get("pad_token_id")
        return cls(
            tokenizer,
            config,
            family if isinstance(family, str) else None,
            padding if isinstance(padding, int) else None,
            read_at(model),
        )

    def save(self, folder: str | Path, max_length: int | None = None) -> None:
        """Write ``tokenizer.json`` and ``tokenizer_config.json`` for ``AutoTokenizer``.

        With ``max_length``, ``AutoTokenizer`` cuts at that many tokens, else as before."""
        path = Path(folder)
        # Without indentation: a third of the bytes, and of a small int8 model a visible share.
        self.tokenizer.save(str(path / "tokenizer.json"), pretty=False)
        config = dict(self.config)
        if max_length is not None:
            config["model_max_length"] = max_length
        if self.read_at.last_position:  # AutoTokenizer pads the same way
            config["padding_side"] = "left"
        text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False)
        (path / "tokenizer_config.json").write_text(text + "\n", encoding="utf-8")

    def identity(self) -> str:
        """A digest of the tokenizer, as the installed library writes it, and of the side that is
        cut."""
        whole = [self.tokenizer.to_str(), self.cut_side]
        return hashlib.sha256(json.dumps(whole).encode("utf-8", "surrogatepass")).hexdigest()

    def encode(
        self,
        texts: Sequence[str] | Sequence[tuple[str, str]] | Sequence[Sequence[str]],
        *,
        max_length: int,
        words: bool = False,
        stride: int | None = None,
    ) -> list[Encoding]:
        """Encodings with special tokens, cut to ``max_length`` ids; of a pair the longer
        side is cut first.

        With ``stride`` nothing is lost: what is cut off is in the further windows of an encoding
        (``overflowing``), of which neighbours share that many tokens. Of a pair, the second text is
        cut, and each window begins with the whole first. Raises UsageError if that leaves no room.

        With ``words`` each item is a list of words, and the ``word_ids`` of an encoding
        give the word of each id."""
        if words and self.spaces_are_bytes:
            texts = [_with_spaces(item) for item in texts]
        if stride is not None:
            return self._windows(texts, max_length, stride)
        self.tokenizer.enable_truncation(
            max_length, strategy="longest_first", direction=self.cut_side
        )
        try:
            return self.tokenizer.encode_batch(list(texts), is_pretokenized=words)
        finally:
            self.tokenizer.no_truncation()

    def _windows(self, texts: Sequence[Any], max_length: int, stride: int) -> list[Encoding]:
        """The encoding of each text or pair, whose further windows are its ``overflowing``."""
        strategy = "only_first" if all(isinstance(t, str) for t in texts) else "only_second"
        complaint = f"max_length {max_length} and stride {stride} leave no room for windows"
        with refusing_tokenizer(complaint):
            self.tokenizer.enable_truncation(max_length, stride=stride, strategy=strategy)
        try:
            with refusing_tokenizer(complaint):
                return self.tokenizer.encode_batch(list(texts))
        finally:
            self.tokenizer.no_truncation()

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some ids, without special tokens."""
        text: str = self.tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def told(self, on_text: Callable[[str], None]) -> Callable[[int, int], None]:
        """What a session calls with each token of one answer (``compress.generation.OnToken``):
        ``on_text`` gets the text that it adds. A character of several tokens comes with its
        last."""
        stream = DecodeStream(skip_special_tokens=True)

        def on_token(row: int, token: int) -> None:
            piece = stream.step(self.tokenizer, token)
            if piece:
                on_text(piece)

        return on_token

    def ids(self, text: str) -> list[int]:
        """The ids of a text, with special tokens."""
        ids: list[int] = self.tokenizer.encode(text).ids
        return ids

    def vocabulary(self) -> Mapping[str, int]:
        """The id of each token."""
        vocabulary: dict[str, int] = self.tokenizer.get_vocab()
        return vocabulary

    def token(self, kind: str) -> str | None:
        """Text of a special token: ``kind`` is ``pad``, ``mask``, ``cls``, ``sep``,
        ``unk``, ``bos`` or ``eos``."""
        token = self.config.get(f"{kind}_token")
        return token.get("content") if isinstance(token, dict) else token

    def token_id(self, kind: str) -> int | None:
        """Id of a special token, None if the tokenizer has none of the ``kind`` (see
        ``token``)."""
        text = self.token(kind)
        return None if text is None else self.tokenizer.token_to_id(text)

    @property
    def cut_side(self) -> str:
        """The side of a text that is cut off: ``left`` or ``right``."""
        return str(self.config.get("truncation_side", "right"))

    @cached_property
    def spaces_are_bytes(self) -> bool:
        """Whether a word's ids depend on the space before it, and the tokenizer adds none
        itself.

        That is so in byte-level BPE without ``add_prefix_space``. Words without a space
        before them would become the pieces of word endings, which is not what the model saw
        in running text."""
        if self.tokenizer.pre_tokenizer is None:
            return False
        state = json.loads(self.tokenizer.pre_tokenizer.__getstate__())
        parts = state.get("pretokenizers", [state])
        levels = [part for part in parts if part["type"] == "ByteLevel"]
        return bool(levels) and not any(part["add_prefix_space"] for part in levels)

    @property
    def pad_id(self) -> int:
        """The id that fills a batch: ``named_pad_id``, or 0 if it is None.

        Any id would do, because padding is masked out. The exception are heads that find
        the last token by this id: ``compress.models`` refuses them if no id is named."""
        return self.named_pad_id or 0

    @property
    def named_pad_id(self) -> int | None:
        """Id of the tokenizer's padding token, else that in the model's config, else that
        of the end of a text (the usual practice for decoders); None if none is named."""
        pads = [self.token_id("pad"), self.model_padding, self.token_id("eos")]
        return next((pad for pad in pads if pad is not None and pad >= 0), None)

    @property
    def uses_token_types(self) -> bool:
        """Whether the model has the input ``token_type_ids``, by the input names that its
        tokenizer declares, else by its family."""
        names = self.config.get("model_input_names")
        return "token_type_ids" in names if names else self.model_type in _TOKEN_TYPE_FAMILIES


def _with_spaces(words: Sequence[str]) -> list[str]:
    return [" " + word for word in words]


def read_tokenizer(file: Path) -> Tokenizer:
    """The tokenizer in a ``tokenizer.json``. Raises UsageError if it cannot be read."""
    refuse_large(file)
    with refusing_tokenizer(f"{file} cannot be read"):
        return Tokenizer.from_file(str(file))


@contextmanager
def refusing_tokenizer(complaint: str) -> Iterator[None]:
    """Raise UsageError, ``complaint`` and the reason, for any error of a tokenizer in the block.

    tokenizers raises no class of its own, and a panic of its Rust code is no Exception."""
    try:
        yield
    except (CompressError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise UsageError(f"{complaint}: {name_and_first_line(error)}") from error


def _text(file: Path) -> str:
    """The text of a file that may be a stranger's. Raises UsageError if it cannot be read."""
    refuse_large(file)
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {name_and_first_line(error)}") from error


def _config(path: Path) -> dict[str, Any]:
    return read_object(path, infinity=True) if path.is_file() else {}


def _refuse_wrong_words(file: Path, config: dict[str, Any]) -> None:
    """Raise UsageError for entries of ``tokenizer_config.json`` that are read here and are of
    another type than transformers writes."""
    for key, value in config.items():
        if key.removesuffix("_token") in _KINDS and key.endswith("_token"):
            text = value.get("content") if isinstance(value, dict) else value
            right, wanted = text is None or isinstance(text, str), "a text"
        elif key == "truncation_side":
            right, wanted = value in ("left", "right"), "left or right"
        elif key == "model_input_names":
            right = value is None or isinstance(value, list)
            wanted = "a list of names"
        else:
            continue
        if not right:
            raise UsageError(f"{file}: {key} is {value!r:.60}, and not {wanted}")
