"""The page that computes: its form, its command, and jobs that are real processes."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from landscape.record import Status, Surface, save_surface
from tests.app.conftest import LOSSES, Make, X, Y, look, said
from tests.tiny import wait_for
from zarts.runs.runfile import Run, RunError

pytestmark = pytest.mark.usefixtures("no_demo")
# What stands for the command: it says something, makes its run's folder, and waits to be stopped.
FAKE = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
print("search: 3/8 (38%), 1.5/s, about 3 s left epoch 1: fine", flush=True)
if "3x3" in sys.argv:
    sys.exit("error: no room for 3x3")
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("stopped; run the same command again to continue", flush=True)
"""


@pytest.fixture
def jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: None, parts: None
) -> Iterator[ModuleType]:
    """The book-keeping, with a fake command; what still runs at the end is killed."""
    found = importlib.import_module("parts.jobs")
    (tmp_path / "fake.py").write_text(FAKE)
    monkeypatch.setattr(found, "PYTHON", (sys.executable, "-S", str(tmp_path / "fake.py")))
    yield found
    for job in found.running(tmp_path / "runs"):
        os.killpg(int((job.folder / "process").read_text()), signal.SIGKILL)
        wait_for(lambda job=job: not job.running)


def begin(jobs: ModuleType, asking: ModuleType, runs: Path, **changed: str) -> object:
    choices = replace(asking.defaults("quick"), **changed)
    wanted = asking.ask(choices)
    return jobs.start(runs / wanted.folder.name, choices, wanted.words)


def test_a_job_lives_is_cancelled_and_goes_on(
    jobs: ModuleType, asking: ModuleType, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    job = begin(jobs, asking, runs)
    assert job.running
    wait_for(lambda: job.progress() is not None)
    told = jobs.Progress("search", 3, 8, "1.5", "3 s", "epoch 1: fine")
    assert job.progress() == told
    with pytest.raises(jobs.Busy, match="being computed already"):
        begin(jobs, asking, runs)
    # Nothing is in memory: whoever looks at the folder finds it.
    assert [each.name for each in jobs.running(runs)] == [job.name]
    jobs.find(runs)[0].cancel()
    wait_for(lambda: not job.running)
    assert job.cancelled == 1
    assert job.cause() == "It was asked to stop"
    job.cancel()  # of one that has ended
    assert job.cancelled == 1
    again = begin(jobs, asking, runs)
    assert again == job
    assert (job.running, job.cancelled) == (True, 0)
    assert job.choices() == asking.defaults("quick")


def test_one_that_does_not_listen_is_killed(
    jobs: ModuleType, asking: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "fake.py").write_text(FAKE.replace("signal.default_int_handler", "signal.SIG_IGN"))
    job = begin(jobs, asking, tmp_path / "runs")
    wait_for(lambda: job.progress() is not None)
    for often in (1, 2):
        job.cancel()
        assert (job.cancelled, job.running) == (often, True)
    job.cancel()
    wait_for(lambda: not job.running)


def test_the_cause_of_a_death(jobs: ModuleType, asking: ModuleType, tmp_path: Path) -> None:
    job = begin(jobs, asking, tmp_path / "runs", grid="3x3")
    wait_for(lambda: not job.running)
    assert job.cause() == "no room for 3x3"
    job = begin(jobs, asking, tmp_path / "runs")
    wait_for(lambda: job.progress() is not None)
    os.killpg(int((job.folder / "process").read_text()), signal.SIGKILL)
    wait_for(lambda: not job.running)
    assert "ended without a word" in job.cause()
    for line, done in ((f"run        {job.run}", False), (str(job.run), True)):
        (job.folder / "log").write_text(f"{line}\n")  # the plan names the run as well
        assert job.said_done is done


def test_two_at_a_time_however_many_click(
    jobs: ModuleType, asking: ModuleType, tmp_path: Path
) -> None:
    def click(seed: int) -> str:
        try:
            begin(jobs, asking, tmp_path / "runs", seed=str(seed))
        except jobs.Busy as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(click, range(6)))
    assert answers.count("") == 2
    assert sum("2 at a time at most" in answer for answer in answers) == 4
    assert len(jobs.running(tmp_path / "runs")) == 2


