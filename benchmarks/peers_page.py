"""The tables of compress beside other tools in docs/results.md: benchmarks/results/peers.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compress.measurement import value_text

_SCORES = ("f1", "accuracy")


def headers(values: Mapping[str, Any]) -> list[str]:
    """Those of the table; the first score is the task's own."""
    return ["made by", "precision", _score(values), "model", "folder", "latency", "speed"]


def rows(values: Mapping[str, Any]) -> list[list[str]]:
    """A row for each model; its speed is beside the first, the float model of compress."""
    score = _score(values)
    return [
        [
            row["name"],
            row["precision"],
            f"{row[score]:.4f}",
            value_text(row["model_bytes"], "bytes"),
            value_text(row["folder_bytes"], "bytes"),
            f"{row['latency_ms']['value']:.2f} ms",
            "–" if place == 0 else _ratio(row["faster"][0]),
        ]
        for place, row in enumerate(values["rows"])
    ]


def beside(values: Mapping[str, Any]) -> str:
    """The fastest int8 model of compress beside each one of the other tools."""
    ours = [row for row in values["rows"] if row["tool"] == "compress" and _is_int8(row)]
    best = min(ours, key=lambda row: row["latency_ms"]["value"])
    score = _score(values)
    lines = [
        f"- {row['name']}: {_ratio(best['faster'][place])}, {score} {best[score] - row[score]:+.4f}"
        for place, row in enumerate(values["rows"])
        if row["tool"] != "compress" and _is_int8(row)
    ]
    return "\n".join([f"`{best['name']}` in int8 beside the others:", "", *lines])


def settings(values: Mapping[str, Any]) -> str:
    """The versions, and how it was timed."""
    given = values["settings"]
    pins = [pin for pins in given["pins"].values() for pin in pins]
    own = [f"{name}=={version}" for name, version in given["versions"].items()]
    return (
        f"{given['loads']} loads of {given['rounds']} rounds in turns; one text at a time. The "
        f"load of the machine was {given['load']:.1f} before. Other tools: "
        f"{', '.join(dict.fromkeys([*pins, *own]))}."
    )


def _score(values: Mapping[str, Any]) -> str:
    return next(name for name in _SCORES if name in values["rows"][0])


def _is_int8(row: Mapping[str, Any]) -> bool:
    return bool(row["precision"] == "int8")


def _ratio(value: Mapping[str, float]) -> str:
    return f"{value['value']:.2f}x [{value['low']:.2f}, {value['high']:.2f}]"
