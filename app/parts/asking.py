"""What the form of a computation asks for: choices, the command they make, what is wrong."""

from __future__ import annotations

import json
import shlex
from argparse import ArgumentError
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from landscape.compute.flags import folder_of, parser, resolve
from zarts.data.names import NAMES
from zarts.optimizers import METHODS
from zarts.runs.runfile import flat
from zarts.settings.config import Config, ConfigError, filled
from zarts.settings.presets import PRESETS, complete
from zarts.supernet.protocol import NETWORKS
from zarts.text import printable

__all__ = ["AUTO", "NEW", "Asked", "Choices", "ask", "defaults", "like", "python"]

MODULE = "landscape.compute"
AUTO = "auto"  # workers: one per core
NEW = "darts-1"  # what searches where nothing else is asked for, as on the command line
LONGEST = 2000  # letters of one choice, which a link may have made


@dataclass(frozen=True)
class Choices:
    """What the fields of the form say, as the link does: all of it text.

    Attributes:
        preset: Named settings, from which the others start.
        space: The search space.
        data: The images.
        seed: Of initialisation, data order, plane and draws.
        m: Inner steps M of the exact surface, or of several, with commas between them.
        grid: ROWSxCOLS.
        scale: Half of the plane's width in α: a number, ``unit`` or ``alpha``.
        workers: Processes, or ``auto``.
        methods: The optimizers that walk, with commas between them.
        more: Other settings, KEY=VALUE, one a line.
    """

    preset: str
    space: str
    data: str
    seed: str
    m: str
    grid: str
    scale: str
    workers: str
    methods: str
    more: str

    @classmethod
    def read(cls, text: str) -> Choices:
        """What ``str`` wrote.

        Raises:
            ValueError: If it did not write that.
        """
        table = json.loads(text)
        names = {field.name for field in fields(cls)}
        whole = isinstance(table, dict) and table.keys() == names
        if not (whole and all(isinstance(value, str) for value in table.values())):
            raise ValueError("holds no choices of this form")
        return cls(**table)

    def __str__(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(frozen=True)
class Asked:
    """What choices come to.

    Attributes:
        words: The command line after ``python``; of what can be used of the choices.
        problems: By field what is wrong with it; ``""``: with several of them together.
        config: The settings; None if something is wrong.
        folder: Where the run is, or will be; None likewise.
    """

    words: list[str]
    problems: Mapping[str, str]
    config: Config | None = None
    folder: Path | None = None

    def command(self, *more: str) -> str:
        """The command to be copied."""
        return shlex.join(["python", *self.words, *more])


def defaults(preset: str) -> Choices:
    """The form as a preset fills it."""
    return _filled(preset, complete(preset, NEW))


def like(stored: Mapping[str, Any]) -> Choices | None:
    """The form that asks for what a run was made with, from the preset that is closest.

    Args:
        stored: The settings of the run.

    Returns:
        Choices of which ``ask`` makes these settings; None if there are none, as for images or code
        of one's own, or if the command would need another run or a file beside them.
    """
    try:
        config = Config.from_table(filled(stored))
        elsewhere = config.source or config.search.origin
        if elsewhere or config.landscape.axes.startswith("pca:") or config.data.name not in NAMES:
            return None
        whole = config.to_table(whole=True)

        def others(config: Config) -> dict[str, str]:
            return flat(_changes(config.to_table(whole=True), whole))

        preset = min(PRESETS, key=lambda name: len(others(complete(name, NEW))))
        found = _filled(preset, config)
        begun = ask(found).config
        if begun is None:
            return None
        rest = (f"{key}={value}" for key, value in others(begun).items())
        found = replace(found, more="\n".join(rest))
    except ConfigError:
        return None
    return found if ask(found).config == config else None


def _filled(preset: str, config: Config) -> Choices:
    """The form with the settings that have a field of their own."""
    land = config.landscape
    scale = land.scale if isinstance(land.scale, str) else repr(land.scale).removesuffix(".0")
    return Choices(
        preset=preset,
        space=config.supernet.space,
        data=config.data.name,
        seed=str(config.seed),
        m=",".join(map(str, (*land.more_steps, land.steps))),
        grid=f"{land.rows}x{land.cols}",
        scale=scale,
        workers=AUTO,
        methods=",".join(config.paths.methods),
        more="",
    )


def ask(choices: Choices) -> Asked:
    """What choices come to, by the command's own flags and the checks of the settings.

    Each field is tried alone with the preset, so that what is wrong is said beside it.
    """
    if choices.preset not in PRESETS:  # nothing else can be tried without
        told = f"got {printable(choices.preset)[:40]}, expected one of: {', '.join(PRESETS)}"
        return Asked(["-m", MODULE], {"preset": told})
    usual, start = defaults(choices.preset), ["--preset", choices.preset]
    flags: dict[str, list[str]] = {}
    problems: dict[str, str] = {}
    for field in fields(choices):
        name, value = field.name, getattr(choices, field.name)
        if name == "preset" or value == getattr(usual, name):
            continue
        try:
            words = _flags(name, value)
            _checked([*start, *words])
        except ConfigError as error:
            problems[name] = printable(error)[:300]
        else:
            flags[name] = words
    order = ("m", "grid", "scale", "seed", "workers", "space", "data", "methods", "more")
    words = [*start, *(word for name in order for word in flags.get(name, ()))]
    line = ["-m", MODULE, *words]
    if problems:
        return Asked(line, problems)
    try:
        config, folder = _checked(words)
    except ConfigError as error:
        return Asked(line, {"": printable(error)[:300]})
    return Asked(line, {}, config, folder)


def _flags(name: str, value: str) -> list[str]:
    """The words of the command line for a field; raises ConfigError."""
    if len(value) > LONGEST:
        raise ConfigError(f"has {len(value)} letters, expected at most {LONGEST}")
    if name in ("seed", "workers"):
        if name == "workers" and value == AUTO:
            return []
        sign, digits = ("-", value[1:]) if value[:1] == "-" else ("", value)
        if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
            other = f" or {AUTO}" if name == "workers" else ""
            raise ConfigError(f"got {value!r}, expected a whole number{other}")
        return [f"--{name}", sign + digits]
    if name in _EXAMPLES:
        if (value[:1] == "-" and name == "grid") or not value.strip():
            raise ConfigError(f"got {value!r}, expected {_EXAMPLES[name]}")
        return ["--steps" if name == "m" else f"--{name}", value]
    if name == "methods":
        methods = [each for each in value.split(",") if each]
        return ["--set", f"paths.methods={json.dumps(methods, separators=(',', ':'))}"]
    if name == "more":
        lines = [line.strip() for line in value.splitlines() if line.strip()]
        return [word for line in lines for word in ("--set", line)]
    return ["--set", f"{ {'space': 'space', 'data': 'data.name'}[name] }={value}"]


_EXAMPLES = {
    "m": "M such as 10, or 2,5,10",
    "grid": "ROWSxCOLS such as 9x9",
    "scale": "a number > 0, unit or alpha",
}


def _checked(words: list[str]) -> tuple[Config, Path]:
    """Settings and run folder of a command line; raises ConfigError."""
    flags = parser()
    flags.exit_on_error = False
    try:
        args = flags.parse_args(words)
    except ArgumentError as error:
        raise ConfigError(str(error)) from None
    request = resolve(args)
    config = request.config
    own = [name for name in (config.search.method, *config.paths.methods) if name not in METHODS]
    if own:  # a link must not name code that a click then runs
        raise ConfigError(
            f"{printable(own[0])[:60]} is an optimizer of your own, which only the command line "
            f"runs; here: {', '.join(METHODS)}"
        )
    network = config.supernet.network
    if network not in NETWORKS:  # likewise
        raise ConfigError(
            f"{printable(network)[:60]} is a network of your own, which only the command line "
            f"runs; here: {', '.join(NETWORKS)}"
        )
    return config, folder_of(args, request)


def python(asked: Asked, choices: Choices) -> str:
    """The same computation in Python."""
    assert asked.config is not None
    changed = _changes(
        complete(choices.preset, NEW).to_table(whole=True), asked.config.to_table(whole=True)
    )
    given = f", {changed!r}" if changed else ""
    return (
        "from landscape import compute_run\nfrom zarts.settings.presets import complete\n\n"
        f"config = complete({choices.preset!r}, {NEW!r}{given})\n"
        f"compute_run(config, {str(asked.folder)!r})"
    )


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What differs in nested tables, as the second one has it."""
    found: dict[str, Any] = {}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            if inner := _changes(old, value):
                found[key] = inner
        elif value != old:
            found[key] = value
    return found
