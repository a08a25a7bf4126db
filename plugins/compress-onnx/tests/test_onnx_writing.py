"""Models that write in ONNX Runtime: their answers, and the files that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import onnx_ir
import pytest
import torch
from compress_onnx import FOLDER, ExportOptions, OnnxRuntimeEngine, QuantizeOptions
from compress_onnx.make import export, quantize
from generators import CONFIGS, OTHERS, WITH_ENCODER, alone, prompts
from writing import Writing, context, loaded, manifested, saved

from compress.artifact import Artifact, Traits
from compress.engine import Placement
from compress.errors import ModelRefused
from compress.generation import Limits
from compress.session import GeneratingSession, generate
from compress.sessions import TorchSession

ONE = Placement("cpu", 1)
GREEDY, BEAMS = Limits(max_new_tokens=7), Limits(max_new_tokens=7, beams=3)
FLOAT, INT8 = Traits("onnx", task="writing"), Traits("onnx", "int8", task="writing")
QUICK = ("llama",)
REFUSED = "led"
FAMILIES = [
    family if family in QUICK else pytest.param(family, marks=pytest.mark.slow)
    for family in (*CONFIGS, *OTHERS)
    if family != REFUSED
]

INT8_OPTIONS = QuantizeOptions(reduce_range=False)


class Made(NamedTuple):
    """A family, its PyTorch model, and its float ONNX model."""

    family: str
    model: Artifact
    exported: Artifact


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=FAMILIES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp(request.param)
    model = saved(request.param, folder / "model")
    export(context(request.param, folder / "exported", folder / "product", ExportOptions()), model)
    return Made(request.param, model, manifested(folder / "exported", FLOAT))


@pytest.mark.slow
def test_an_encoder_whose_code_depends_on_the_text_is_refused_by_name(tmp_path: Path) -> None:
    model = saved(REFUSED, tmp_path / "model")
    with pytest.raises(ModelRefused, match="the part 'encoder_model' of a led model cannot be"):
        export(
            context(REFUSED, tmp_path / "exported", tmp_path / "product", ExportOptions()), model
        )


def opened(artifact: Artifact, family: str) -> GeneratingSession:
    session = OnnxRuntimeEngine().open(artifact, ONE, Writing(family))  # type: ignore[arg-type]
    assert isinstance(session, GeneratingSession)
    return session


def names(artifact: Artifact) -> set[str]:
    return {file.name for file in (artifact.folder / FOLDER).iterdir()}


@pytest.mark.parametrize("limits", [GREEDY, BEAMS], ids=["greedy", "beams"])
def test_the_tokens_are_those_of_pytorch(made: Made, limits: Limits) -> None:
    session, own = (
        opened(made.exported, made.family),
        TorchSession(loaded(made.model, made.family), "cpu"),
    )
    for batch in (prompts(), prompts(4, 13, seed=3), prompts(1, 2, seed=5)):
        want = generate(own, batch, limits)
        assert generate(session, batch, limits) == want
        assert [generate(session, one, limits)[0] for one in alone(batch)] == want


def test_the_files_and_their_tensors_have_the_names_that_others_look_for(made: Made) -> None:
    kinds = (".decoder.", ".encoder.") if made.family in WITH_ENCODER else (".",)
    file = "decoder_model_merged.onnx" if made.family in WITH_ENCODER else "model.onnx"
    graph = onnx_ir.load(made.exported.folder / FOLDER / file).graph
    inputs = {str(value.name): list(map(str, value.shape or ())) for value in graph.inputs}
    outputs = {value.name for value in graph.outputs}
    for kind in kinds:
        for what in ("key", "value"):
            assert inputs[f"past_key_values.1{kind}{what}"][0] == "batch_size"
            assert f"present.1{kind}{what}" in outputs
    assert inputs["input_ids"][0] == "batch_size" and "logits" in outputs
    if made.family in WITH_ENCODER:
        assert names(made.exported) == {"encoder_model.onnx", file}
        assert {"use_cache_branch", "encoder_hidden_states", "encoder_attention_mask"} < set(inputs)


def test_int8_files_have_every_part_and_are_made_of_float_files_too(
    made: Made, tmp_path: Path
) -> None:
    answers = []
    for name, source in (("of-pytorch", made.model), ("of-onnx", made.exported)):
        store = made.model.folder.parent / "product"
        notes = quantize(context(made.family, tmp_path / name, store, INT8_OPTIONS), source)
        made_of = manifested(tmp_path / name, INT8)
        assert names(made_of) == {
            f"{file.removesuffix('.onnx')}_quantized.onnx" for file in names(made.exported)
        }
        session = opened(made_of, made.family)
        answers.append((generate(session, prompts(), GREEDY), notes["int8_operators"]))
    assert answers[0] == answers[1]
