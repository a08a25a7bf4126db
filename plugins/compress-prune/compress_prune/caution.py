"""What a report says of zeros, however little was measured."""

from __future__ import annotations

from typing import ClassVar

from compress.tracker import Report
from compress.view import Section, View
from compress_prune.unstructured import UnstructuredPruning


class ZerosView(View):
    """That zeros make nothing faster by themselves, where a step sets weights to zero."""

    name: ClassVar[str] = "prune.zeros"
    summary: ClassVar[str] = "Says what zeros are good for, where a step sets weights to zero."

    def section(self, report: Report) -> Section | None:
        """A line for each step that sets weights to zero; None without one."""
        names = [
            step["name"] for step in report["steps"] if step["stage"] == UnstructuredPruning.name
        ]
        if not names:
            return None
        return Section("Zeros", [_sentence(name) for name in names])


def _sentence(name: str) -> str:
    return (
        f"{name} sets weights to zero. The engines here store zeros and multiply by them like any "
        "number: no file gets smaller, and no engine faster that does not use them. What uses "
        "them: a compressed download, sparse kernels, and 2:4 on an NVIDIA GPU from Ampere on. "
        "prune.structured makes the tensors smaller."
    )
