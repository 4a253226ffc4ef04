"""What every command is guarded against: closed streams, and memory that runs out. No torch."""

from __future__ import annotations

import errno
import os
import sys

__all__ = ["open_standard_streams", "out_of_memory"]


def out_of_memory(error: BaseException) -> str:
    """What to say if this is how Python, numpy, torch or the system say that memory ran out.

    Empty if it is not, or says itself what to do.
    """
    told = " ".join(str(error).split())
    system = isinstance(error, OSError) and error.errno == errno.ENOMEM
    # torch has no class of its own for what happens on a CPU
    in_words = isinstance(error, RuntimeError) and "memory" in told
    ours = isinstance(error, MemoryError) and told and not told.startswith("Unable to allocate")
    if ours or not (isinstance(error, MemoryError) or system or in_words):
        return ""
    return (
        f"memory ran out{f' ({told[:200]})' if told else ''}; use fewer --workers, smaller batches "
        "(data.batch_size, landscape.val_batch_size) or a smaller network (supernet.channels, "
        "supernet.lanes), or close other programs"
    )


def open_standard_streams() -> None:
    """Opens those of stdin, stdout and stderr that are closed, to nowhere.

    The next file to be opened would get the number otherwise, and all that is told with it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            os.set_inheritable(nowhere, True)
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
