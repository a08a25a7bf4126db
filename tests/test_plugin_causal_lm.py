"""A causal language model from beginning to end: trained, measured by its perplexity, saved, opened
again in PyTorch and in ONNX Runtime, where it continues texts with the same tokens."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from generators import CONFIGS
from installing import install
from tiny import make_artifact, word_processor
from tokenizers import processors
from transformers import AutoConfig, AutoModelForCausalLM

import compress
from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.cli import cli
from compress.errors import UsageError
from compress.predict import predict
from compress.processor import TextProcessor
from compress.registry.plugins import load_plugins
from compress.sessions import TorchSession
from compress.task import Task


def rounds(count: int, seed: int) -> list[dict[str, str]]:
    """Texts of 12 words, each the next one in a round of 14."""
    starts = np.random.default_rng(seed).integers(0, 14, count).tolist()
    return [{"text": " ".join(f"w{(s + i) % 14}" for i in range(12))} for s in starts]


ROWS = {"train": rounds(96, 1), "validation": rounds(8, 3), "test": rounds(8, 2)}
TEXTS = ["w3 w4 w5", "w9", "w12 w13 w0 w1 w2"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The environment of a command that finds the plugin; this process finds it too."""
    folder = tmp_path_factory.mktemp("causal") / "site"
    environ = install(folder, "compress-causal-lm")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield environ


@pytest.fixture(scope="module")
def task(site: Mapping[str, str]) -> Task[Any]:
    """The plugin's task."""
    return task_with()


def task_with(**options: Any) -> Task[Any]:
    cls = load_plugins().tasks["toy-causal-lm"].cls
    made: Task[Any] = cls(cls.Options(**{"max_length": 16, **options}))
    return made


def processor() -> TextProcessor:
    """Words, and [SEP] at the end of a text, which nothing adds by itself."""
    made = word_processor()
    made.tokenizer.post_processor = processors.TemplateProcessing("$A", "$A $B", [])
    made.config["eos_token"] = "[SEP]"
    return made


@pytest.fixture(scope="module")
def model(task: Task[Any], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A tiny GPT-2 with random weights."""
    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    shape = {**CONFIGS["gpt2"], "vocab_size": 21, "eos_token_id": 3, "bos_token_id": 3}
    config = AutoConfig.for_model("gpt2", **shape)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    processor().save(folder)
    Manifest(Traits(task=task.name), digest_files(folder), "model", "import").write(folder)
    return Artifact.open(folder)


@pytest.fixture(scope="module")
def trained(task: Task[Any], model: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The model, after some steps on texts of words."""
    options = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2, "precision": "fp32"}
    place = tmp_path_factory.mktemp("trained") / "step"
    return make_artifact(place, "finetune", task, ROWS, input=model, **options)


def perplexity(artifact: Artifact, task: Task[Any]) -> float:
    model = AutoModelForCausalLM.from_pretrained(artifact.folder).eval()
    processor = task.processor(artifact.folder)
    features = task.features(ROWS["test"], processor)
    session = TorchSession(model, "cpu")
    answers = predict(session, task, processor, ROWS["test"], features, 4)
    return task.score(answers, ROWS["test"], [], processor).metrics["perplexity"]


def test_training_lowers_the_perplexity(
    task: Task[Any], model: Artifact, trained: Artifact
) -> None:
    assert perplexity(trained, task) < perplexity(model, task) / 2


def test_perplexity_is_that_of_the_model_s_own_loss(task: Task[Any], model: Artifact) -> None:
    own = AutoModelForCausalLM.from_pretrained(model.folder).eval()
    nll, tokens = 0.0, 0
    for row in ROWS["test"]:
        ids = torch.tensor([[*processor().tokenizer.encode(row["text"]).ids, 3]])
        with torch.inference_mode():
            nll += float(own(ids, labels=ids).loss) * (ids.shape[1] - 1)
        tokens += ids.shape[1] - 1
    assert perplexity(model, task) == pytest.approx(math.exp(nll / tokens), rel=1e-5)


def test_windows_predict_each_token_of_a_long_text_once(site: Mapping[str, str]) -> None:
    windows, words = task_with(max_length=5, long="windows"), processor()
    rows = [{"text": "w1 w2 w3 w4 w5 w6 w7 w8"}, {"text": "bad"}]
    features = windows.features(rows, words)
    assert [one["row"] for one in features] == [0, 0, 1]
    ids = [*words.tokenizer.encode(rows[0]["text"]).ids, 3]
    predicted = [token for one in features[:2] for token in one["input_ids"][1:]]
    assert predicted == ids[1:]
    parts = [{"nll": 1.0, "count": 4}, {"nll": 2.5, "count": 4}]
    assert windows.join(parts, rows[0]) == {"nll": 3.5, "count": 8}
    (cut, _) = task_with(max_length=5).features(rows, words)
    assert cut["input_ids"] == ids[:5]


