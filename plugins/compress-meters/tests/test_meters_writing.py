"""Meters of models that write, over a session whose tokens take a known time on a clock that it
sets forward; and over answers that are made up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compress_meters import calls, timing, writing
from compress_meters.agreement import agreement, flips, incomparable, written
from compress_meters.cache import Cache
from compress_meters.curves import LatencyByLength
from compress_meters.loading import Loading
from compress_meters.memory import Memory
from compress_meters.speed import FromText, Latency, Throughput
from compress_meters.stretched import stretched_prompts
from compress_meters.writing import BatchedGeneration, Generation

from compress.artifact import Artifact, Manifest, Traits
from compress.engine import Placement
from compress.generation import CacheBytes, Limits, OnToken
from compress.measurement import Measurement
from compress.meter import Effort, Meter, Probe
from compress.task import Batch, Features, Prediction, Quality, Row, Task, TextTaskOptions

LIMITS = Limits(max_new_tokens=20)


class Echo(Task[TextTaskOptions]):
    """A row is its number of tokens. Its answer is generated."""

    name, summary, kind, columns, headline = "echo", "Echo.", "text-generation", (), "score"
    options = TextTaskOptions()

    def labels(self, splits: Any, declared: Any) -> list[str]:
        return []

    def normalise(self, columns: Any, labels: Any) -> Any:
        return columns

    def features(self, rows: Sequence[Row], processor: Any) -> list[Features]:
        return [{"input_ids": [7] * int(row["tokens"])} for row in rows]

    def collate(self, features: Sequence[Features], processor: Any, generator: Any = None) -> Batch:
        ids = np.ones((len(features), max(map(self.length, features))), dtype=np.int64)
        return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

    def prompts(self, features: Sequence[Features], processor: Any) -> Batch:
        return self.collate(features, processor)

    def limits(self) -> Limits:
        return LIMITS

    def answer(self, session: Any, features: Any, processor: Any, *asked: Any, **more: Any) -> Any:
        tokens = session.generate(self.prompts(features, processor), self.limits())
        return [{"tokens": one} for one in tokens]

    def score(self, answers: Any, rows: Any, labels: Any, processor: Any) -> Quality:
        return Quality({"score": 1.0})

    def request(self, requests: Any) -> list[Row]:
        return list(requests)

    def present(self, prediction: Prediction, row: Row, labels: Any) -> dict[str, Any]:
        return prediction


class Clock:
    """Goes on by what sessions take alone."""

    now = 0

    def perf_counter_ns(self) -> int:
        return self.now

    def perf_counter(self) -> float:
        self.now += 1_000_000  # who waits for a time waits so long
        return self.now / 1e9


CLOCK = Clock()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module in (calls, timing, writing):
        monkeypatch.setattr(module, "time", CLOCK)
    yield


class Session:
    """Takes 10 ms for a prompt, and 2 ms for each further token of an answer, which by itself has
    five; ``slow`` times as long."""

    inputs = ("input_ids",)

    def __init__(self, slow: int = 1) -> None:
        self.slow = slow
        self.asked: list[tuple[tuple[int, ...], Limits]] = []

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise AssertionError("it is asked to answer, not to run")

    def generate(
        self, batch: Mapping[str, np.ndarray], limits: Limits, on_token: OnToken | None = None
    ) -> list[list[int]]:
        shape = batch["input_ids"].shape
        self.asked.append((shape, limits))
        count = min(max(5, limits.min_new_tokens), limits.max_new_tokens)
        for number in range(count):
            CLOCK.now += self.slow * (2_000_000 if number else 10_000_000)
            for row in range(shape[0]):
                if on_token:
                    on_token(row, number)
        return [list(range(count)) for _ in range(shape[0])]

    def cache_bytes(self) -> CacheBytes | None:
        return CacheBytes(512, 256)


class Mute:
    """A session that does not generate."""

    inputs = ("input_ids",)

    def run(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {}


def probe(
    folder: Path, session: Any, *, positions: int = 0, effort: Effort = "standard", rows: int = 40
) -> Probe:
    config = {"max_position_embeddings": positions} if positions else {}
    (folder / "config.json").write_text(json.dumps(config))
    task, given = Echo(TextTaskOptions()), [{"tokens": 3 + i, "id": f"r{i}"} for i in range(rows)]
    return Probe(
        Artifact(folder, Manifest(Traits(), {}, "step", "stage")),
        "torch",
        session,
        Placement("cpu", 2),
        task,
        _Words(),
        given,
        [],
        task.features(given, None),
        {"before_load": 1000, "peak_before_load": 2000},
        0.25,
        effort,
    )


class _Words:
    def __init__(self, name: str = "words") -> None:
        self.name = name

    def identity(self) -> str:
        return self.name


def taken(meter: Meter, on: Probe, count: int = 4) -> list[dict[str, Any]]:
    meter.prepare(on)
    return [
        json.loads(json.dumps({**meter.sample(on), "block": number // 2}))
        for number in range(count)
    ]


def by_name(measurements: Sequence[Measurement]) -> dict[str, Measurement]:
    return {m.name: m for m in measurements}


def test_the_time_of_each_token_of_an_answer_of_a_stated_length(tmp_path: Path) -> None:
    on = probe(tmp_path, Session())
    found = by_name(Generation().summarise(taken(Generation(), on)))
    assert found["first_token"].value == pytest.approx(10)
    assert found["next_token_p50"].value == found["next_token_p95"].value == pytest.approx(2)
    assert found["tokens_per_second"].value == pytest.approx(32 / (0.010 + 31 * 0.002))
    stated = found["first_token"].conditions
    assert (stated["prompt"], stated["answer"], stated["batch"]) == (64, 32, 1)
    shapes = {shape for shape, _ in on.session.asked}  # type: ignore[attr-defined]
    assert shapes == {(1, 64)}


def test_ratios_of_the_first_and_of_further_tokens(tmp_path: Path) -> None:
    samples = [taken(Generation(), probe(tmp_path, Session(slow))) for slow in (1, 3)]
    found = by_name(Generation().compare(*samples))
    names = ["generation_speedup", "first_token_speedup", "next_token_speedup"]
    assert [found[name].value for name in names] == pytest.approx([3, 3, 3])
    assert Generation().half_width(*samples) == pytest.approx(0)


def test_the_lengths_fit_the_positions_of_a_model(tmp_path: Path) -> None:
    stated = Generation().summarise(taken(Generation(), probe(tmp_path, Session(), positions=48)))
    assert (stated[0].conditions["prompt"], stated[0].conditions["answer"]) == (24, 24)


def test_an_answer_of_another_length_is_an_error(tmp_path: Path) -> None:
    class Short(Session):
        def generate(self, batch: Any, limits: Limits, on_token: Any = None) -> list[list[int]]:
            return super().generate(batch, Limits(max_new_tokens=3), on_token)

    with pytest.raises(Exception, match="3 tokens were generated, and exactly 32"):
        Generation().prepare(probe(tmp_path, Short()))


def test_tokens_in_a_second_of_a_batch(tmp_path: Path) -> None:
    on = probe(tmp_path, Session())
    (found,) = BatchedGeneration().summarise(taken(BatchedGeneration(), on))
    assert found.value == pytest.approx(8 * 32 / 0.072)
    assert on.session.asked[0] == ((8, 64), Limits.exactly(32))  # type: ignore[attr-defined]


def test_latency_and_throughput_are_of_whole_answers(tmp_path: Path) -> None:
    on = probe(tmp_path, Session())
    latency, *_ = Latency().summarise(taken(Latency(), on))
    assert latency.value == pytest.approx(10 + 4 * 2)
    assert latency.conditions["mean_answer"] == 5 and latency.conditions["answers"] == "generated"
    assert latency.conditions["examples"] == 8, "fewer than of answers that take one call"
    (throughput,) = Throughput().summarise(taken(Throughput(), on))
    assert throughput.value == pytest.approx(32 / 0.018)
    samples = [taken(Latency(), probe(tmp_path, Session(slow))) for slow in (1, 2)]
    assert by_name(Latency().compare(*samples))["speedup"].value == pytest.approx(2)
    text = FromText().summarise(taken(FromText(), probe(tmp_path, Session(), effort="thorough")))
    assert text[0].value == pytest.approx(18)


def test_the_first_call_and_the_peak_are_of_answers(tmp_path: Path) -> None:
    on = probe(tmp_path, Session())
    assert Loading().sample(on)["conditions"]["answers"] == "generated"
    Memory().sample(on)
    longest = on.session.asked[-1][1]  # type: ignore[attr-defined]
    assert (longest.min_new_tokens, longest.max_new_tokens) == (20, 20)


def test_an_engine_that_does_not_generate_is_told(tmp_path: Path) -> None:
    on = probe(tmp_path, Mute())
    for meter in (Latency(), Throughput(), Generation(), BatchedGeneration(), Loading(), Memory()):
        absent = [m.absent for m in meter.summarise(taken(meter, on, 1)) if m.value is None]
        assert "the torch engine does not generate with this model" in absent
    assert written(on, [{}] * 40) is None


def test_only_tasks_that_generate_have_these_meters() -> None:
    class Still(Echo):
        prompts = Task.prompts

    for meter in (Generation, BatchedGeneration, Cache):
        assert meter.measures(Echo) and not meter.measures(Still)
    assert LatencyByLength.measures(Still) and not LatencyByLength.measures(Echo)
    assert Latency.measures(Echo) and Latency.measures(Still)


def test_bytes_of_keys_and_values(tmp_path: Path) -> None:
    counted = by_name(Cache().summarise([Cache().sample(probe(tmp_path, Session()))]))
    assert (counted["cache_token"].value, counted["cache_source_token"].value) == (512, 256)
    (absent,) = Cache().summarise([Cache().sample(probe(tmp_path, Mute()))])
    assert absent.absent == "the torch engine does not say what it keeps of this model"


def test_a_prompt_is_repeated_or_cut_and_ends_as_before() -> None:
    ids = np.array([[5, 6, 1]])
    prompts = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "decoder_input_ids": ids[:, :1],
    }
    longer = stretched_prompts(prompts, 6, 2)
    assert longer["input_ids"].tolist() == [[5, 6, 5, 6, 5, 1]] * 2
    assert longer["decoder_input_ids"].tolist() == [[5]] * 2
    assert stretched_prompts(prompts, 2, 1)["input_ids"].tolist() == [[5, 1]]


def answers(*tokens: list[int], tokenizer: str = "words") -> Any:
    ids = [f"r{i}" for i in range(len(tokens))]
    return {"ids": ids, "tokens": [" ".join(map(str, t)) for t in tokens], "tokenizer": tokenizer}


def test_answers_are_compared_token_by_token() -> None:
    own = answers([1, 2, 3, 4], [5, 6], [], [7, 8])
    other = answers([1, 2, 9, 4, 4], [5, 6], [], [7])
    changed = flips(own, other, {})
    assert (changed.value, changed.n, changed.detail["changed"]) == (0.5, 4, 2)
    equal, first = agreement(own, other, 0, {})
    # Of the first 3 of 5 places are equal, of the others 2 of 2, 1 of 1 and 1 of 2.
    assert equal.value == pytest.approx(7 / 10) and equal.n == 10
    assert equal.low is not None and equal.low < 0.7 < (equal.high or 0)
    assert (first.value, first.n) == (1.5, 2), "2 tokens before the 9, and 1 before an end"
    same = agreement(own, own, 0, {})
    assert same[0].value == 1 and same[1].absent == "no answer differs"
    assert flips(own, own, {}).value == 0


def test_tokens_of_other_tokenizers_and_examples_are_not_compared() -> None:
    own = answers([1], [2])
    assert incomparable(own, answers([1], [2], tokenizer="other")) == (
        "the two have other tokenizers"
    )
    assert incomparable(own, answers([1])) == "the two wrote on other test examples"
    assert incomparable(own, own) == ""


def test_answers_without_tokens_are_written_for_the_comparison(tmp_path: Path) -> None:
    on = probe(tmp_path, Session(), effort="quick")
    kept = written(on, [{"tokens": [1, 2]}] * 40)
    assert kept is not None and kept["tokens"] == ["1 2"] * 40 and len(kept["ids"]) == 40
    made = written(on, [{"nll": 1.0}] * 40)
    assert made is not None and len(made["ids"]) == 16 and made["tokens"][0] == "0 1 2 3 4"
    assert made["tokenizer"] == kept["tokenizer"]
