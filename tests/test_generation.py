"""Generated answers: those of transformers in every engine, alone or in a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from generators import CONFIGS, OTHERS, TOKENS, WITH_ENCODER, alone, generator, prompts
from pydantic import ValidationError
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

from compress.cached import CachedSession, Joined
from compress.decoders import generating_parts
from compress.decoding import chosen, drawn_scores, log_softmax
from compress.errors import ModelRefused, UsageError
from compress.exporting import PartSession
from compress.generation import (
    PAST,
    CacheBytes,
    Limits,
    OnToken,
    Special,
    padded_left,
    read_generation,
    room,
    special,
)
from compress.session import cache_bytes, generate
from compress.sessions import TorchSession
from compress.task import Batch

WAYS = {
    "greedy": Limits(max_new_tokens=7),
    "beams": Limits(max_new_tokens=7, beams=3),
    "short": Limits(max_new_tokens=7, beams=3, length_penalty=0.3),
    "drawn": Limits(max_new_tokens=7, temperature=1.0, top_p=0.9, seed=3),
    "exactly": Limits.exactly(9),
}
families = pytest.mark.parametrize("family", list(CONFIGS))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny operations are quicker without a second thread, and far quicker on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def cached(family: str, folder: Path, seed: int = 4, never: tuple[int, ...] = ()) -> CachedSession:
    """A session over the parts of a model in memory, as an engine has it over files. The model says
    of some tokens that they are ``never`` generated."""
    model = generator(family, seed)
    model.generation_config.bad_words_ids = [[token] for token in never] or None
    model.save_pretrained(folder)
    *before, decoder = generating_parts(model, with_prompt(prompts(2, 6), family)) or ()
    shapes = {name: array.shape for name, array in decoder.inputs.items()}
    if not before:
        return CachedSession(PartSession(decoder), shapes, folder)
    encoder, cross = map(PartSession, before)
    return CachedSession(Joined(PartSession(decoder), cross), shapes, folder, encoder)


def told_to(lists: list[list[int]]) -> OnToken:
    return lambda row, token: lists[row].append(token)


def with_prompt(batch: Batch, family: str) -> Batch:
    if family not in WITH_ENCODER:
        return batch
    answer = np.random.default_rng(1).integers(3, TOKENS, (len(batch["input_ids"]), 3))
    return {**batch, "decoder_input_ids": answer}


@families
@pytest.mark.parametrize("way", list(WAYS))
def test_an_engine_without_a_loop_gives_the_tokens_of_transformers(
    family: str, way: str, tmp_path: Path
) -> None:
    batch, limits = prompts(), WAYS[way]
    want = generate(TorchSession(generator(family), "cpu"), batch, limits)
    got = generate(cached(family, tmp_path), batch, limits)
    assert got == want
    is_alike = limits.draws or way == "short"  # one seed, like tokens; short answers are few
    assert is_alike or len({tuple(answer) for answer in want}) > 1


@families
def test_an_answer_is_the_same_alone_and_in_a_batch(family: str, tmp_path: Path) -> None:
    batch = prompts()
    for session in (TorchSession(generator(family), "cpu"), cached(family, tmp_path)):
        for limits in WAYS.values():
            together = generate(session, batch, limits)
            assert together == [generate(session, one, limits)[0] for one in alone(batch)]


@families
def test_the_parts_give_the_logits_of_the_model(family: str, tmp_path: Path) -> None:
    batch = with_prompt(prompts(), family)
    want = TorchSession(generator(family), "cpu").run(batch)["logits"]
    session = cached(family, tmp_path)
    assert session.inputs[:2] == ("input_ids", "attention_mask")
    np.testing.assert_allclose(session.run(batch)["logits"], want, atol=1e-5)


@pytest.mark.parametrize("way", ["greedy", "beams", "short"])
def test_answers_that_end_early_are_those_of_transformers(way: str, tmp_path: Path) -> None:
    limits = WAYS[way].model_copy(update={"max_new_tokens": 20})
    ended = 0
    for seed in (7, 13):
        session = cached("llama", tmp_path, seed)
        want = generate(TorchSession(generator("llama", seed), "cpu"), prompts(), limits)
        assert generate(session, prompts(), limits) == want
        ended += sum(len(answer) < 20 for answer in want)
    assert ended > 1


@pytest.mark.parametrize("beams", [1, 3])
def test_an_answer_does_not_end_before_its_least_number_of_tokens(
    beams: int, tmp_path: Path
) -> None:
    free, least = Limits(max_new_tokens=20), Limits(max_new_tokens=20, min_new_tokens=12)
    free, least = (limits.model_copy(update={"beams": beams}) for limits in (free, least))
    session = TorchSession(generator("llama", 7), "cpu")
    assert min(map(len, generate(session, prompts(), free))) < 12
    answers = generate(session, prompts(), least)
    assert min(map(len, answers)) >= 12
    assert generate(cached("llama", tmp_path, 7), prompts(), least) == answers
    exact = generate(session, prompts(), Limits.exactly(15))
    assert [len(answer) for answer in exact] == [15, 15, 15]


def test_an_answer_that_is_to_be_longer_than_it_may_be_is_refused() -> None:
    with pytest.raises(UsageError, match=r"min_new_tokens is 9, above max_new_tokens \(8\)"):
        generate(
            TorchSession(generator("gpt2"), "cpu"),
            prompts(),
            Limits(max_new_tokens=8, min_new_tokens=9),
        )


@pytest.mark.parametrize(
    ("family", "token", "source"),
    [  # keys and values, 4 bytes, layers, heads, head size
        ("gpt2", 2 * 4 * 2 * 2 * 8, 0),
        ("llama", 2 * 4 * 2 * 2 * 4, 0),
        ("t5", 2 * 4 * 2 * 2 * 8, 2 * 4 * 2 * 2 * 8),
        ("bart", 2 * 4 * 2 * 2 * 8, 2 * 4 * 2 * 2 * 8),
    ],
)
def test_bytes_of_keys_and_values_of_a_token(
    family: str, token: int, source: int, tmp_path: Path
) -> None:
    session = TorchSession(generator(family), "cpu")
    assert cache_bytes(session) == cache_bytes(cached(family, tmp_path))
    assert cache_bytes(session) == CacheBytes(token, source)
    parts = generating_parts(session.model, with_prompt(prompts(), family)) or ()
    assert cache_bytes(PartSession(parts[-1])) is None, "it does not say"


@pytest.mark.parametrize("way", list(WAYS))
def test_tokens_are_told_as_they_are_returned(way: str, tmp_path: Path) -> None:
    for session in (TorchSession(generator("gpt2", 2), "cpu"), cached("gpt2", tmp_path, 2)):
        told: list[list[int]] = [[], [], []]
        answers = generate(session, prompts(), WAYS[way], told_to(told))
        assert told == answers


def test_a_session_keeps_nothing_and_leaves_the_model_as_it_was() -> None:
    model = generator("gpt2").train()
    own = model.generation_config
    session = TorchSession(model, "cpu")
    random = torch.get_rng_state()
    first = generate(session, prompts(), WAYS["drawn"])
    assert generate(session, prompts(), WAYS["drawn"]) == first
    assert model.training and model.generation_config is own
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("way", ["greedy", "beams", "drawn"])
def test_a_token_that_the_model_forbids_is_never_generated(way: str, tmp_path: Path) -> None:
    model, limits = generator("bart"), WAYS[way]
    never = generate(TorchSession(model, "cpu"), prompts(), limits)[0][0]
    model.generation_config.bad_words_ids = [[never], [3, 4]]  # several tokens are no token
    want = generate(TorchSession(model, "cpu"), prompts(), limits)
    assert never not in {token for answer in want for token in answer}
    assert generate(cached("bart", tmp_path, never=(never,)), prompts(), limits) == want


def test_a_penalty_in_the_model_folder_is_not_applied() -> None:
    model = generator("llama")
    want = generate(TorchSession(model, "cpu"), prompts(), WAYS["greedy"])
    model.generation_config.no_repeat_ngram_size = 1
    assert generate(TorchSession(model, "cpu"), prompts(), WAYS["greedy"]) == want


@families
def test_an_answer_ends_at_the_last_position(family: str, tmp_path: Path) -> None:
    if family == "t5":  # its positions have no last one
        return
    limits = Limits(max_new_tokens=80)
    for session in (TorchSession(generator(family, 5), "cpu"), cached(family, tmp_path, 5)):
        assert max(map(len, generate(session, prompts(2, 6), limits))) <= 63


def test_a_prompt_that_fills_all_positions_is_refused() -> None:
    session = TorchSession(generator("gpt2"), "cpu")
    with pytest.raises(UsageError, match="a prompt of 64 tokens leaves no room"):
        generate(session, prompts(1, 64), Limits())


def test_room_is_what_limits_and_positions_leave() -> None:
    assert room(Limits(max_new_tokens=9), 3, {"max_position_embeddings": 8}) == 5
    assert room(Limits(max_new_tokens=9), 3, {}) == 9


def test_a_search_that_draws_is_refused() -> None:
    session = TorchSession(generator("gpt2"), "cpu")
    with pytest.raises(UsageError, match="beams is 2 and temperature is 0.5"):
        generate(session, prompts(), Limits(beams=2, temperature=0.5))


def test_a_model_that_cannot_generate_is_refused() -> None:
    config = AutoConfig.for_model("bert", num_hidden_layers=1, hidden_size=8, num_attention_heads=1)
    model = AutoModelForMaskedLM.from_config(config)
    with pytest.raises(ModelRefused, match="BertForMaskedLM"):
        generate(TorchSession(model, "cpu"), prompts(), Limits())
    assert generating_parts(model, prompts()) is None


def test_a_session_that_cannot_generate_is_refused() -> None:
    (decoder,) = generating_parts(generator("gpt2"), prompts()) or ()
    with pytest.raises(ModelRefused, match="PartSession has no generate"):
        generate(PartSession(decoder), prompts(), Limits())


@pytest.mark.parametrize("values", [{"beams": 0}, {"temperature": -1.0}, {"top_p": 0.0}])
def test_limits_have_bounds(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate(values)


def test_tokens_are_drawn_by_their_probabilities() -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.2]], dtype=np.float32))
    draws = [int(chosen(logits, Limits(temperature=1.0, seed=s), 0)[0]) for s in range(4000)]
    np.testing.assert_allclose(np.bincount(draws) / 4000, [0.5, 0.3, 0.2], atol=0.03)


def test_only_the_most_probable_tokens_are_drawn() -> None:
    logits = np.log(np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], dtype=np.float32))
    scores = drawn_scores(logits, Limits(temperature=1.0, top_p=0.6), 0)
    assert np.isfinite(scores).tolist() == [[True, True, False], [False, False, True]]


def test_log_probabilities_sum_to_one() -> None:
    scores = np.array([[1e4, 1e4 + 1, 0.0]])
    assert np.exp(log_softmax(scores)).sum() == pytest.approx(1)


def test_padding_moves_to_the_left_from_either_side() -> None:
    batch = {
        "input_ids": np.array([[5, 6, 0], [0, 7, 8]]),
        "attention_mask": np.array([[1, 1, 0], [0, 1, 1]]),
        "weights": np.ones(2),
    }
    moved = padded_left(batch)
    assert moved["input_ids"].tolist() == [[0, 5, 6], [0, 7, 8]]
    assert moved["attention_mask"].tolist() == [[0, 1, 1], [0, 1, 1]]
    assert moved["weights"] is batch["weights"]


def test_the_generation_config_has_the_last_word_on_special_tokens(tmp_path: Path) -> None:
    assert read_generation(tmp_path) == {}
    stated = {"eos_token_id": [4, 5], "forced_bos_token_id": 6}
    (tmp_path / "generation_config.json").write_text(json.dumps(stated), encoding="utf-8")
    config = {"eos_token_id": 1, "bos_token_id": 2}
    assert special(config, {}) == Special(frozenset({1}), start=2)
    assert special(config, read_generation(tmp_path)) == Special(frozenset({4, 5}), 2, 6)
    assert special({}, {}) == Special()


def test_an_answer_begins_with_the_token_that_it_must(tmp_path: Path) -> None:
    session = TorchSession(generator("bart"), "cpu")
    session.model.generation_config.forced_bos_token_id = 9
    own = cached("bart", tmp_path)
    own._special = Special(own._special.end, own._special.start, 9)
    for limits in WAYS.values():
        answers = generate(session, prompts(), limits)
        assert {answer[0] for answer in answers} == {9}
        assert generate(own, prompts(), limits) == answers


@pytest.mark.parametrize("family", ["gpt2", "bart"])
def test_examples_of_an_export_have_positions_and_lengths_of_their_own(family: str) -> None:
    for length in (2, 3, 64):
        batch = prompts(2, length) if length > 4 else prompts(1, length)
        if family == "bart":
            batch = {**batch, "decoder_input_ids": batch["input_ids"]}
        part = (generating_parts(generator(family), batch) or ())[-1]
        past = next(a for n, a in part.inputs.items() if n.startswith(PAST)).shape[2]
        new = part.inputs["input_ids"].shape[1]
        assert past > 1 and past not in (new, length) and past + new <= 64
        assert set(PartSession(part).run(part.inputs)) == set(part.outputs)


@pytest.mark.slow
@pytest.mark.parametrize("family", list(OTHERS))
def test_other_families_give_the_tokens_of_transformers(family: str, tmp_path: Path) -> None:
    session, own = cached(family, tmp_path), TorchSession(generator(family), "cpu")
    for limits in WAYS.values():
        assert generate(session, prompts(), limits) == generate(own, prompts(), limits)


def test_a_model_that_keeps_no_keys_and_values_is_exported_whole() -> None:
    config = AutoConfig.for_model("mamba", hidden_size=16, num_hidden_layers=1, vocab_size=TOKENS)
    assert generating_parts(AutoModelForCausalLM.from_config(config), prompts()) is None