def test_texts_are_continued(trained: Artifact) -> None:
    predictor = compress.load(trained.folder)
    short, long = predictor(TEXTS, max_new_tokens=2), predictor(TEXTS, max_new_tokens=6, beams=2)
    assert [answer["text"] for answer in short] == TEXTS
    assert [answer["generated"] for answer in short] == ["w6 w7", "w10 w11", "w3 w4"]
    assert predictor(TEXTS, 3, max_new_tokens=6, beams=2) == long
    drawn = [predictor(TEXTS, temperature=1.0, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_answer_is_told_in_pieces(trained: Artifact) -> None:
    predictor, pieces = compress.load(trained.folder), []
    answers = predictor(TEXTS, on_text=pieces.append, max_new_tokens=3)
    assert len(pieces) == 9
    assert "".join(pieces[:3]) == answers[0]["generated"] == "w6 w7 w8"


def test_mistaken_options_are_refused_by_name(trained: Artifact) -> None:
    predictor = compress.load(trained.folder)
    with pytest.raises(UsageError, match=r"beam: an answer of toy-causal-lm has no .*mean 'beams'"):
        predictor(TEXTS, beam=2)
    with pytest.raises(UsageError, match="beams: input should be greater than or equal to 1"):
        predictor(TEXTS, beams=0)
    with pytest.raises(UsageError, match="batch_size is 1 where answers come in pieces"):
        predictor(TEXTS, 2, on_text=print)


def run(*words: str) -> Any:
    return CliRunner().invoke(cli, ["predict", *words])


def test_the_command_has_the_flags_of_the_task(trained: Artifact) -> None:
    folder = str(trained.folder)
    asked = ("--max-new-tokens", "3", "--temperature=1.5", "--seed", "4")
    answer = run(folder, *asked, TEXTS[0])
    want = compress.load(folder)(TEXTS[0], max_new_tokens=3, temperature=1.5, seed=4)
    assert answer.stdout == f"{TEXTS[0]}\tgenerated={want[0]['generated']}\n"
    shown = run(folder, "--help").stdout
    assert "--max-new-tokens INTEGER" in shown and "[default: 64]" in shown
    assert "--max-new-tokens" not in run("--help").stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--beam", "2"], "no option --beam for the task toy-causal-lm (did you mean '--beams'?)"),
        (["--beams", "0"], "beams: input should be greater than or equal to 1, got 0"),
        (["--beams=2", "--temperature=1"], "beams is 2 and temperature is 1"),
    ],
)
def test_a_wrong_flag_is_refused_in_one_line(
    trained: Artifact, words: list[str], complaint: str
) -> None:
    answer = run(str(trained.folder), *words, TEXTS[0])
    assert isinstance(answer.exception, UsageError)
    assert complaint in str(answer.exception) and "\n" not in str(answer.exception)


def test_a_terminal_gets_the_answer_as_it_is_generated(
    trained: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = run(str(trained.folder), *TEXTS).stdout
    monkeypatch.setattr("compress.cli.answers.is_terminal", lambda: True)
    pieces: list[str] = []
    echo = click.echo

    def keep(text: str, **how: Any) -> None:
        pieces.append(text)
        echo(text, **how)

    monkeypatch.setattr("click.echo", keep)
    assert run(str(trained.folder), *TEXTS).stdout == want
    assert len(pieces) > 3 * len(TEXTS)


IN_ONNX_RUNTIME = """
import sys, compress
print(compress.load(sys.argv[1])(sys.argv[2], max_new_tokens=8)[0]["generated"])
assert "onnxruntime" in sys.modules
assert not {"torch", "transformers"} & set(sys.modules)
"""


@pytest.mark.slow
def test_onnx_runtime_continues_texts_with_the_same_tokens(
    site: Mapping[str, str], task: Task[Any], trained: Artifact, tmp_path: Path
) -> None:
    made = make_artifact(tmp_path / "float", "export.onnx", task, ROWS, input=trained)
    small = make_artifact(tmp_path / "int8", "quantize.onnx", task, ROWS, input=made)
    fused = make_artifact(
        tmp_path / "fused", "export.onnx", task, ROWS, input=trained, fusions=True
    )
    want, *others, int8 = (compress.load(each.folder) for each in (trained, made, fused, small))
    for asked in ({}, {"beams": 3}, {"temperature": 0.7, "seed": 2}):
        answers = want(TEXTS, max_new_tokens=8, **asked)
        for other in others:
            assert other(TEXTS, max_new_tokens=8, **asked) == answers
            assert other(TEXTS, 3, max_new_tokens=8, **asked) == answers
    assert int8(TEXTS, max_new_tokens=2)[0]["generated"] == "w6 w7"
    words = [sys.executable, "-c", IN_ONNX_RUNTIME, str(made.folder), TEXTS[0]]
    fresh = subprocess.run(words, env={**os.environ, **site}, capture_output=True, text=True)
    assert fresh.returncode == 0, fresh.stderr
    assert fresh.stdout.strip() == want(TEXTS[0], max_new_tokens=8)[0]["generated"]
