"""Public names: there on first use, listed, and the rest refused with what there is."""

from __future__ import annotations

from types import ModuleType

import pytest

import landscape
import zarts


@pytest.mark.parametrize("package", [zarts, landscape])
def test_every_public_name_is_there_and_no_other(package: ModuleType) -> None:
    assert dir(package) == sorted(package.__all__)
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match=f"^{package.__name__} has no 'figure_3'; it has "):
        _ = package.figure_3
