"""Measuring artifacts as saved, each in a fresh process, with timings taken in turns."""

from __future__ import annotations

from compress.measure.instrument import compare, measure
from compress.measure.subjects import Request, Subject

__all__ = ["Request", "Subject", "compare", "measure"]
