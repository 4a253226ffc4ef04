"""The sections of a config: frozen dataclasses with the settings of each part. No torch in here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, Unpack

from zarts.optimizers import METHODS

__all__ = [
    "METHOD_NAMES",
    "MOST_LANES",
    "DataConfig",
    "LandscapeConfig",
    "PathsConfig",
    "SearchConfig",
    "SupernetConfig",
    "later",
    "setting",
    "without_later_defaults",
]

METHOD_NAMES = tuple(METHODS)
# Upper bounds are beyond what anybody computes, and before what would fill memory or overflow.
MOST_LANES = 64
_SINCE = "since"


class Bounds(TypedDict, total=False):
    """What a number may be; what is not named has no bound.

    Attributes:
        least: It, or more.
        most: It, or less.
        above: More than it.
    """

    least: float
    most: float
    above: float


def setting(default: Any, **bounds: Unpack[Bounds]) -> Any:  # noqa: ANN401 - the field's own type
    """A setting with bounds, which ``Config.from_table`` checks."""
    return dataclasses.field(default=default, metadata=bounds)


def later(default: Any, **bounds: Unpack[Bounds]) -> Any:  # noqa: ANN401 - the field's own type
    """A setting that runs of commit 382ea1a do not have.

    Its default is, for ever, what that commit does: presets ask for new behaviour. It is left out
    of stored settings and of hashes while it has its default, so it changes no run that does not
    ask for it. A rule that changes gets a new value, never a new meaning of an old one.
    """
    return dataclasses.field(default=default, metadata={_SINCE: "382ea1a", **bounds})


def without_later_defaults(section: Any, table: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """The table of a dataclass of settings, without later settings that have their default."""
    kept = {}
    for spec in dataclasses.fields(section):
        value = getattr(section, spec.name)
        if dataclasses.is_dataclass(value):
            kept[spec.name] = without_later_defaults(value, table[spec.name])
        elif _SINCE not in spec.metadata or value != spec.default:
            kept[spec.name] = table[spec.name]
    return kept


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how batches are made of them.

    Attributes:
        name: ``packaged``, a torchvision data set, see ``zarts.data.loaders``, FILE.npz with arrays
            of one's own, or a name that ``register_dataset`` gave. Where it lies is no setting but
            the environment variable ZARTS_DATA, and a file is what its content is: no run depends
            on a folder.
        subset: Use the first so many images of each half; 0: all.
        portion: Share of D_train (DARTS: one half).
        batch_size: Images per batch of the outer training and of L_val in a search (paper: 64).
        augment: ``standard``: random crop with padding 4 and horizontal flip, on both halves as in
            DARTS; ``none``.
        cutout: Side of the square that is cut out, in pixels; 0: none, as in the searches of DARTS
            and ZARTS.
        cutout_schedule: ``constant``: every image; ``rising``: with a probability that rises
            linearly from 0 in the first epoch of the search to 1 in the last (R-DARTS).
        downscale: Average so many pixels on each axis to one before anything else (NAS on small
            images, as ImageNet16 in NAS-Bench-201); 1: full size. The crop's padding shrinks too.
        last_batch: What becomes of the images left over when D_train or D_val is cut into batches:
            ``drop``; ``keep``: ω is trained on a smaller last batch in every epoch, and "all of
            D_val" is all of it, every image counting the same. A single image joins the batch
            before. Inner batches and those that candidates are scored on in a search are whole.
        split: How D_train and D_val are cut: ``order``: by index, as DARTS does; ``stratified``:
            each class by index, so that both have every class. The commands ask for the latter
            where ``name`` is ``folder`` or FILE.npz and nobody names one.
        share: Share of the images that is used at all, drawn at random (ImageNet: a quarter).
        size: Side in pixels to which images of ``folder`` and ``imagenet`` are brought, or
            HEIGHTxWIDTH: they are scaled until they cover it and the centre is cut out; 0: 32 for
            ``folder``, 224 for ``imagenet``.
        channels: Of images of ``folder`` and ``imagenet``: 3, or 1 for grey; 0: 3.
        storage: Images of ``folder`` and ``imagenet`` are all in ``memory``, or ``stream`` from
            their files batch by batch, which the commands ask for where ``name`` is ``imagenet``
            and nobody names one.
    """

    name: str = "packaged"
    subset: int = setting(0, least=0)
    portion: float = setting(0.5, above=0)
    batch_size: int = setting(64, least=2)  # BatchNorm needs two values of each channel
    augment: Literal["standard", "none"] = "standard"
    cutout: int = setting(0, least=0)
    downscale: int = setting(1, least=1)
    cutout_schedule: Literal["constant", "rising"] = later("constant")
    last_batch: Literal["drop", "keep"] = later("drop")
    split: Literal["order", "stratified"] = later("order")
    share: float = later(1.0, above=0, most=1)
    size: str | float = later(0.0)
    channels: int = later(0)
    storage: Literal["memory", "stream"] = later("memory")

    @property
    def sides(self) -> tuple[int, int] | None:
        """Height and width that ``size`` asks for; None: the data set's own.

        Raises:
            ValueError: If it is no size.
        """
        if self.size == 0:
            return None
        text = f"{self.size:g}" if isinstance(self.size, float) else self.size
        found = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", text)
        height, width = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if min(height, width) < 1:
            raise ValueError(
                f"data.size is {self.size!r}, expected a side from 1 to 9999 such as 96, or "
                "HEIGHTxWIDTH such as 96x128"
            )
        return height, width


