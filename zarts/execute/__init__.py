"""Where independent work runs: here, in processes or on a cluster, with the same values from each.

Items go in, results come out in any order, and the caller is the only one who writes. A worker that
dies takes nothing with it: its item is given to another, three times at most.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

from zarts.execute.cluster import Cluster
from zarts.execute.connect import ClusterError, reach
from zarts.execute.crew import Backlog, Crew, Engine
from zarts.execute.messages import marked
from zarts.execute.outcome import ATTEMPTS, Failure, ItemT, Outcome, StateT, ValueT
from zarts.execute.processes import Processes, default_workers

__all__ = ["ATTEMPTS", "ClusterError", "Failure", "Outcome", "default_workers", "reach", "run"]


def run(
    setup: Callable[[], StateT],
    work: Callable[[StateT, ItemT], Iterator[ValueT]],
    items: Iterable[ItemT],
    *,
    workers: int | None = 1,
    cluster: str | None = None,
    gpus: int = 0,
    devices: Sequence[str] = (),
    apart: bool = False,
    limit: Callable[[ItemT], float] | None = None,
    split: Callable[[ItemT], Sequence[ItemT]] | None = None,
    check: Callable[[], None] = lambda: None,
) -> Generator[Outcome[ItemT, ValueT], None, None]:
    """Does the work of every item; close it to end the workers early.

    Args:
        setup: Makes what ``work`` needs, once per worker. Pickled, unless the work is done here.
        work: Yields at least one value per item; the last is its result. Pickled, as all items and
            values are, unless the work is done here. What it raises stops everything and is raised
            here, with the traceback of the worker as a note; values in hand are yielded before.
        items: Hashable and not None; dealt out in this order, so put long ones first.
        workers: How many; without a cluster, 1 works in this process. On a cluster, None or 0 uses
            what it offers, and more as machines join it.
        cluster: ``"local"`` for a Ray cluster of this machine that lives as long as the run, or
            HOST:PORT of one that this machine is part of. Needs ``pip install zarts[cluster]``.
        gpus: GPUs a worker on a cluster gets for itself; it always gets one core.
        devices: GPUs of this machine, named as in CUDA_VISIBLE_DEVICES; each process sees one.
        apart: Whether one worker is a process too, so that ``limit`` holds and what ends it does
            not end the caller.
        limit: Seconds the work of an item may take, not counting the setup; asked again at each
            poll. A worker that takes longer is killed and replaced, which is a failed attempt. Not
            enforced when the work is done here.
        split: The pieces to try one by one when the worker of an item died or took too long. They
            inherit its failed attempts, so that a piece that kills workers costs ``ATTEMPTS`` of
            them in all. Split into the smallest pieces at once: what kills its worker a last time
            fails as a whole.
        check: Asked several times a second; raises to stop, which ends the workers.

    Yields:
        Values of all items, in any order; every item, or each of its pieces, ends with a final one.

    Raises:
        ValueError: If ``workers`` is less than 1.
        ChildProcessError: If processes cannot start, as from a script without a main guard.
        ClusterError: If the cluster cannot be used; the text says why.
        ModuleNotFoundError: If a cluster is asked for and Ray is not installed.
    """
    if workers is None or workers < 1:
        if cluster is None or (workers or 0) < 0:
            raise ValueError(f"got {workers} workers, expected 1 or more")
        workers = None
    backlog = Backlog(items, split or (lambda item: (item,)))
    if not backlog:
        return
    engine: Engine[ItemT]
    if cluster is not None:
        engine = Cluster(setup, work, cluster, workers, gpus)
    elif workers == 1 and not apart:
        yield from _here(setup, work, backlog, check)
        return
    else:
        assert workers is not None
        engine = Processes(setup, work, workers, devices)
    crew = Crew(engine, backlog, limit or (lambda item: float("inf")))
    try:
        yield from crew.do(check)
    finally:
        crew.dismiss()
        engine.close()


def _here(
    setup: Callable[[], StateT],
    work: Callable[[StateT, ItemT], Iterator[ValueT]],
    backlog: Backlog[ItemT],
    check: Callable[[], None],
) -> Iterator[Outcome[ItemT, ValueT]]:
    state = setup()
    while backlog:
        item = backlog.take()
        for value, final in marked(work(state, item)):
            yield Outcome(item, value, final)
            check()  # not before: what is done must reach the caller
