"""Speech recognition as a plugin: sounds in, letters out, without a tokenizer's texts as input."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from installing import install
from tiny import make_artifact, read, taken_in
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from compress.artifact import Artifact
from compress.errors import UsageError
from compress.processor import TextProcessor
from compress.registry.plugins import load_plugins
from compress.serving import open_predictor
from compress.sound import SpeechProcessor, WaveformProcessor
from compress.task import RowError, Task

Row = dict[str, Any]
LETTERS = ["<pad>", "<unk>", "|", "a", "b", "c"]
RATE = 8000


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Task[Any]]:
    """The task."""
    folder = tmp_path_factory.mktemp("speech") / "site"
    install(folder, "compress-speech")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        cls = load_plugins().tasks["speech-recognition"].cls
        yield cls(cls.Options())


def letters() -> TextProcessor:
    """A tokenizer of letters, in which a bar stands between words."""
    made = Tokenizer(
        models.WordLevel({letter: i for i, letter in enumerate(LETTERS)}, unk_token="<unk>")
    )
    made.normalizer = normalizers.Replace(" ", "|")
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    config = {"pad_token": "<pad>", "unk_token": "<unk>"}
    return TextProcessor(made, {**config, "tokenizer_class": "TokenizersBackend"}, "wav2vec2")


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny wav2vec2, as transformers writes it."""
    folder = tmp_path_factory.mktemp("outside") / "model"
    torch.manual_seed(1)
    config = Wav2Vec2Config(
        vocab_size=len(LETTERS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8, 8),
        conv_kernel=(10, 3),
        conv_stride=(5, 2),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        mask_time_prob=0.0,
        layerdrop=0.0,
        pad_token_id=0,
        ctc_loss_reduction="mean",
    )
    Wav2Vec2ForCTC(config).save_pretrained(folder)
    letters().save(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=RATE, return_attention_mask=True).save_pretrained(folder)
    return folder


def said(count: int, seed: int) -> list[Row]:
    """Noises, and texts of two words."""
    draws = np.random.default_rng(seed)
    return [
        {"audio": draws.normal(size=draws.integers(400, 700)).tolist(), "text": "ab c"}
        for _ in range(count)
    ]


SPLITS = {"train": said(8, 1), "validation": said(3, 2), "test": said(3, 3)}


@pytest.fixture(scope="module")
def trained(task: Task[Any], outside: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The model from outside, taken in and fine-tuned."""
    place = tmp_path_factory.mktemp("chain")
    given = taken_in(outside, place / "taken", load_plugins())
    assert given.traits.task == "speech-recognition"
    return make_artifact(
        place / "trained",
        "finetune",
        task,
        SPLITS,
        input=given,
        epochs=2,
        batch_size=4,
        learning_rate=1e-2,
        precision="fp32",
    )


def test_waveforms_are_prepared_as_transformers_does(outside: Path) -> None:
    waves = [np.random.default_rng(i).normal(3, 2, size=50 + i).tolist() for i in range(3)]
    theirs = Wav2Vec2FeatureExtractor.from_pretrained(outside)(waves, sampling_rate=RATE)
    own = WaveformProcessor.load(outside).encode(waves)
    for one, other in zip(own, theirs["input_values"], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_processor_of_sounds_and_texts_is_saved_whole(outside: Path, tmp_path: Path) -> None:
    one = SpeechProcessor.load(outside)
    one.save(tmp_path)
    again = SpeechProcessor.load(tmp_path)
    assert again.identity() == one.identity() and again.sound.sampling_rate == RATE
    again.sound.config["do_normalize"] = False
    assert again.identity() != one.identity()
    (tmp_path / "preprocessor_config.json").write_text('{"feature_extractor_type": "Other"}')
    with pytest.raises(UsageError, match="it is of a Other, and a Wav2Vec2FeatureExtractor"):
        SpeechProcessor.load(tmp_path)


def test_a_model_without_a_tokenizer_is_taken_in(
    task: Task[Any], outside: Path, tmp_path: Path
) -> None:
    for file in outside.iterdir():
        if not file.name.startswith("tokenizer"):
            (tmp_path / "bare").mkdir(exist_ok=True)
            (tmp_path / "bare" / file.name).symlink_to(file)
    taken = taken_in(tmp_path / "bare", tmp_path / "taken", load_plugins())
    assert WaveformProcessor.load(taken.folder).sampling_rate == RATE


def test_the_score_counts_changed_words(task: Task[Any]) -> None:
    rows = [{"text": "a b c d"}, {"text": "a b"}]
    answers = [{"text": "a x c"}, {"text": "a b"}]
    assert task.score(answers, rows, [], None).metrics["wer"] == pytest.approx(2 / 6)


def test_what_is_no_sound_is_refused(task: Task[Any], outside: Path, tmp_path: Path) -> None:
    with pytest.raises(RowError, match="neither a file nor a list of samples"):
        read([{"audio": "missing.wav", "text": "a"}], task, ())
    (tmp_path / "odd.wav").write_bytes(b"text")
    with pytest.raises(RowError, match=r"odd\.wav is no wav file"):
        read([{"audio": str(tmp_path / "odd.wav"), "text": "a"}], task, ())


def test_a_wav_file_is_answered(task: Task[Any], trained: Artifact, tmp_path: Path) -> None:
    file, samples = tmp_path / "said.wav", (np.array(said(1, 4)[0]["audio"]) * 9000).astype("<i2")
    for rate in (RATE, 2 * RATE):
        with wave.open(str(file), "wb") as written:
            written.setnchannels(1)
            written.setsampwidth(2)
            written.setframerate(rate)
            written.writeframes(samples.tobytes())
        predictor = open_predictor(trained.folder, load_plugins())
        if rate == RATE:
            listed = {"audio": (samples / (1 << 15)).tolist()}
            assert predictor(str(file)) == predictor([listed])
        else:
            with pytest.raises(UsageError, match="16000 samples a second, not 8000"):
                predictor(str(file))


@pytest.mark.slow
def test_the_exported_file_spells_as_the_model_does(
    task: Task[Any], trained: Artifact, tmp_path: Path
) -> None:
    exported = make_artifact(tmp_path / "onnx", "export.onnx", task, SPLITS, input=trained)
    asked = [{"audio": row["audio"]} for row in said(3, 8)]
    one, other = (
        open_predictor(each.folder, load_plugins())(asked) for each in (trained, exported)
    )
    assert one == other