def test_a_killed_server_leaves_its_job(
    jobs: ModuleType, asking: ModuleType, root: Path, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    code = (
        "import sys, time; from pathlib import Path; from parts import asking, jobs\n"
        f"jobs.PYTHON = {jobs.PYTHON!r}; choices = asking.defaults('quick')\n"
        "wanted = asking.ask(choices)\n"
        f"jobs.start(Path({str(runs)!r}) / wanted.folder.name, choices, wanted.words)\n"
        "time.sleep(60)"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{root}:{root / 'app'}"},
    )
    wait_for(lambda: any(job.progress() for job in jobs.running(runs)))
    server.kill()
    server.wait()
    (job,) = jobs.running(runs)
    job.cancel()
    wait_for(lambda: not job.running)
    assert job.cause() == "It was asked to stop"


def test_what_lies_there_may_be_anything(
    jobs: ModuleType, asking: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    assert jobs.find(runs) == []
    place = runs / ".jobs"
    (place / "odd name").mkdir(parents=True)
    (place / "out").symlink_to(tmp_path)
    (place / "empty").mkdir()
    (place / "bad").mkdir()
    (place / "bad" / "asked.json").write_text('{"preset": 3}')
    assert {job.name for job in jobs.find(runs)} == {"empty", "bad"}
    for job in jobs.find(runs):
        with pytest.raises(RunError):
            job.choices()
        assert (job.running, job.lines(), job.progress()) == (False, [], None)
    full = OSError(28, "No space left on device")

    def fail(*_: object, **__: object) -> None:
        raise full

    monkeypatch.setattr(jobs.subprocess, "Popen", fail)
    with pytest.raises(RunError, match="No space left on device"):
        begin(jobs, asking, runs)
    assert jobs.running(runs) == []
    monkeypatch.setattr(os, "replace", fail)  # nothing was written: it is no job that died
    with pytest.raises(RunError, match="No space left on device"):
        begin(jobs, asking, tmp_path / "full")
    assert list(jobs.find(tmp_path / "full")) == []


def test_the_cost_is_the_command_s(jobs: ModuleType, tmp_path: Path) -> None:
    script = tmp_path / "fake.py"
    script.write_text(
        "import sys\nassert sys.argv[-2:] == ['--dry-run', '--json']\n"
        "print('cost       9 evaluations', file=sys.stderr)\nprint('{\"evaluations\": 9}')"
    )
    assert jobs.cost(["-m", "x"]) == jobs.Cost(["cost       9 evaluations"], {"evaluations": 9})
    script.write_text("import sys; sys.exit('error: no such data')")
    assert jobs.cost([]).wrong == "no such data"


def button(app: AppTest, label: str) -> object:
    return next(each for each in app.button if each.label == label)


def test_the_page_from_no_run_to_a_picture(
    jobs: ModuleType, root: Path, make: Make, tmp_path: Path
) -> None:
    assert "Or start it on the page Compute" in [
        link.proto.label for link in look(root, "runs").get("page_link")
    ]
    app = look(root, "compute", m="2", seed="7")
    assert "python -m landscape.compute --preset quick --steps 2 --seed 7" in said(app)
    assert app.query_params["grid"] == "9x9"
    assert not app.warning
    button(app, "Start").click().run()
    (job,) = jobs.running(tmp_path / "runs")
    wait_for(lambda: job.progress() is not None)
    app.run()
    assert "1 of at most 2 running" in said(app)
    assert button(app, "Start").disabled
    # What it finds appears, and Cancel and Resume are the job's.
    made = make(job.name, status=Status.PENDING)
    app.run()
    assert app.get("plotly_chart")
    button(app, "Cancel").click().run()
    wait_for(lambda: not job.running)
    app.run()
    assert "It was asked to stop. What it found is kept. 5 points are left" in said(app)
    button(app, "Resume").click().run()
    assert job.running
    done = np.full(LOSSES[10].shape, Status.OK, np.uint8)
    save_surface(Run.open(made.path), Surface(10, X, Y, LOSSES[10], done, 0 * LOSSES[10]))
    os.killpg(int((job.folder / "process").read_text()), signal.SIGKILL)
    wait_for(lambda: not job.running)
    app.run()
    assert ":green-badge[finished]" in said(app)


def test_a_link_with_what_cannot_be(jobs: ModuleType, root: Path) -> None:
    app = look(root, "compute", m="-3", space="s9", methods="darts-1,odd", more="x=1")
    words = said(app)
    assert "landscape.steps is -3, expected 0 or more" in words
    assert "“s9”, which is not here. Shown instead: s3" in words
    assert "No optimizer here is called odd" in words
    assert (button(app, "Start").disabled, button(app, "Cost").disabled) == (True, True)
    app.text_input(key="m quick").set_value("4").run()
    app.text_area(key="more quick").set_value("").run()
    assert not button(app, "Start").disabled
    assert app.query_params["m"] == "4"
    app.selectbox(key="preset").set_value("paper").run()
    assert (app.query_params["m"], app.query_params["grid"]) == ("10", "101x101")
    assert "python -m landscape.compute --preset paper\n" in said(app)


def test_a_dead_job_says_why(jobs: ModuleType, root: Path) -> None:
    app = look(root, "compute", grid="3x3")
    button(app, "Start").click().run()
    wait_for(lambda: not jobs.running(Path(os.environ["ZARTS_RUNS"])))
    app.run()
    assert ":red-badge[failed]" in said(app)
    assert app.error[0].value == "no room for 3x3\\."
    assert "search: 3/8 (38%)" in said(app)
    assert not button(app, "Resume").disabled
    app.text_input(key="seed quick").set_value("5").run()
    app.selectbox(key="preset").set_value("standard").run()
    button(app, "Edit a copy").click().run()
    shown = [app.query_params[name] for name in ("preset", "grid", "seed")]
    assert shown == ["quick", "3x3", "0"]
    assert app.text_input(key="grid quick1").value == "3x3"
    assert "python -m landscape.compute --preset quick --grid 3x3" in said(app)
    app.text_input(key="seed quick1").set_value("6").run()
    assert "--grid 3x3 --seed 6" in said(app)
    assert not app.warning


@pytest.mark.parametrize("reason", ["readonly", "address", "folder"])
def test_who_may_not_start_sees_the_command(
    reason: str, root: Path, local: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "readonly":
        monkeypatch.setenv("ZARTS_READONLY", "1")
    elif reason == "address":
        monkeypatch.setattr(ContextProxy, "ip_address", "10.0.0.7")
    elif reason == "folder":
        monkeypatch.setattr(os, "access", lambda *_: False)
    app = look(root, "compute")
    words = said(app)
    told = {"readonly": "ZARTS_READONLY is set", "address": "this browser is at 10.0.0.7",
            "folder": "may not write"}[reason]  # fmt: skip
    assert told in words
    assert "python -m landscape.compute --preset quick" in words
    assert not {each.label for each in app.button} & {"Cost", "Start"}
