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


@pytest.mark.slow
@pytest.mark.parametrize("family", KINDS)
def test_a_family_works_or_is_refused_in_a_line(family: str, families: Any, tmp_path: Path) -> None:
    row = families.ask(family, tmp_path)
    outcomes = {"answers": row.answers, **row.operations}
    assert {name: o.text for name, o in outcomes.items() if o.status not in GOOD} == {}
    assert row.answers.status == ("refused" if family == "xlm" else "works")
    if row.answers.status == "works":
        assert row.operations["bitsandbytes"].status == row.operations["onnx"].status == "works"