@dataclass(frozen=True)
class SupernetConfig:
    """The network that contains all architectures.

    Attributes:
        space: A name in ``zarts.supernet.spaces``: ``s1`` to ``s4``, ``s5`` (DARTS) or ``s6``
            (DARTS without ``none``).
        channels: C of the first cells, 16 in the paper.
        cells: L, 8 in the paper; cells L//3 and 2L//3 reduce.
        stem: ``cifar`` or ``imagenet`` (two more halvings).
        stack_below: Bytes of an edge's image up to which all edges of a source are convolved in one
            call, and ...
        matmul_from: ... channels from which that is a matrix product; beyond that size on a CPU,
            four times as many (``supernet.kernels``). Kept with the run, so that a resumed one has
            the same last digits.
        lanes: How many candidates with an ω of their own (M >= 1) are computed side by side; 0:
            four on a CPU where images are small, else one; up to eight on a GPU, by size. On a
            CPU their channels must fill whole vectors, or lanes would differ in last digits. A run
            keeps the number it began with.
        layout: Of images in memory: channels ``last``, which is fast on a CPU, or ``first``.
        phases: Whether dilated convolutions are plain ones of pixel phases (``on``), which is fast
            on a CPU. On a GPU a short measurement chooses ``stack_below``, ``layout`` and
            ``phases``, where they have their defaults, when a run begins; it is stored with the run
            (``zarts.runs.choices``).
        network: How it is computed, a name in ``zarts.supernet.protocol``: ``fast``, or ``plain``:
            edge by edge as it is usually written, to compare with and to start a variant from.
            Their values differ in the last digits; both can read each other's ω. ``sampled``: of
            each edge one drawn operation (GDAS, GZAS). ``merged``: one kernel for the convolutions
            of an edge (MergeNAS, MergeZARTS), with an ω of its own. ``MODULE:CLASS``: one of
            one's own, such as a subclass of ``zarts.PlainSupernet``.
    """

    space: str = "s6"
    channels: int = setting(16, least=1)
    cells: int = setting(8, least=1, most=1000)
    stem: Literal["cifar", "imagenet"] = "cifar"
    stack_below: int = setting(1 << 19, least=0)
    matmul_from: int = setting(16, least=1)
    lanes: int = setting(0, least=0, most=MOST_LANES)
    network: str = later("fast")
    layout: Literal["last", "first"] = later("last")
    phases: Literal["on", "off"] = later("on")


