"""Texts that try to act on a page, and reports that hold them."""

from __future__ import annotations

from typing import Any

from reports import CLASSES

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'); alert(1); ('",
    "<svg/onload=alert(1)>",
    "{{ 7 * 7 }}",
    "{% include '/etc/passwd' %}",
    "javascript:alert(1)",
    "<a href=https://evil.example>x</a>",
    "</pre><script src=//evil.example></script>",
    "</style><b>",
    "<!--",
    "-->",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0>",
    "&lt;script&gt;",
    "`rm -rf`",
    "| a | b |",
    "[x](javascript:alert(1))",
    "\u202egnp.exe",
    "<iframe srcdoc='x'>",
    "<form action=//evil.example>",
    "<link rel=stylesheet href=//e>",
    "<object data=x>",
    "<embed src=x>",
    "\x00",
    "onclick=alert(1)",
    "<details open ontoggle=alert(1)>",
    "<math><mi//xlink:href=data:x>",
    "expression(alert(1))",
    "${7*7}",
    "\x1b[2J",
    "see https://evil.example",
    "HTTP://evil.example",
    "WWW.evil.example",
    "@someone",
    "a@evil.example",
    "`@@www.@x`https://e",
    "x\u200b\u2060\ufeff",
    "tag\U000e0041\U000e007f",
]


KEYS = (
    *CLASSES,
    "f1",
    "by class",
    "change by class",
    "epochs",
    "engine",
    "torch",
    "f1_macro",
    "share",
    "small",
)
"""Keys of the reports in ``reports.py`` that the data, the recipe or a plugin chose."""
VALUES = (
    *CLASSES,
    "small",
    "tiny",
    "tokens",
    "free is slower than small",
    "the model ran on the cpu",
    "reviews",
    "accuracy",
    "someone/encoder",
    "quantize.onnx",
    "steps/01-small",
    "cpu",
    "print('an answer')\n",
    "Linux",
    "McNemar exact",
    ">= 99% of teacher",
    "97.8 % of teacher",
    "half",
    "dynamic",
    "stages.small.share=half",
)
"""Values of those reports that the data, the recipe or a plugin chose."""


def poisoned(value: Any, text: str) -> Any:
    """A report of ``reports.py`` with ``text`` in place of everything that the data, the recipe or
    a plugin chose."""
    if isinstance(value, dict):
        return {text if key in KEYS else key: poisoned(v, text) for key, v in value.items()}
    if isinstance(value, list):
        return [poisoned(v, text) for v in value]
    if isinstance(value, str) and (value in VALUES or value.startswith("task: ")):
        return text
    return value
