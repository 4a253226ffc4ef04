"""Discrete architectures: the text the field exchanges, parameter counts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from zarts.supernet.layout import NODES, Cell, cells, stem_shapes
from zarts.supernet.shapes import LAYERS, shapes

__all__ = ["Genotype", "Inputs", "parameters", "parse"]

_DISCRETE = tuple(name for name in LAYERS if name != "none")
Inputs = tuple[tuple[str, int], ...]  # (operation, source), two per node, node by node


@dataclass(frozen=True)
class Genotype:
    """A discrete cell pair: two (operation, source) per node and which states a cell concatenates.

    Example:
        >>> from zarts import Genotype
        >>> cell = (("skip_connect", 0), ("sep_conv_3x3", 1)) * 4
        >>> Genotype(normal=cell, reduce=cell).skip_share
        0.5

    Attributes:
        normal: Inputs of the normal cell; entries 2i and 2i + 1 belong to node i.
        reduce: Inputs of the reduction cell.
        concat: States that both cells concatenate; state i + 2 is node i.

    Raises:
        ValueError: If an operation is unknown, or is ``none``, which is never derived; or if a
            source does not precede its node.
    """

    normal: Inputs
    reduce: Inputs
    concat: tuple[int, ...] = (2, 3, 4, 5)

    def __post_init__(self) -> None:
        for name, inputs in (("normal", self.normal), ("reduce", self.reduce)):
            if len(inputs) != 2 * NODES:
                raise ValueError(
                    f"{name} cell has {len(inputs)} inputs, expected {2 * NODES}: two per node"
                )
            for position, (operation, source) in enumerate(inputs):
                if operation not in _DISCRETE:
                    raise ValueError(
                        f"{name} cell has operation {operation!r}, "
                        f"expected one of {', '.join(_DISCRETE)}"
                    )
                if not 0 <= source < position // 2 + 2:
                    raise ValueError(
                        f"node {position // 2} of the {name} cell reads source {source}, "
                        f"expected 0 to {position // 2 + 1}"
                    )
        if not self.concat or not set(self.concat) <= set(range(NODES + 2)):
            raise ValueError(f"got concat {self.concat}, expected states out of 0 to {NODES + 1}")

    def __str__(self) -> str:
        """Returns the tuple text of the field, as DARTS prints and reads it."""
        first, last = self.concat[0], self.concat[-1]
        run = tuple(range(first, last + 1))
        concat = f"range({first}, {last + 1})" if self.concat == run else str(list(self.concat))
        return (
            f"Genotype(normal={list(self.normal)}, normal_concat={concat}, "
            f"reduce={list(self.reduce)}, reduce_concat={concat})"
        )

    @property
    def skip_share(self) -> float:
        """Share of the inputs that are skip connections: near 1 means a collapsed search."""
        operations = [operation for operation, _ in self.normal + self.reduce]
        return operations.count("skip_connect") / len(operations)


def parse(text: str) -> Genotype:
    """Reads the genotype in a text; the inverse of ``str``. Nothing in it is executed.

    Example:
        >>> from zarts import Genotype, parse
        >>> cell = (("skip_connect", 0), ("sep_conv_3x3", 1)) * 4
        >>> parse(f"epoch 49: {Genotype(cell, cell)}") == Genotype(cell, cell)
        True

    Args:
        text: Holds ``Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=range(2, 6), ...)``,
            whatever is before and behind: an assignment, a comment, the prefix of a log line.
            Inputs may have a third entry (GDAS' value), which is passed over, and may be nested
            per node.

    Raises:
        ValueError: If there is none, or several that differ, or it is no cell pair of this kind.
    """
    found: dict[str, None] = {}
    try:
        found |= dict.fromkeys(_calls(text))
        if not found:
            raise ValueError("there is no Genotype(...) in it")
        genotypes = {_genotype(piece) for piece in found}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        what = " ".join(next(iter(found), text).split())[:80]
        reason = getattr(error, "msg", None) or error
        raise ValueError(
            f"got {what!r} ({reason}), expected Genotype(normal=[(operation, source), ...], "
            "normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6))"
        ) from None
    if len(genotypes) > 1:
        raise ValueError(f"got {len(genotypes)} different genotypes, expected one; leave one")
    return genotypes.pop()


_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")  # in the field's order


def _calls(text: str) -> Iterator[str]:
    """Every ``Genotype(...)`` in a text, up to its closing parenthesis."""
    for start in re.finditer(r"\bGenotype\s*\(", text):
        depth = 0
        for place in re.finditer(r"""'[^'\n]*'|"[^"\n]*"|[()]""", text[start.start() :]):
            depth += {"(": 1, ")": -1}.get(place[0], 0)
            if depth == 0 and place[0] == ")":
                yield text[start.start() : start.start() + place.end()]
                break
        else:
            raise ValueError("the closing parenthesis is missing; copy it whole")