@dataclass(frozen=True)
class SearchConfig:
    """How α and ω are trained (ZARTS Alg. 1, DARTS Alg. 1).

    Attributes:
        method: What moves α: ``darts-1``, ``darts-2``, ``darts-m``, ``implicit``, ``zarts-rs``,
            ``zarts-mgs``, ``zarts-gld``, or MODULE:CLASS of one's own.
        epochs: Passes over D_train.
        warmup: First epochs that train ω only (ZARTS: 10).
        period: ω steps per α update (ZARTS: 10, DARTS: 1).
        learning_rate: Of ω, falling to ``learning_rate_min`` along a cosine, once per epoch.
        learning_rate_min: Its end.
        momentum: Of ω's SGD.
        weight_decay: Of ω's SGD.
        clip: Largest gradient norm of ω's SGD; 0: no clip.
        inner_steps: M; DARTS uses its order − 1.
        inner_learning_rate: Of the M steps; 0: the current rate of ω.
        inner_batch_size: Images per inner batch (48 in the released code).
        inner_batches: ``own``: drawn from D_train for this purpose; ``next``: the coming training
            batches, as DARTS-2nd does.
        inner_velocity: ``zero``, or ``copy`` ω's momentum buffer (DARTS-2nd).
        inner_clip: Clip of the inner steps; 0: no clip (DARTS-2nd).
        sigma_schedule: Of MGS' σ: ``cosine`` to almost zero at the last epoch, or ``constant``.
        snapshots: Epochs whose ω is kept (counted from 1); the last is always kept.
        draws: How often the network draws (``noise``, sampled operations) on each batch of L_val,
            which is the mean over these draws.
        gumbel_temperature: τ of the gradient of sampled operations in the first epoch, ...
        gumbel_temperature_end: ... on a line to that of the last one (GDAS: 10 to 0.1). Values do
            not depend on it.
        program: Of what stages the search is made, a name in ``zarts.settings.stages``; ``plain``:
            of one.
        stage_cells: Of ``program = staged``: L of each stage, in place of ``supernet.cells``. Each
            has ``epochs`` epochs.
        stage_drops: Operations that each edge loses at the end of each stage but the last.
        stage_dropout: Rate of the dropout after skip connections in each stage, whose schedule is
            in ``zarts.settings.staged``; none: 0.
        stop_every: Of ``early-stop`` and ``adaptive-decay``: epochs between two measurements of the
            curvature that they watch, ...
        stop_start: ... the first epoch they may return to, counted from 0, and ...
        stop_ratio: ... how much it must have risen (``zarts.settings.stopping``).
        drop_path: Probability that the output of an edge is dropped for an image, in the last
            epoch; it rises linearly from 0 in the first.
        derivation: How cells are read off α, a rule of ``zarts.supernet.derivation``.
        alpha: α at the start (d,), raw logits; none: drawn. With a warm-up of all epochs it stays
            as it is and ω alone is trained, which is what ``--alpha`` asks for.
        origin: Run, epoch and content of the α and ω that the search begins with (set by
            ``--from``); empty: both are new.
    """

    method: str = "zarts-mgs"
    epochs: int = setting(50, least=1)
    warmup: int = setting(0, least=0)
    period: int = setting(1, least=1)
    learning_rate: float = setting(0.025, above=0)
    learning_rate_min: float = setting(0.001, least=0)
    momentum: float = setting(0.9, least=0)
    weight_decay: float = setting(3e-4, least=0)
    clip: float = setting(5.0, least=0)
    inner_steps: int = setting(10, least=0)
    inner_learning_rate: float = setting(0.0, least=0)
    inner_batch_size: int = setting(48, least=2)
    inner_batches: Literal["own", "next"] = "own"
    inner_velocity: Literal["zero", "copy"] = "zero"
    inner_clip: float = setting(5.0, least=0)
    sigma_schedule: Literal["cosine", "constant"] = "cosine"
    snapshots: tuple[int, ...] = ()
    draws: int = later(1, least=1, most=1000)
    gumbel_temperature: float = later(1.0, above=0)
    gumbel_temperature_end: float = later(1.0, above=0)
    program: str = later("plain")
    stage_cells: tuple[int, ...] = later(())
    stage_drops: tuple[int, ...] = later(())
    stage_dropout: tuple[float, ...] = later(())
    stop_every: int = later(2, least=1)
    stop_start: int = later(10, least=0)
    stop_ratio: float = later(1.3, above=0)
    drop_path: float = later(0.0, least=0, most=0.99)
    derivation: Literal["darts", "gdas", "pdarts"] = later("darts")
    alpha: tuple[float, ...] = later(())
    origin: str = later("")


