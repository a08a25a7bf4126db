"""Quality of real models does not depend on the company of an example, also where padding changes
answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from compress_meters import Quality
from tiny import LABELS, WORDS, read, save_bert, sentences, task_named, tiny_bert, word_processor
from transformers import FNetConfig, FNetForSequenceClassification, PreTrainedModel

from compress.artifact import Artifact
from compress.engine import Placement
from compress.meter import Probe
from compress.predict import predict
from compress.sessions import TorchSession

TASK = task_named("text-classification")


def bert() -> PreTrainedModel:
    return tiny_bert(TASK)


def fnet() -> PreTrainedModel:
    torch.manual_seed(1)
    config = FNetConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        intermediate_size=16,
        max_position_embeddings=20,
        initializer_range=0.5,
        num_labels=2,
    )
    return FNetForSequenceClassification(config).eval()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return save_bert(tmp_path_factory.mktemp("model"), TASK)


def probe(model: PreTrainedModel, artifact: Artifact) -> Probe:
    rows = read(sentences(90, seed=3), TASK, split="test")
    processor = word_processor()
    return Probe(
        artifact=artifact,
        engine="torch",
        session=TorchSession(model.eval(), "cpu"),
        placement=Placement("cpu", 1),
        task=TASK,
        processor=processor,
        rows=rows,
        labels=LABELS,
        features=TASK.features(rows, processor),
        host_memory={},
        load_seconds=0.0,
        effort="standard",
    )


@pytest.mark.parametrize(
    ("model", "equal"), [pytest.param(bert, True, marks=pytest.mark.slow), (fnet, False)]
)
def test_the_answers_that_are_scored_are_those_of_each_text_alone(
    model: Callable[[], PreTrainedModel], equal: bool, artifact: Artifact
) -> None:
    on = probe(model(), artifact)
    sample = Quality().sample(on)
    alone = [predict(on.session, TASK, on.processor, [{}], [f], 1)[0] for f in on.features]
    for kept, own in zip(sample["predictions"], alone, strict=True):
        assert kept["label"] == own["label"]
        assert kept["score"] == pytest.approx(own["score"], abs=1e-4)
    found = {m.name: m for m in Quality().summarise([sample])}
    stated = found["quality"].conditions
    largest = found["batched_difference"].value
    assert largest is not None and (largest < 1e-5) == equal
    assert stated["answers_in_batches"] == ("equal" if equal else "other")
    assert equal or (stated["batch"] == 1 and largest > 0.001)
    assert found["batched_changes"].n == (64 if equal else 90)
