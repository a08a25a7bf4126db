"""What a model's config says of its head: which class opens it, which tasks it may serve, and what
its outputs mean. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from compress.architecture import ModelConfig
from compress.errors import CompressError

DEFAULT_OUTPUTS = 2
"""The outputs that transformers gives a head whose config states no number."""

AUTO_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "audio-classification": "AutoModelForAudioClassification",
        "automatic-speech-recognition": "AutoModelForSpeechSeq2Seq",
        "depth-estimation": "AutoModelForDepthEstimation",
        "feature-extraction": "AutoModel",
        "fill-mask": "AutoModelForMaskedLM",
        "image-classification": "AutoModelForImageClassification",
        "image-segmentation": "AutoModelForImageSegmentation",
        "image-text-to-text": "AutoModelForImageTextToText",
        "image-to-image": "AutoModelForImageToImage",
        "image-to-text": "AutoModelForImageTextToText",
        "mask-generation": "AutoModel",
        "multiple-choice": "AutoModelForMultipleChoice",
        "object-detection": "AutoModelForObjectDetection",
        "question-answering": "AutoModelForQuestionAnswering",
        "sentence-similarity": "AutoModel",
        "summarization": "AutoModelForSeq2SeqLM",
        "text-classification": "AutoModelForSequenceClassification",
        "text-generation": "AutoModelForCausalLM",
        "text2text-generation": "AutoModelForSeq2SeqLM",
        "token-classification": "AutoModelForTokenClassification",
        "translation": "AutoModelForSeq2SeqLM",
        "visual-question-answering": "AutoModelForVisualQuestionAnswering",
        "zero-shot-classification": "AutoModelForSequenceClassification",
        "zero-shot-image-classification": "AutoModelForZeroShotImageClassification",
        "zero-shot-object-detection": "AutoModelForZeroShotObjectDetection",
    }
)
"""The hub's name of a kind of task to the class in transformers that opens its models. It is the
table of optimum's ``TasksManager``, whose import loads torch; a test compares them."""

_OTHER_ENDINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "AutoModelForCausalLM": ("LMHeadModel",),
        "AutoModelForQuestionAnswering": ("ForQuestionAnsweringSimple",),
        "AutoModelForSeq2SeqLM": ("ForConditionalGeneration", "MTModel"),
        "AutoModelForSpeechSeq2Seq": ("ForConditionalGeneration",),
    }
)
"""How transformers also calls the classes that an auto class opens, besides by its own ending."""


def auto_class_of(kind: str) -> str:
    """The class in transformers that opens models of a kind of task, such as
    ``AutoModelForMaskedLM``. Raises CompressError for a kind that has none."""
    if kind not in AUTO_CLASSES:
        raise CompressError(
            f"transformers has no class for tasks of the kind {kind!r}: define model_class"
        )
    return AUTO_CLASSES[kind]


def has_head(config: ModelConfig, model_class: str) -> bool:
    """Whether a model has a head that ``model_class`` opens, by the classes that its config names
    (``BertForMaskedLM``). A bare encoder has none."""
    endings = _endings(model_class)
    return any(name.endswith(endings) for name in config.get("architectures") or [])


def _endings(model_class: str) -> tuple[str, ...]:
    """How the classes of models with such a head end: a class of a plugin's own is meant itself."""
    name = model_class.rpartition(":")[2]
    ending = name.removeprefix("AutoModel") or name
    return (ending, *_OTHER_ENDINGS.get(name, ()))


def states_labels(model_class: str) -> bool:
    """Whether the config of such a model names an output for each label, as classifiers' do."""
    return model_class.endswith("Classification")


def labels_of_outputs(config: ModelConfig) -> tuple[str, ...]:
    """Label names in order of a head that has an output for each label: those of
    ``id2label`` in the model's ``config.json``.

    A config without it, as transformers writes one for two outputs without names, has
    numbered names (see ``is_numbered``). Configs of other heads have none or these two as
    well, and mean nothing by it."""
    names = config.get("id2label")
    if not names:
        return _numbered(config.get("num_labels", DEFAULT_OUTPUTS))
    return tuple(str(names[key]) for key in sorted(names, key=int))


def is_numbered(labels: Sequence[str]) -> bool:
    """Whether label names are only the outputs' numbers: ``LABEL_0``, ``LABEL_1`` and so
    on, as transformers names the labels of a head without names."""
    return bool(labels) and tuple(labels) == _numbered(len(labels))


def meant_labels(own: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """The meaning of a head's outputs: its ``own`` names. Where these are only numbers, as
    many as the data have ``labels``, it is the data's labels in their order."""
    numbers_alone = is_numbered(own) and len(own) == len(labels) and set(own) != set(labels)
    return tuple(labels if numbers_alone else own)


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"LABEL_{i}" for i in range(count))
