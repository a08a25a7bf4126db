"""Options of ``distill`` against the sizes of its input, as far as a plan knows them. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from compress.architecture import KnownSizes, Layers
from compress.distilling import AttendingLoss, HiddenLoss, LossOptions
from compress.layers import all_stay, in_words, layer_mistakes, layers_left
from compress.stage import OptionMistake
from compress_distill.options import DistillOptions, StudentOptions, places_of_losses

_TAKE_FEWER = "take fewer, or leave student out and name a teacher"
_TAKE_LESS = "take less, or leave it out"


def student_sizes(options: DistillOptions, sizes: KnownSizes) -> KnownSizes:
    """The sizes of the student that is cut from an input of these ``sizes``."""
    student = options.student
    if not isinstance(student, StudentOptions):
        return sizes
    hidden = sizes.hidden
    if student.hidden is not None:
        hidden = student.width(hidden) if hidden or isinstance(student.hidden, int) else None
    return replace(sizes, layers=layers_left(student.kept, sizes.layers), hidden=hidden)


def size_mistakes(options: DistillOptions, sizes: KnownSizes) -> list[OptionMistake]:
    """A student that is not smaller than its input, or has what that has not; and losses that
    compare layers which the two do not have."""
    student = options.student
    cut = student if isinstance(student, StudentOptions) else None
    found = list(_of_student(cut, sizes)) if cut else []
    if found or (student is not None and cut is None):
        return found
    own = student_sizes(options, sizes).layers
    return list(_of_losses(options, own, sizes.layers if options.teacher is None else None))


def _of_student(student: StudentOptions, sizes: KnownSizes) -> Iterator[OptionMistake]:
    layers, option = sizes.layers, "student.layers"
    mistakes = layer_mistakes(student.kept, layers, option)
    yield from mistakes
    cuts_more = student.hidden is not None or student.embeddings is not None
    if not mistakes and not cuts_more and all_stay(student.kept, layers):
        message = f"{option}: {student.kept} cuts nothing from a model of {in_words(layers)}"
        yield OptionMistake(option, message, _TAKE_FEWER)
    width = sizes.hidden
    if width is None:
        return
    if student.hidden is not None and student.width(width) >= width:
        option, message = "student.hidden", f"the input's hidden width, {width}"
        message = f"{option}: {student.hidden} is not less than {message}"
        yield OptionMistake(option, message, _TAKE_LESS)
    elif student.embeddings is not None:
        yield from _of_rank(student, width, sizes.vocabulary)


def _of_rank(student: StudentOptions, width: int, tokens: int | None) -> Iterator[OptionMistake]:
    """The two matrices of low rank must be smaller than the one."""
    assert student.embeddings is not None
    own = width if student.hidden is None else student.width(width)
    most = own - 1 if tokens is None else max((tokens * own - 1) // (tokens + own), 1)
    if student.embeddings > most:
        message = (
            f"student.embeddings: rank {student.embeddings} makes embeddings of width {own} no "
            "smaller"
        )
        yield OptionMistake("student.embeddings", message, f"take at most {most}, or leave it out")


def _of_losses(
    options: DistillOptions, own: Layers, theirs: Layers | None
) -> Iterator[OptionMistake]:
    """Losses by layers that a student does not have, or its teacher. ``theirs`` is None where that
    is another model."""
    for place, losses in places_of_losses(options):
        for number, item in enumerate(losses):
            (kind,) = item.model_fields_set
            option = f"{place}.{number}.{kind}.layers"
            yield from _of_loss(item.chosen, option, own, theirs)


def _of_loss(
    loss: LossOptions, option: str, own: Layers, theirs: Layers | None
) -> Iterator[OptionMistake]:
    if not isinstance(loss, HiddenLoss | AttendingLoss) or loss.layers == "last":
        return
    if len(own) > 1:
        message = f"layers are compared in a model of one stack, and this one has {in_words(own)}"
        yield OptionMistake(option, message, "take layers: last")
    elif isinstance(loss.layers, Mapping):
        sides = [("student", own, max(loss.layers))]
        if theirs is not None:
            sides.append(("teacher", theirs, max(loss.layers.values())))
        for whose, layers, highest in sides:
            (count,) = layers.values()
            if count is not None and highest >= count:
                message = f"the {whose} has no layer {highest}"
                yield OptionMistake(option, message, f"its layers are 0 to {count - 1}")
