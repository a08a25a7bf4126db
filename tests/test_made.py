"""What a stage may return: each mistake is one line that names the stage and its plugin."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from compress.errors import UsageError
from compress.registry.plugins import Registered
from compress.stage import Made, Stage
from compress.workers.jobs.staging import checked

ENTRY: Registered[Stage[Any]] = Registered("shrink", Stage, "acme", "2")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (None, "returned None: return a compress.stage.Made"),
        ({"parameters": 3}, "returned {'parameters': 3}: return a compress.stage.Made"),
        (Made, "returned <class 'compress.stage.Made'>: return a compress.stage.Made"),
        (Made(notes={"loss": np.float32(1)}), "Object of type float32 is not JSON serializable"),
        (Made(parameters=np.int64(3)), "Object of type int64 is not JSON serializable"),  # type: ignore[arg-type]
        (Made(notes=[1]), "returned a Made that JSON cannot hold"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_made_is_one_line(made: object, words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)) as caught:
        checked(made, ENTRY)
    assert str(caught.value).startswith("apply of shrink (acme 2) returned ")
    assert "\n" not in str(caught.value)


def test_a_made_is_passed_on() -> None:
    made = Made(parameters=3, notes={"heads": [1, 2]})
    assert checked(made, ENTRY) is made
