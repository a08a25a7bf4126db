"""What every test of distillation needs."""

from __future__ import annotations

from onethread import imports_are_no_garbage, one_thread

__all__ = ["imports_are_no_garbage", "one_thread"]
