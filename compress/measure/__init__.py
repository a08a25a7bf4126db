"""Measuring artifacts as saved, each in a fresh process, with timings taken in turns."""

from __future__ import annotations

from compress.measure.instrument import compare, measure, predict
from compress.measure.kept import KeptSides
from compress.workers.protocol import Subject

__all__ = ["KeptSides", "Subject", "compare", "measure", "predict"]
