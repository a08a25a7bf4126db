"""Families of different kinds through the toolkit, as benchmarks/families.py asks them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
KINDS = {
    "bert": "an encoder",
    "gpt2": "a decoder whose head reads the last token, and whose tokenizer names no padding",
    "xlnet": "a family that pads on the left",
    "t5": "an encoder and a decoder",
    "fnet": "an encoder that mixes padding into its answers",
    "xlm": "a tokenizer that has no fast form",
}
GOOD = ("works", "refused")


@pytest.fixture(scope="module")
def families() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import families

        yield families


def test_families_that_are_refused_for_one_reason_share_a_line_of_the_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import families_page

    works = {"status": "works", "text": ""}
    rows = [
        {
            "family": family,
            "answers": works,
            "operations": {"prune": {"status": "refused", "text": f"no {family} model: roberta"}},
        }
        for family in ("gpt2", "bert")
    ]
    rows.append({"family": "ctrl", "answers": {"status": "refused", "text": "x"}, "operations": {}})
    values = {"tolerance": 1e-4, "rows": rows}
    assert families_page.notes(values) == ["1. no FAMILY model: roberta", "2. x"]
    assert [row[-1] for row in families_page.rows(values)] == ["refused (1)", "refused (1)", "–"]
    assert families_page.summary(values) == (
        "2 of 3 families answer as transformers does, within 0.0001. Refused: `ctrl`."
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", KINDS)
def test_a_family_works_or_is_refused_in_a_line(family: str, families: Any, tmp_path: Path) -> None:
    row = families.ask(family, tmp_path)
    outcomes = {"answers": row.answers, **row.operations}
    assert {name: o.text for name, o in outcomes.items() if o.status not in GOOD} == {}
    assert row.answers.status == ("refused" if family == "xlm" else "works")
    if row.answers.status == "works":
        assert row.operations["bitsandbytes"].status == row.operations["onnx"].status == "works"
