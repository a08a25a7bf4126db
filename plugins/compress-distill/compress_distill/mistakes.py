"""Options of ``distill`` that would teach nothing, or exclude each other. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compress.distilling import (
    LogitsLoss,
    loss_mistakes,
    needs_all,
    needs_teacher,
    of_kind,
    several_temperatures,
)
from compress.stage import OptionMistake
from compress.task import Task
from compress_distill.options import (
    DistillOptions,
    has_no_other,
    learns_labels_alone,
    phases_of,
    places_of_losses,
    weights_of_teachers,
)


def mistakes(options: DistillOptions) -> Iterator[OptionMistake]:
    """Combinations that would teach nothing, or exclude each other."""
    if options.student is None and options.teacher is None:
        yield OptionMistake(
            "student",
            "the student would be its own teacher",
            "give student: {layers: ...}, student: {type: ...} or a teacher",
        )
    yield from _mistakes_of_teachers(options)
    for option in {"losses", "epochs"} & options.model_fields_set if options.phases else ():
        yield OptionMistake(option, f"each of the phases has its own {option}", "leave it out")
    for place, losses in places_of_losses(options):
        yield from loss_mistakes(losses, place)
    for phase in phases_of(options):
        yield from _mistakes_of_keeping(phase)
    if options.unlabelled and not options.sequences and any(map(has_no_other, phases_of(options))):
        yield OptionMistake(
            "unlabelled",
            "rows without labels teach nothing where labels are the only loss",
            "add logits or hidden to losses, or leave unlabelled out",
        )


def mistakes_of_rows(options: DistillOptions, task: type[Task[Any]]) -> Iterator[OptionMistake]:
    """Rows to learn from that the task cannot make."""
    if not task.generates():
        for option in ("sequences", "on_policy"):
            if getattr(options, option):
                yield OptionMistake(
                    option, f"answers of {task.name} are not generated", "leave it out"
                )
    if options.augment and task.variation is Task.variation:
        yield OptionMistake("augment", f"{task.name} knows no way to vary a row", "leave it out")
    has_targets = any(column.is_target for column in task.columns)
    if options.unlabelled and has_targets and task.with_answer is Task.with_answer:
        yield OptionMistake(
            "unlabelled", f"rows of {task.name} take no answer as their target", "leave it out"
        )


def _mistakes_of_teachers(options: DistillOptions) -> Iterator[OptionMistake]:
    weights, teacher = weights_of_teachers(options), options.teacher
    every = [loss for phase in phases_of(options) for loss in phase.losses]
    if not weights:
        yield OptionMistake("teacher", "no teacher is named", "name one, or leave teacher out")
    if min(weights, default=1.0) <= 0:
        yield OptionMistake("teacher", "a teacher has a weight of 0 or less", "leave it out")
    if isinstance(teacher, list) and len(set(teacher)) < len(teacher):
        yield OptionMistake("teacher", "a teacher is named twice", "give weights: {a: 2, b: 1}")
    if len(weights) > 1 and not of_kind(every, LogitsLoss) and not learns_labels_alone(options):
        yield OptionMistake(
            "teacher",
            "of several teachers the answers are learned, and losses has no logits",
            "add logits to losses, or name one teacher",
        )
    if len(weights) > 1 and options.keep in ("sample", "top"):
        yield OptionMistake(
            "keep",
            f"keep: {options.keep} has a few choices of each teacher, which have no mean",
            "set keep: nothing or keep: all",
        )


def _mistakes_of_keeping(options: DistillOptions) -> Iterator[OptionMistake]:
    logits = of_kind(options.losses, LogitsLoss)
    if options.keep in ("sample", "top") and any(map(needs_all, logits)):
        yield OptionMistake(
            "keep",
            "losses has logits with a beta above 0 or with distance: mse, which needs the "
            "teacher's answer for all that its student may choose, and keep: "
            f"{options.keep} has a few choices",
            "set keep: nothing, keep: all or beta: 0",
        )
    if options.keep in ("auto", "sample", "top") and several_temperatures(options.losses):
        yield OptionMistake(
            "keep",
            "losses has logits at several temperatures, and choices are kept at one",
            "set keep: nothing, keep: all or one temperature",
        )
    if options.on_policy > 0 and options.keep in ("all", "sample", "top"):
        yield OptionMistake(
            "keep",
            f"on_policy is {options.on_policy:g}: the teacher answers while its student learns, "
            "and nothing can be kept",
            "leave keep out",
        )
    if needs_teacher(options.losses) and options.keep in ("all", "sample", "top"):
        yield OptionMistake(
            "keep",
            "losses has relations or attention, for which the teacher answers while its student "
            "learns, and nothing is kept",
            "leave keep out",
        )
    if options.on_policy > 0 and not logits:
        yield OptionMistake(
            "on_policy",
            "the teacher is asked about the student's own answers, and losses has no logits",
            "add logits to losses",
        )
