"""The parameters of each operation on one edge, by name and shape. No torch in here.

The supernets make their weights of these shapes, and what a network costs is counted from them.
"""

from __future__ import annotations

__all__ = ["LAYERS", "Shapes", "shapes"]

Shapes = dict[str, tuple[int, ...]]

# The side of the depthwise kernel of each layer; a pointwise convolution follows each of them.
LAYERS: dict[str, tuple[int, ...]] = {
    "none": (),
    "noise": (),
    "max_pool_3x3": (),
    "avg_pool_3x3": (),
    "skip_connect": (),  # at stride 2 it is a pointwise convolution
    "sep_conv_3x3": (3, 3),
    "sep_conv_5x5": (5, 5),
    "dil_conv_3x3": (3,),
    "dil_conv_5x5": (5,),
}


def shapes(operation: str, channels: int, stride: int, *, affine: bool = False) -> Shapes:
    """Returns the shapes of the parameters of one operation on one edge.

    Args:
        operation: Its name.
        channels: Channels C before and after it.
        stride: 1 or 2.
        affine: Whether its BatchNorms have a scale and a shift, as they do in retraining only.

    Raises:
        ValueError: If there is no such operation.
    """
    if operation not in LAYERS:
        raise ValueError(f"got operation {operation!r}, expected one of {', '.join(LAYERS)}")
    found: Shapes = {}
    for layer, side in enumerate(LAYERS[operation]):
        found[f"depthwise_{layer}"] = (channels, 1, side, side)
        found[f"pointwise_{layer}"] = (channels, channels, 1, 1)
    if operation == "skip_connect" and stride == 2:
        found["pointwise_0"] = (channels, channels, 1, 1)
    if affine:
        for name in [name for name in found if name.startswith("pointwise")]:
            layer_norm = name.removeprefix("pointwise")
            found |= {f"scale{layer_norm}": (channels,), f"shift{layer_norm}": (channels,)}
    return found
