"""Real second processes for the tests of crashes, locks and concurrent readers."""

import multiprocessing
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess

import pytest

Start = Callable[..., BaseProcess]


@pytest.fixture
def start() -> Iterator[Start]:
    """Runs ``function(*args)`` in a forked process, killed after the test if it still runs."""
    processes: list[BaseProcess] = []

    def run(function: Callable[..., None], *args: object) -> BaseProcess:
        process = multiprocessing.get_context("fork").Process(target=function, args=args)
        with warnings.catch_warnings():  # newer Pythons warn of forks beside the threads of BLAS
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.kill()
        process.join()
