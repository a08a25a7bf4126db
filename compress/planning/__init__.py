"""The plan: a recipe resolved against the installed plugins, every name, option, file and edge
checked, no model touched."""

from __future__ import annotations

from compress.planning.build import load_plan, make_plan
from compress.planning.types import DataChoice, Input, Plan, Step, TaskChoice

__all__ = ["DataChoice", "Input", "Plan", "Step", "TaskChoice", "load_plan", "make_plan"]
