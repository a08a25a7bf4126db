"""From a step's target to the goal that its units are cut for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from transformers import PreTrainedModel

from compress.architecture import Architecture
from compress.stage import Context
from compress_prune.amounts import Amount, Counting
from compress_prune.costs import UnitsIn
from compress_prune.goal import Goal
from compress_prune.latencytable import latency_table
from compress_prune.serving import Timer, forms
from compress_prune.timed import Timing

if TYPE_CHECKING:
    from compress_prune.options import StructuredOptions


def goal_of(
    context: Context[StructuredOptions],
    model: PreTrainedModel,
    architecture: type[Architecture],
    units_in: UnitsIn,
    amount: Amount | None,
    layers: Mapping[str, Sequence[int]],
) -> Goal:
    """The goal for ``model``, which has these ``layers`` of the step's input, and of which the
    step's target counts an ``amount``, or asks for a latency.

    Raises UsageError for a target that cannot be reached, with the nearest that can."""
    is_free = context.options.shape == "free"
    if amount is not None:
        return Counting.of(amount, model, units_in, is_free)
    target = context.options.target
    assert target is not None, "there is a target"
    among = forms(context)
    timer_of = partial(Timer, context, architecture, units_in)
    table = latency_table(context, among, timer_of, model, layers)
    form = next(each for each in among if each.name == table.form)
    goal = Timing(table, timer_of(form), model, 1 / target.factor, is_free)
    goal.refuse_out_of_reach(units_in(model))
    return goal
