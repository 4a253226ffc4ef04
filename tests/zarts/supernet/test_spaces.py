"""The tables of operations."""

import hashlib

import pytest

from zarts.supernet.spaces import SPACES


@pytest.mark.parametrize(
    ("name", "dim"), [("s1", 56), ("s2", 56), ("s3", 84), ("s4", 56), ("s5", 224), ("s6", 196)]
)
def test_dimensions(name, dim):
    space = SPACES[name]
    assert space.name == name
    assert space.dim == dim
    assert [(group.name, group.edges) for group in space.groups] == [("normal", 14), ("reduce", 14)]


def test_s1_edge_table():
    """The digest of the table of RobustDARTS, edges and operations in order."""
    table = "|".join("/".join(edge) for group in SPACES["s1"].groups for edge in group.operations)
    assert table.startswith("skip_connect/dil_conv_3x3|skip_connect/dil_conv_5x5|")
    assert hashlib.sha256(table.encode()).hexdigest().startswith("62f47475b9b8f25a")


def test_operations_by_space():
    offered = {name: set(space.groups[0].operations) for name, space in SPACES.items()}
    assert offered["s2"] == {("skip_connect", "sep_conv_3x3")}
    assert offered["s3"] == {("none", "skip_connect", "sep_conv_3x3")}
    assert offered["s4"] == {("noise", "sep_conv_3x3")}
    assert ("none", *next(iter(offered["s6"]))) == next(iter(offered["s5"]))
    assert next(iter(offered["s5"]))[-2:] == ("dil_conv_3x3", "dil_conv_5x5")
