"""What is at a point: the losses of the grid, and the architecture as torch derives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import landscape
from landscape.point import at, genotype_at, nearest_step, profile
from landscape.record import Figure1, load
from zarts import SPACES, Group, Space, cost, derive
from zarts.runs.runfile import ForeignFile, Run
from zarts.settings.stages import Stage
from zarts.supernet.derivation import RULES

DEMO = Path(landscape.__file__).parent / "demo" / "quick-ec257f9a"


@pytest.fixture(scope="module")
def demo() -> Figure1:
    return load(Run.open(DEMO))


@pytest.mark.parametrize("name", SPACES)
def test_weights_and_genotypes_are_those_of_torch(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(0)
    draws = rng.normal(size=(60, space.dim)) * 10.0 ** rng.uniform(-4, 2, size=(60, 1))
    for alpha in [np.zeros(space.dim), *draws, *draws[:5].astype(np.float32)]:
        tensor = torch.from_numpy(alpha)
        ours, theirs = space.weights(alpha), space.mixture(tensor)
        assert list(ours) == list(theirs)
        for group, table in theirs.items():
            assert ours[group].dtype == alpha.dtype
            assert np.allclose(ours[group], table.numpy(), rtol=8 * np.finfo(alpha.dtype).eps)
        for rule in RULES:
            assert genotype_at(space, alpha, rule) == derive(space, tensor, rule)
    with pytest.raises(ValueError, match="shape"):
        space.weights(np.zeros(3))
    with pytest.raises(ValueError, match="NaN"):
        genotype_at(space, np.full(space.dim, np.nan))


def test_a_grid_point_has_the_numbers_of_the_record(demo: Figure1) -> None:
    bare = replace(demo.surfaces[0], error=np.empty((0, 0)))  # as of runs that stored none
    surfaces = (bare, *demo.surfaces[1:])
    record = replace(demo, surfaces=surfaces)
    x, y = float(surfaces[0].x[3]), float(surfaces[0].y[6])
    here = at(record, x, y)
    assert here.on_node
    for value, surface in zip(here.values, surfaces, strict=True):
        assert value.loss == value.node_loss == surface.loss[6, 3]
    assert here.values[2].error == surfaces[2].error[6, 3] > 0
    assert np.isnan(here.values[0].error)
    away = at(record, x + 0.05, y)
    assert not away.on_node
    pair = surfaces[2].loss[6, 3:5]
    assert away.values[2].loss == pytest.approx(pair @ [0.8, 0.2])
    assert away.values[2].node_loss == pair[0]
    assert np.isnan(at(record, 1.5, 0.0).values[0].loss)


def test_alpha_and_genotype_are_those_of_the_plane(demo: Figure1) -> None:
    arrays = Run.open(DEMO).read("plane").arrays
    plane = landscape.Plane(
        *(torch.from_numpy(arrays[name]) for name in ("origin", "basis")), float(arrays["scale"])
    )
    for x, y in np.random.default_rng(1).uniform(-1, 1, (20, 2)).tolist():
        alpha = plane.points(torch.tensor([[x, y]], dtype=torch.float64))[0]
        here = at(demo, x, y)
        assert here.alpha is not None
        assert np.array_equal(here.alpha, alpha.numpy())
        assert here.genotype == derive(SPACES["s3"], alpha)
        assert here.genotype is not None
        assert here.cost == cost(here.genotype)


def test_the_rule_is_that_of_the_run(demo: Figure1) -> None:
    search = {**demo.config["search"], "derivation": "gdas"}  # type: ignore[dict-item]
    here = at(replace(demo, config={**demo.config, "search": search}), 0.3, 0.1)
    assert here.rule == "gdas"
    assert here.alpha is not None
    assert here.genotype == derive(SPACES["s3"], torch.from_numpy(here.alpha), "gdas")


def test_without_a_plane_or_cells_there_is_no_genotype(demo: Figure1) -> None:
    bare = at(replace(demo, origin=None), 0.0, 0.0)
    assert bare.alpha is bare.genotype is bare.cost is None
    plain = at(replace(demo, space=None), 0.0, 0.0)
    assert plain.alpha is not None
    assert plain.genotype is None


def test_the_nearest_step(demo: Figure1) -> None:
    path = demo.paths[3]
    x, y = path.xy[7]
    found = nearest_step(demo.paths, x + 1e-4, y)
    assert found is not None
    assert (found.path.method, found.step) == (path.method, 7)
    assert found.distance == pytest.approx(1e-4)
    assert nearest_step((), 0.0, 0.0) is None


def test_a_profile_is_bilinear_between_its_ends(demo: Figure1) -> None:
    grid = demo.surfaces[0]
    found = profile(demo, (grid.x[0], grid.y[2]), (grid.x[-1], grid.y[2]), points=9)
    assert found.distance[-1] == pytest.approx(grid.x[-1] - grid.x[0])
    for surface in demo.surfaces:
        assert np.allclose(found.losses[surface.inner_steps], surface.loss[2])


def test_a_plane_of_another_space_is_refused_by_name(demo: Figure1, tmp_path: Path) -> None:
    assert demo.space is SPACES["s3"]
    run = Run.create(tmp_path / "odd", {"supernet": {"space": "s2"}}, {})
    plane = {"origin": demo.origin, "basis": demo.basis, "scale": np.array(1.0)}
    run.write("plane", plane)  # type: ignore[arg-type]
    with pytest.raises(ForeignFile, match=r"basis is \(84, 2\) of <f8, expected \(56, 2\)"):
        load(run)


def test_the_space_is_that_of_the_stage_of_the_snapshot(demo: Figure1, tmp_path: Path) -> None:
    fewer = Space("fewer", tuple(
        Group(group.name, tuple(edge[1:] for edge in group.operations))
        for group in SPACES["s3"].groups
    ))  # fmt: skip
    stage = Stage(1, fewer, cells=3, epochs=2, warmup=0, weight_decay=0.0)
    run = Run.create(tmp_path / "staged", {"supernet": {"space": "s3"}}, {})
    one = np.array(1.0)
    plane = {"origin": np.zeros(56), "basis": np.eye(56, 2), "scale": one}
    run.write("plane", plane | {"inner_learning_rate": one}, stage.note() | {"epoch": 2})
    found = load(run)
    assert found.space == fewer
    record = replace(found, surfaces=demo.surfaces)
    genotype = at(record, 0.5, 0.5).genotype
    alphas = record.alphas(np.array([[0.5, 0.5]]))
    assert alphas is not None
    assert genotype == derive(fewer, torch.from_numpy(alphas[0]))
