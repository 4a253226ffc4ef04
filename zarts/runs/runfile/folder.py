"""One run: a folder of records around ``run.h5``, which says what the run is."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy.typing as npt

from zarts.runs.runfile.disk import (
    ConfigMismatch,
    ForeignFile,
    RunError,
    commit,
    make_folder,
    one_line,
)
from zarts.runs.runfile.locking import locked
from zarts.runs.runfile.record import (
    JSON,
    Record,
    canonical,
    hash_arrays,
    most_bytes,
    read_record,
    seal,
    write_record,
)

__all__ = [
    "NAME_RULE", "RUN_FILE", "Run", "differences", "flat", "run_path", "runs_root", "valid_name"
]  # fmt: skip

T = TypeVar("T")

RUN_FILE = "run.h5"
_MAX_PARTS = 4
_OWNER = "owner"  # attribute of each record: the run it is of
_TRANSIENT_RECORD = "checkpoint"
_TRANSIENT_ARRAYS = ("timing", "attempts")  # differ between equal runs
# Arrays below this name follow from what is hashed, and runs of before they were stored are equal
# to those that have them.
_DERIVED = "derived/"


@dataclass(frozen=True)
class Run:
    """A run on disk. One process writes it, under ``lock``; any number may read it meanwhile.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from zarts import Run
        >>> with TemporaryDirectory() as folder:
        ...     run = Run.create(Path(folder), {"seed": 0}, provenance={})
        ...     Run.open(run.path).config
        {'seed': 0}

    Attributes:
        path: The folder.
        config: The configuration, as nested JSON.
        provenance: Where the numbers come from: command, seed, versions, commit, data.
    """

    path: Path
    config: dict[str, JSON] = field(repr=False)
    provenance: dict[str, JSON] = field(repr=False)

    @property
    def name(self) -> str:
        """The folder's name, which is the run's."""
        return self.path.name

    @classmethod
    def create(
        cls,
        path: Path,
        config: Mapping[str, JSON],
        provenance: Mapping[str, JSON],
        *,
        toml: str | None = None,
    ) -> Run:
        """Makes the run, or returns the one that is there if its configuration is the same.

        Args:
            path: The folder; made if missing.
            config: The configuration.
            provenance: Stored when the run is made; an existing run keeps its own.
            toml: The configuration as text, for people; stored beside the run as ``config.toml``.

        Returns:
            The run as it is stored.

        Raises:
            ConfigMismatch: If the folder holds a run of another configuration.
            RunError: If the name is not a run's name, or the folder cannot be written.
        """
        if not valid_name(path.name):
            raise RunError(f"{path}: {path.name!r} cannot name a run; {NAME_RULE}")
        content: dict[str, JSON] = {"config": dict(config), "provenance": dict(provenance)}
        asked = json.loads(canonical(content))
        file = path / RUN_FILE
        if not os.path.lexists(file):
            make_folder(path)
            with cls(path, asked["config"], asked["provenance"]).lock():
                if not os.path.lexists(file):  # another process may have been faster
                    if toml is not None:
                        commit(path / "config.toml", toml.encode())
                    write_record(file, {}, asked)
        run = cls.open(path)
        if found := differences(run.config, asked["config"]):
            raise ConfigMismatch(path, found)
        return run

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Opens an existing run; writes nothing.

        Raises:
            RunError: If there is no run, or its file cannot be read (see ``read_record``).
            ForeignFile: If the file is a record but not that of a run.
        """
        path = Path(path)
        file = path / RUN_FILE
        if not os.path.lexists(file):
            raise RunError(f"{path}: holds no run ({RUN_FILE} is missing); check the name")
        # it holds text only, so listing runs is cheap whatever lies there
        attributes = read_record(file, most_bytes("run")).attributes
        config, provenance = attributes.get("config"), attributes.get("provenance")
        if not isinstance(config, dict) or not isinstance(provenance, dict):
            raise ForeignFile(f"{file}: is a record but not that of a run")
        return cls(path, config, provenance)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the right to write, and clears what a killed writer left half written.

        The system releases the lock when its holder ends, however it ends.

        Raises:
            RunLocked: If another process holds it; names the holder.
            RunError: If the folder cannot be written.
        """
        with locked(self.path):
            yield

    def amend(self, provenance: Mapping[str, JSON]) -> None:
        """Adds to the provenance, here and on disk; for the holder of the lock.

        Raises:
            RunError: If the run cannot be written.
        """
        self.provenance.update(provenance)
        content: dict[str, JSON] = {"config": self.config, "provenance": self.provenance}
        write_record(self.path / RUN_FILE, {}, content)

    def write(
        self,
        name: str,
        arrays: Mapping[str, npt.ArrayLike],
        attributes: Mapping[str, JSON] | None = None,
    ) -> None:
        """Stores or replaces a record; once this returns it survives a crash and a power cut.

        Args:
            name: Such as ``"checkpoint"`` or ``"search/epoch-0003"``.
            arrays: See ``write_record``.
            attributes: Labels; not part of ``content_hash``.

        Raises:
            ValueError: If the name or the content is not one that can be stored.
            RunError: If the record cannot be written; an older one of this name is then intact.
        """
        file = self._file(name)
        make_folder(file.parent)
        write_record(file, arrays, {**(attributes or {}), _OWNER: self._identity})

    def read(self, name: str) -> Record:
        """Reads a record.

        Raises:
            RunError: If there is none of this name, or it is not readable; see ``read_record``.
            ForeignFile: If it is of another run.
        """
        file = self._file(name)
        if not os.path.lexists(file):
            known = ", ".join(self.names()) or "none yet"
            raise RunError(f"{self.path}: has no record {name!r}; it has {known}")
        return self.owned(file, read_record(file, most_bytes(name)))

    def owned(self, file: Path, record: Record) -> Record:
        """The record as its writer gave it, if it is of this run; those of old say nothing of it.

        A copy of a file into another run would have a whole seal, and mix what two runs found.

        Raises:
            ForeignFile: If it is of a run of other settings or other data.
        """
        attributes = dict(record.attributes)
        if attributes.pop(_OWNER, self._identity) != self._identity:
            raise ForeignFile(
                f"{file}: is of a run of other settings or data; put back the one of this run, "
                "or delete it"
            )
        return Record(record.arrays, attributes)

    @cached_property
    def _identity(self) -> str:
        """What the runs whose records may be put together have in common; equal on all devices."""
        config = {key: value for key, value in self.config.items() if key != "device"}
        data = self.provenance.get("data_fingerprint")
        text = canonical({"config": config, "data": data})
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def parse(self, name: str, parse: Callable[[Record], T]) -> T:
        """Reads a record and makes something of it.

        Raises:
            ForeignFile: If it lacks what ``parse`` looks for, or has it in another form.
            RunError: As ``read``.
        """
        record = self.read(name)
        try:
            return parse(record)
        except (LookupError, TypeError, ValueError) as error:
            raise ForeignFile(
                f"{self._file(name)}: is not a record as this version knows it "
                f"({type(error).__name__}: {one_line(error)}); restore or delete it"
            ) from error

    def __contains__(self, name: str) -> bool:
        return _is_regular(self._file(name))

    def names(self) -> list[str]:
        """The names of all records, sorted."""
        found = []
        for folder, _, files in os.walk(self.path):
            for file in files:
                name = (Path(folder) / file).relative_to(self.path).as_posix().removesuffix(".h5")
                if file.endswith(".h5") and _record_name(name) and _is_regular(Path(folder) / file):
                    found.append(name)
        return sorted(found)

    def seals(self) -> list[tuple[str, str]]:
        """Name and seal of each record: other ones once there is other content, and only then.

        A seal is the SHA-256 that a record has at its head, so this reads 512 bytes of each, and
        the size, which an interrupted copy has wrong. Whether the content is whole is for ``read``.
        """
        return [(name, seal(self._file(name))) for name in self.names()]

    def content_hash(self) -> str:
        """SHA-256 over what two equal runs have in common: the configuration and the arrays.

        Left out are attributes, the record ``checkpoint``, arrays whose last name begins with
        ``timing`` or ``attempts``, and arrays and records below ``derived/``.
        """
        digest = hashlib.sha256(canonical(self.config).encode())
        for name in self.names():
            if name != _TRANSIENT_RECORD and not name.startswith(_DERIVED):
                arrays = {
                    key: array
                    for key, array in self.read(name).arrays.items()
                    if not key.split("/")[-1].startswith(_TRANSIENT_ARRAYS)
                    and not key.startswith(_DERIVED)
                }
                digest.update(json.dumps([name, len(arrays)]).encode())
                hash_arrays(digest, arrays)
        return digest.hexdigest()

    def _file(self, name: str) -> Path:
        if not _record_name(name):
            raise ValueError(f"record name {name!r} cannot be 'run'; in each part {NAME_RULE}")
        file = self.path / f"{name}.h5"
        for folder in file.parents[: name.count("/")]:
            if folder.is_symlink():  # listed by nothing, so not to be written or read either
                raise RunError(f"{folder}: is a symbolic link, which is not followed; remove it")
        return file


NAME_RULE = "use 1 to 80 letters, digits, '.', '_' or '-', the first not '.'"


def valid_name(name: str) -> bool:
    """Whether a text can name a run or a part of a record: safe in a path, a URL and a shell."""
    return re.fullmatch(r"(?!\.)[A-Za-z0-9._-]{1,80}", name) is not None


def runs_root() -> Path:
    """The folder of all runs: $ZARTS_RUNS, else ``runs`` in the current folder."""
    return Path(os.environ.get("ZARTS_RUNS") or "runs")


def run_path(named: Path | str) -> Path:
    """The folder of a run as people name it: a path, or a name in the folder of all runs."""
    path = Path(named)
    return runs_root() / path if valid_name(str(path)) and not os.path.lexists(path) else path


def _record_name(name: str) -> bool:
    parts = name.split("/")
    return name != "run" and len(parts) <= _MAX_PARTS and all(valid_name(part) for part in parts)


def _is_regular(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except OSError:
        return False


_leaf = json.JSONEncoder(ensure_ascii=False).encode


def flat(value: JSON, prefix: str = "") -> dict[str, str]:
    """Leaves of a nested configuration by dotted key, as JSON text."""
    if isinstance(value, str | int | float):
        return {prefix: _leaf(value)}  # as canonical writes it, which takes much longer
    if isinstance(value, Mapping) and (value or not prefix):
        leaves: dict[str, str] = {}
        for key in value:
            leaves |= flat(value[key], f"{prefix}.{key}" if prefix else key)
        return leaves
    return {prefix: canonical(value)}


def differences(stored: Mapping[str, JSON], asked: Mapping[str, JSON]) -> list[str]:
    """One text per differing key of two configurations, ``"search.seed: stored 0, asked 1"``."""

    def short(text: str) -> str:
        return text if len(text) <= 80 else f"{text[:40]}… ({len(text)} characters)"

    before, after = flat(stored), flat(asked)
    return [
        f"{key}: stored {short(before.get(key, 'nothing'))}, "
        f"asked {short(after.get(key, 'nothing'))}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]
