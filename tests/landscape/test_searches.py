"""What a search did, read back and drawn: curves, edges and α."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from landscape.catalogue import BUNDLED
from landscape.figures import figure_alpha, figure_search, figure_timeline
from landscape.figures.searches import TOOLS
from zarts.runs.epochs import Told, Trace, trace
from zarts.runs.runfile import ForeignFile, Run
from zarts.settings.stages import Point
from zarts.supernet.layout import EDGES
from zarts.supernet.spaces import SPACES


@pytest.fixture
def demo() -> Trace:
    return trace(Run.open(next(BUNDLED.iterdir())))


def test_the_records_of_a_search_are_read_back(demo: Trace) -> None:
    assert (demo.method, demo.program, demo.asked, demo.begins) == ("darts-1", "plain", 3, [])
    assert [each.point.epoch for each in demo.epochs] == [1, 2, 3]
    assert demo.chosen == Point(0, 3)
    assert not demo.stopped_early
    run = Run.open(next(BUNDLED.iterdir()))
    record = run.read("search/epoch-0002")
    told = demo.epochs[1]
    assert str(told.genotype) == record.attributes["genotype"]
    np.testing.assert_array_equal(told.alpha, record.arrays["alpha"][-1])
    assert told.number("update_norm") == record.arrays["diagnostics/update_norm"].mean()
    assert told.seconds == record.arrays["timing_seconds"].sum()
    assert np.isnan(told.number("lambda_max"))


def test_alpha_of_another_space_is_refused_by_name(tmp_path: Path) -> None:
    source = Run.open(next(BUNDLED.iterdir()))
    run = Run.create(tmp_path / "run", source.config, source.provenance)
    record = source.read("search/epoch-0001")
    arrays = record.arrays | {"alpha": record.arrays["alpha"][:, :7]}
    run.write("search/epoch-0001", arrays, record.attributes)
    with pytest.raises(ForeignFile, match=r"0001\.h5.*alpha has 7 entries, space 's3' has 84"):
        trace(run)


def test_curves_have_a_panel_per_number_and_a_star_where_it_ended(demo: Trace) -> None:
    def with_lambda(told: Told) -> Told:
        return replace(told, facts={**told.facts, "lambda_max": 0.1 * told.point.epoch})

    es = replace(
        demo, name="<b>es</b>", chosen=Point(0, 1), epochs=tuple(map(with_lambda, demo.epochs))
    )
    assert es.stopped_early
    figure = figure_search([demo, es])
    titles = [note.text for note in figure.layout.annotations]
    assert len(titles) == 6
    assert titles[-1].startswith("λ_max")
    curves = [trace for trace in figure.data if "lines" in trace.mode]
    assert [trace.name for trace in curves[-1:]] == ["&lt;b&gt;es&lt;/b&gt;"]
    np.testing.assert_allclose(curves[-1].y, [0.1, 0.2, 0.3])
    stars = [trace.x[0] for trace in figure.data if trace.marker.symbol == "star"]
    assert stars == [3, 1] * 5 + [1]
    # Accuracies near each other can be told apart, counts are seen from zero.
    assert [figure.layout[f"yaxis{place}"].rangemode for place in (2, 3)] == [None, "tozero"]
    box = figure.layout.legend
    assert box.yref == "container"
    assert 1 - box.y == pytest.approx(TOOLS / figure.layout.height)  # below the tools of a page


def test_the_timeline_has_the_operation_of_each_edge(demo: Trace) -> None:
    later = replace(demo.epochs[2], point=Point(1, 1))
    figure = figure_timeline(replace(demo, epochs=(*demo.epochs[:2], later)))
    cells = list(figure.select_traces("heatmap"))
    for cell, name in zip(cells, ("normal", "reduce"), strict=True):
        assert cell.z.shape == (len(EDGES), 3)
        for column, told in enumerate(demo.epochs):
            inputs = getattr(told.genotype, name)
            assert np.isfinite(cell.z[:, column]).sum() == len(inputs)
            for place, (operation, source) in enumerate(inputs):
                edge = EDGES.index((place // 2, source))
                assert cell.customdata[edge][column] == operation
    lines = [
        shape.x0 for shape in figure.layout.shapes if shape.type == "line" and shape.x0 == shape.x1
    ]
    assert lines == [2.5, 2.5]


def test_alpha_is_a_softmax_per_edge_that_the_slider_moves(demo: Trace) -> None:
    figure = figure_alpha(demo)
    meta = figure.layout.meta
    assert meta["steps"] == [1, 2, 3]
    for tables, told in zip(meta["tables"], demo.epochs, strict=True):
        weights = SPACES["s3"].weights(told.alpha)
        for z, name in zip(tables, ("normal", "reduce"), strict=True):
            np.testing.assert_allclose(z, weights[name], atol=1e-4)
    np.testing.assert_allclose(figure.data[1].z, meta["tables"][2][1])
    none = replace(demo, epochs=tuple(replace(each, space=None) for each in demo.epochs))
    with pytest.raises(ValueError, match="does not say what its α means"):
        figure_alpha(none)


def test_edges_that_offer_other_operations_leave_gaps_and_many_epochs_few_steps(
    demo: Trace,
) -> None:
    s1 = SPACES["s1"]
    some = replace(demo.epochs[0], space=s1, alpha=np.zeros(s1.dim))
    many = tuple(replace(some, point=Point(0, epoch)) for epoch in range(1, 201))
    figure = figure_alpha(replace(demo, epochs=many))
    assert len(figure.layout.meta["steps"]) == 60
    assert figure.layout.meta["steps"][-1] == 200
    table = np.array(figure.data[0].z, float)
    assert (np.isfinite(table).sum(axis=1) == 2).all()
    assert len(json.dumps(json.loads(figure.to_json()))) < 400_000