def _genotype(text: str) -> Genotype:
    call = ast.parse(text, mode="eval").body
    if not isinstance(call, ast.Call) or len(call.args) > len(_FIELDS):
        raise ValueError("no call with named arguments")
    fields = dict(zip(_FIELDS, call.args, strict=False))
    for keyword in call.keywords:
        name, empty = str(keyword.arg), isinstance(keyword.value, ast.Constant)
        if name not in _FIELDS and empty and ast.literal_eval(keyword.value) is None:
            continue  # AutoDL's connectN and connects
        if name in fields:
            raise ValueError(f"{name} is there twice")
        fields[name] = keyword.value
    if set(fields) != set(_FIELDS):
        raise ValueError(f"it has {', '.join(fields) or 'nothing'}")
    concat, other = _integers(fields["normal_concat"]), _integers(fields["reduce_concat"])
    if concat != other:
        raise ValueError("the two cells concatenate different states")
    return Genotype(_inputs(fields["normal"]), _inputs(fields["reduce"]), concat)


def _integers(node: ast.expr) -> tuple[int, ...]:
    """Reads a list of whole numbers, or ``range`` of one or two."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        bounds = [ast.literal_eval(argument) for argument in node.args]
        fine = all(type(bound) is int and 0 <= bound <= NODES + 2 for bound in bounds)
        if len(bounds) not in (1, 2) or not fine:
            raise ValueError(f"range of {bounds}")
        return tuple(range(*bounds))
    value = ast.literal_eval(node)
    if not isinstance(value, (list, tuple)) or not all(type(item) is int for item in value):
        raise ValueError(f"concat {value}")
    return tuple(value)


def _inputs(node: ast.expr) -> Inputs:
    """Reads the inputs of a cell, flat or nested per node."""
    items = _items(node)
    nested = [
        item
        for item in items
        if all(isinstance(each, (ast.List, ast.Tuple)) for each in _items(item))
    ]
    if nested:
        if len(nested) < len(items) or any(len(_items(item)) != 2 for item in items):
            raise ValueError("a node without two inputs")
        items = [each for item in items for each in _items(item)]
    return tuple(map(_input, items))


def _items(node: ast.expr) -> list[ast.expr]:
    if not isinstance(node, (ast.List, ast.Tuple)):
        raise ValueError(f"inputs {ast.unparse(node)}")
    return node.elts


def _input(node: ast.expr) -> tuple[str, int]:
    """Reads (operation, source) or (operation, source, value); the value may be any expression."""
    parts = _items(node)
    if len(parts) in (2, 3) and all(isinstance(part, ast.Constant) for part in parts[:2]):
        operation, source = (ast.literal_eval(part) for part in parts[:2])
        if type(operation) is str and type(source) is int:
            return operation, source
    raise ValueError(f"input {ast.unparse(node)}")


def parameters(
    genotype: Genotype,
    *,
    channels: int = 36,
    count: int = 20,
    classes: int = 10,
    stem: str = "cifar",
    auxiliary: bool = False,
    image_channels: int = 3,
) -> int:
    """Counts the parameters of a discrete network exactly.

    Example:
        >>> from zarts import Genotype, parameters
        >>> cell = (("skip_connect", 0), ("sep_conv_3x3", 1)) * 4
        >>> parameters(Genotype(cell, cell), channels=16, count=8)
        277114

    Args:
        genotype: Its cells.
        channels: Initial channels C.
        count: Number of cells L.
        classes: Number of classes.
        stem: ``"cifar"`` or ``"imagenet"``.
        auxiliary: Whether to include the auxiliary head, which papers leave out.
        image_channels: Channels of the images.

    Source: DARTS §3; its ``model.py``. BatchNorms are affine; pools have none.
    """
    sizes = list(stem_shapes(stem, channels, image_channels).values())
    layout = list(cells(channels, count, stem, len(genotype.concat)))
    total = sum(prod(size) for size in sizes)
    total += sum(_cell_parameters(genotype, cell) for cell in layout)
    total += (len(genotype.concat) * layout[-1].channels + 1) * classes
    if auxiliary:
        width = len(genotype.concat) * layout[2 * count // 3].channels
        total += width * 128 + 2 * 128 + 128 * 768 * 2 * 2 + (768 + 1) * classes
        total += 2 * 768 if stem == "cifar" else 0  # DARTS' ImageNet head lacks the last BatchNorm
    return total


def _cell_parameters(genotype: Genotype, cell: Cell) -> int:
    total = sum(before * cell.channels + 2 * cell.channels for before in cell.inputs)
    for operation, source in genotype.reduce if cell.reduction else genotype.normal:
        sizes = shapes(operation, cell.channels, cell.stride(source), affine=True).values()
        total += sum(prod(size) for size in sizes)
    return total