@dataclass(frozen=True)
class LandscapeConfig:
    """The plane and the grid of Fig. 1 (a), (b).

    Attributes:
        steps: M of the exact surface; M = 0 and M = 1 are computed beside it.
        rows: Grid points along y.
        cols: Grid points along x.
        range: The grid spans −range to range on both axes, in axis units.
        scale: Length of an axis unit in α-space: ``unit`` (1), ``alpha`` (‖α‖ at the origin, to
            which the released code's normalisation amounts) or a number.
        inner_learning_rate: Of the M steps: ``search`` (the search's rate at the snapshot) or a
            number (1e-3 in the released landscape code).
        val_batches: Batches in L_val; 0: all of D_val, but for what ``data.last_batch`` drops.
        val_batch_size: Images in each.
        epoch: Which snapshot is the origin (counted from 1); 0: the last.
        axes: Directions of the plane: two ``random`` ones; ``gradient``: x is along −∇L_0 at the
            origin, y is random; ``pca:`` and the content of points: their principal directions
            (``--axes pca:FILE``).
        draws: As in the search, on each batch of L_val.
        more_steps: M of more surfaces: increasing, above 1 and below ``steps``.
    """

    steps: int = setting(10, least=0)
    rows: int = setting(9, least=2)
    cols: int = setting(9, least=2)
    range: float = setting(1.0, above=0, most=1e6)
    scale: str | float = "alpha"
    inner_learning_rate: str | float = "search"
    val_batches: int = setting(4, least=0)
    val_batch_size: int = setting(64, least=2)
    epoch: int = setting(0, least=0)
    axes: str = later("random")
    draws: int = later(1, least=1, most=1000)
    more_steps: tuple[int, ...] = later(())


@dataclass(frozen=True)
class PathsConfig:
    """The optimizer paths of Fig. 1(c).

    Attributes:
        methods: Which optimizers walk.
        updates: α updates of each.
        start: (x, y) of the first point, in axis units.
        space: ``plane``: the optimizer sees the two coordinates only; ``full``: it moves all of α
            and the path is projected, with the share outside the plane recorded.
        weights: ``frozen`` at the snapshot, or ``trained`` on between updates, by M steps for every
            optimizer (the released code: one step for DARTS, M + 1 for ZARTS).
        noise: ``surface``: the batches of the grid; ``fresh``: new batches at every update.
        step: ``update``: the first updates of all have one length on average, set by pilot updates;
            ``matched``: the first step of DARTS, the step that the pilots of RS stand for, a draw
            of MGS and the largest radius of GLD have it; ``paper``: the released path settings.
        fraction: The matched step length as a share of the half-range of the grid.
        samples: N of RS (antithetic pairs) and MGS, and number of radii of GLD.
        temperature: τ of MGS.
    """

    methods: tuple[str, ...] = ("darts-1", "darts-2", "zarts-rs", "zarts-mgs", "zarts-gld")
    updates: int = setting(10, least=0, most=10_000)
    start: tuple[float, ...] = (-0.5, 0.5)
    space: Literal["plane", "full"] = "plane"
    weights: Literal["frozen", "trained"] = "frozen"
    noise: Literal["surface", "fresh"] = "surface"
    step: Literal["matched", "update", "paper"] = "matched"
    fraction: float = setting(0.15, above=0)
    samples: int = setting(4, least=1)
    temperature: float = setting(0.01, above=0)
