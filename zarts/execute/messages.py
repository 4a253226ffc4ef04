"""What a worker says about an item, whichever way it is connected."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from multiprocessing.reduction import ForkingPickler
from typing import Any, Literal

from zarts.execute.outcome import ItemT, StateT, ValueT

__all__ = ["Message", "marked", "messages", "portable"]

Kind = Literal["ready", "progress", "final", "error"]
Message = tuple[Kind, Any]  # "ready": can take an item; "error": an exception for the caller


def marked(values: Iterator[ValueT]) -> Iterator[tuple[ValueT, bool]]:
    """Each value and whether it is the last.

    Raises:
        ValueError: If there is none.
    """
    try:
        last = next(values)
    except StopIteration:
        raise ValueError("work yielded nothing, expected one value or more per item") from None
    for value in values:
        yield last, False
        last = value
    yield last, True


def messages(
    work: Callable[[StateT, ItemT], Iterator[object]], state: StateT, item: ItemT
) -> Iterator[Message]:
    """The values of an item as messages; an exception ends them as a message too."""
    try:
        for value, final in marked(work(state, item)):
            yield ("final" if final else "progress"), value
    except BaseException as error:  # noqa: BLE001 - raised again where the caller is
        yield "error", portable(error)


def portable(error: BaseException) -> BaseException:
    """The error with its traceback as a note; or an account of it, if it cannot be pickled."""
    where = "".join(traceback.format_exception(error))
    try:
        # both ways: some can be written but not read, as their __init__ wants other arguments
        ForkingPickler.loads(ForkingPickler.dumps(error))
    except Exception:  # noqa: BLE001 - it is the error's own code that runs here
        error = RuntimeError("".join(traceback.format_exception_only(error)).strip())
    error.add_note(f"in a worker:\n{where}")
    return error
