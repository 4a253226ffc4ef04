"""Which way the axes of a plane go: drawn, along the gradient, or along principal directions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from landscape.geometry.plane import Plane
from zarts.bilevel.inner import Diverged
from zarts.bilevel.rng import generator
from zarts.problems.build import landscape_objective
from zarts.runs.snapshot import Snapshot
from zarts.runs.stored import digest_of
from zarts.settings.config import Config, ConfigError

__all__ = ["check_points", "pca", "plane_of"]


def pca(points: Tensor) -> str:
    """What ``landscape.axes`` calls principal directions of points (n, d): by their content."""
    return f"pca:{digest_of({'points': points.double().numpy()})[:16]}"


def check_points(config: Config, points: Tensor | None) -> None:
    """Looks whether a plane can be laid, before hours are spent on the ω that it is for.

    Raises:
        ConfigError: If ``landscape.axes`` asks for points (n, d) that are missing, or for others.
    """
    axes = config.landscape.axes
    if axes.startswith("pca:") and points is None:
        raise ConfigError(f"landscape.axes is {axes}; give its points with --axes pca:FILE")
    if points is not None and pca(points) != axes:
        raise ConfigError(f"landscape.axes is {axes}, these points are {pca(points)}")


def plane_of(
    config: Config, snapshot: Snapshot, scale: float, rate: float, points: Tensor | None
) -> tuple[Plane, Sequence[str]]:
    """The plane through the α of a snapshot, and the titles of its axes if they say more than x, y.

    Args:
        config: The settings, of which ``landscape.axes`` decides.
        snapshot: α and ω at the origin.
        scale: Length of an axis unit.
        rate: Learning rate of the M steps; first order takes none.
        points: α (n, d) for principal directions.

    Raises:
        ConfigError: If the points are missing, or not those of the settings, or span no plane, or
            the gradient is zero or not finite.
    """
    rng, axes = generator(config.seed, "plane"), config.landscape.axes
    if axes == "random":
        return Plane.random(snapshot.alpha, rng, scale), ()
    check_points(config, points)
    unit = f"1 unit = {scale:.3g}"
    try:
        if points is None:
            problem = landscape_objective(
                config, snapshot.weights, rate, snapshot.stage, snapshot.epoch
            )
            slope = problem.at(0).grad(snapshot.alpha).double()
            plane = Plane.along(snapshot.alpha, -slope, rng, scale)
            return plane, (f"along −∇L₀ ({unit})", f"random direction ({unit})")
        found = Plane.from_points(points)
    except (Diverged, ValueError) as error:
        raise ConfigError(f"--axes {axes.partition(':')[0]}: {error}") from error
    shares = (100 * found.explained(points)).tolist()
    titles = [f"PC {n} ({share:.0f} % of variance), {unit}" for n, share in enumerate(shares, 1)]
    return Plane(snapshot.alpha.double(), found.basis, scale), titles
