"""What every test of distillation needs."""

from __future__ import annotations

from onethread import one_thread

__all__ = ["one_thread"]
