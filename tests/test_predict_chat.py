"""``compress predict`` with a chat model: a tiny llama whose tokenizer has a chat template."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tiny import save_bert, task_named
from writers import save_writer

import compress
from compress.artifact import Artifact, Manifest, Traits, digest_files
from compress.cli import cli
from compress.errors import UsageError
from compress.planning import TaskChoice
from compress.registry.plugins import load_plugins
from compress.report.usage import usage

TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'system' %}"
    "{{ raise_exception('it has no system') }}{% endif %}"
    "{{ message.role == 'user' and 'good' or 'bad' }} {{ message.content }} {% endfor %}"
    "{% if add_generation_prompt %}bad{% endif %}"
)
HELLO = [{"role": "user", "content": "w1 w2"}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat") / "llama"
    save_writer(folder, "llama", task_named("text-generation"))
    config = folder / "tokenizer_config.json"
    stated = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**stated, "chat_template": TEMPLATE}), encoding="utf-8")
    (folder / "compress.json").unlink()
    Manifest(Traits(task="text-generation"), digest_files(folder), "llama", "import").write(folder)
    return folder


def predict(folder: Path, *words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["predict", str(folder), *words], input=given)


def answer_to(folder: Path, request: Any, **asked: Any) -> str:
    (answer,) = compress.load(folder)(request, **asked)
    text: str = answer["generated"]
    return text


def test_a_chat_model_answers_what_a_user_says(model: Path) -> None:
    want = answer_to(model, {"messages": HELLO}, max_new_tokens=5)
    assert want == answer_to(model, "good w1 w2 bad", max_new_tokens=5), "the template's text"
    assert want != answer_to(model, "w1 w2", max_new_tokens=5), "without it, a text is continued"
    asked = ("--chat", "--max-new-tokens=5")
    assert predict(model, *asked, "w1 w2").stdout == f"w1 w2\tgenerated={want}\n"
    streamed = predict(model, *asked, given="w1 w2\nw3\n").stdout.splitlines()
    assert streamed[0] == f"w1 w2\tgenerated={want}" and len(streamed) == 2


def test_a_row_is_a_whole_conversation(model: Path) -> None:
    turns = [*HELLO, {"role": "assistant", "content": "w4"}, {"role": "user", "content": "w5"}]
    row, want = json.dumps({"messages": turns}), answer_to(model, {"messages": turns})
    assert predict(model, "--rows", row).stdout == f"generated={want}\n"
    (answer,) = json.loads(predict(model, "--rows", "--json", row).stdout)
    assert answer == {"messages": turns, "generated": want}
    lines = predict(model, "--rows", "--json", given=f'{row}\n{{"text": "w1"}}\n').stdout
    assert [json.loads(line)["generated"] for line in lines.splitlines()] == [
        want,
        answer_to(model, "w1"),
    ]


def test_the_answer_of_a_chat_model_comes_in_pieces(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predict(model, "--chat", "--seed=3", "--temperature=1", "w1 w2").stdout
    monkeypatch.setattr("compress.cli.answers.is_terminal", lambda: True)
    assert predict(model, "--chat", "--seed=3", "--temperature=1", "w1 w2").stdout == whole


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--rows", "w1"], "text 1: with --rows it is to be a JSON object: "),
        (["--rows", "[1]"], "text 1: with --rows it is to be a JSON object: it holds no JSON"),
        (["--rows", "--chat", "w1"], "--chat and --rows do not go together"),
        (["--pair", "--chat", "w1", "w2"], "--pair and --chat do not go together"),
        (["--rows", '{"messages": 3}'], "text 1: "),
        (
            ["--rows", '{"messages": [{"role": "system", "content": "w1"}]}'],
            "text 1: the chat template refuses the messages: it has no system",
        ),
    ],
)
def test_a_mistaken_request_is_refused_in_one_line(
    model: Path, words: list[str], complaint: str
) -> None:
    error = predict(model, *words).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith(complaint) and "\n" not in str(error)


def test_a_line_that_is_no_row_is_named_by_its_place(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "w1"}\nw2\n', encoding="utf-8")
    result = predict(model, "--rows", "--file", str(file))
    assert isinstance(result.exception, UsageError)
    assert str(result.exception).startswith(f"{file}:2: with --rows it is to be a JSON object")
    assert result.stdout.count("generated=") == 1, "the line before it was answered"


def test_a_model_without_messages_does_not_chat(tmp_path: Path) -> None:
    save_bert(tmp_path, task_named("text-classification"))
    error = predict(tmp_path, "--chat", "good").exception
    assert str(error) == (
        "--chat is for chat models, and a model for text-classification takes no messages"
    )
    assert (
        predict(tmp_path, "--rows", '{"text": "good w1"}').stdout
        == (predict(tmp_path, "good w1").stdout.partition("\t")[2])
    )


@pytest.mark.parametrize("shape", ["stock", "free"])
def test_the_code_of_a_card_writes_with_the_model(model: Path, shape: str) -> None:
    registry, task = load_plugins(), task_named("text-generation")
    choice = TaskChoice(registry.tasks["text-generation"], task.options)
    traits = Traits(task="text-generation", shape=shape)  # type: ignore[arg-type]
    shown = usage(traits, Artifact.open(model).manifest.needs, str(model), choice, registry)
    assert "max_new_tokens" in shown.code
    assert ("AutoModelForCausalLM" in shown.code) == (shape == "stock")
    words = [sys.executable, "-c", shown.code]
    ran = subprocess.run(words, env=dict(os.environ), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
