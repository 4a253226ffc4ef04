"""Files with a correct seal that still are not records: refused by name before they are read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.zarts.runs.runfile.corpus import HOSTILE, build, sealed
from zarts.runs.runfile import FORMAT, CorruptFile, ForeignFile, read_record


def test_a_newer_format_is_named(tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(sealed(b"anything at all", FORMAT + 1))
    with pytest.raises(
        ForeignFile, match=f"has format {FORMAT + 1}, this version reads up to {FORMAT}; upgrade"
    ):
        read_record(path)


def test_sealed_rubbish_is_one_clear_error(tmp_path):
    (tmp_path / "a.h5").write_bytes(sealed(b"rubbish" * 300))
    with pytest.raises(CorruptFile, match="HDF5 cannot read it"):
        read_record(tmp_path / "a.h5")


def test_hostile_constructs_are_refused_by_name_at_once_and_in_little_memory(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = build(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tests.zarts.runs.runfile.corpus", *map(str, files)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    told = json.loads(done.stdout)
    assert told["megabytes"] < 300
    for put, cause in HOSTILE.items():
        kind, text, seconds = told["refused"][put.__name__]
        assert kind == "ForeignFile"
        assert f"{put.__name__}.h5: " in text
        assert cause in text
        assert seconds < 1, (put.__name__, seconds)


@pytest.mark.parametrize(
    "text", [b"{", b"\xff", b'{"a": "\\ud800"}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}"]
)
def test_bad_json_behind_a_seal_is_one_clear_error(tmp_path, text):
    with h5py.File(tmp_path / "body", "w", libver=("v110", "v110")) as file:
        file.attrs["attributes"] = np.bytes_(text)
    (tmp_path / "a.h5").write_bytes(sealed((tmp_path / "body").read_bytes()))
    with pytest.raises(CorruptFile):
        read_record(tmp_path / "a.h5")
