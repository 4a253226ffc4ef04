"""``descend``, the only place where ω moves, against torch's own SGD and against derivatives."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from zarts.bilevel.inner import SGD, Diverged, descend, single_thread
from zarts.bilevel.rng import generator
from zarts.supernet.fast.network import Supernet
from zarts.supernet.spaces import SPACES

Weights = dict[str, Tensor]
# The last tensor has more entries than one block of a reduction, where orders of summation differ.
SHAPES = {"first": (7, 5), "bias": (7,), "last": (3, 7), "scalar": (), "wide": (9001,)}


def make_weights(dtype: torch.dtype, purpose: str = "weights") -> Weights:
    rng = generator(0, purpose)
    return {name: torch.randn(shape, generator=rng, dtype=dtype) for name, shape in SHAPES.items()}


def make_batches(dtype: torch.dtype, count: int) -> list[Tensor]:
    rng = generator(1, "batches")
    return [torch.randn(6, 5, generator=rng, dtype=dtype) for _ in range(count)]


def network_loss(weights: Mapping[str, Tensor], batch: Tensor) -> Tensor:
    hidden = torch.tanh(batch @ weights["first"].T + weights["bias"])
    fit = ((hidden @ weights["last"].T - weights["scalar"]) ** 2).mean()
    return fit + 0.01 * torch.cos(weights["wide"]).sum()


def reference(
    weights: Weights, batches: list[Tensor], sgd: SGD, velocity: Weights | None
) -> tuple[Weights, list[float]]:
    """The same steps by torch's own optimizer and clip; also returns the gradient norms."""
    moving = {name: nn.Parameter(weight.clone()) for name, weight in weights.items()}
    optimizer = torch.optim.SGD(
        moving.values(), sgd.learning_rate, momentum=sgd.momentum, weight_decay=sgd.weight_decay
    )
    if velocity is not None:
        for name, parameter in moving.items():
            optimizer.state[parameter]["momentum_buffer"] = velocity[name].clone()
    norms = []
    for batch in batches:
        optimizer.zero_grad()
        network_loss(moving, batch).backward()
        norms.append(float(nn.utils.clip_grad_norm_(moving.values(), sgd.clip or math.inf)))
        optimizer.step()
    return {name: parameter.detach() for name, parameter in moving.items()}, norms


def step_by_step(
    sgd: SGD, weights: Weights, slopes: Weights, velocity: Weights | None
) -> tuple[Weights, Weights]:
    """The rule as it reads, tensor by tensor; the clip is by the norm of the tensors' norms."""
    norms = torch.stack([torch.linalg.vector_norm(slope) for slope in slopes.values()])
    scale = (sgd.clip or 0) / (torch.linalg.vector_norm(norms) + 1e-6)
    moved, speed = {}, {}
    for name, weight in weights.items():
        slope = slopes[name] * scale.clamp(max=1) if sgd.clip else slopes[name]
        slope = slope.add(weight, alpha=sgd.weight_decay) if sgd.weight_decay else slope
        slope = slope if velocity is None else (velocity[name] * sgd.momentum).add(slope)
        moved[name], speed[name] = weight.add(slope, alpha=-sgd.learning_rate), slope
    return moved, speed


@pytest.mark.parametrize("moving", [False, True], ids=["at rest", "moving"])
@pytest.mark.parametrize("weight_decay", [0.0, 3e-2])
@pytest.mark.parametrize("clip", [None, 0.05, 1e6])
def test_all_tensors_at_once_give_the_bits_of_one_by_one(
    clip: float | None, weight_decay: float, moving: bool
) -> None:
    """On the weights of a network, with gradients as autograd gives them: expanded, permuted."""
    net = Supernet(SPACES["s6"], 8, 3)
    sgd = SGD(0.1, weight_decay=weight_decay, clip=clip)
    weights, slopes, velocity = (net.init(generator(0, purpose)) for purpose in "wgv")
    slopes["head.weight"] = slopes["head.bias"].unsqueeze(1).expand(weights["head.weight"].shape)
    turned = slopes["cells.0.input.0"].transpose(0, 1).contiguous()
    slopes["cells.0.input.0"] = turned.transpose(0, 1)
    before = {name: slope.clone() for name, slope in slopes.items()}
    found = sgd.update(weights, slopes, velocity if moving else None)
    expected = step_by_step(sgd, weights, before, velocity if moving else None)
    for got, wanted in zip(found, expected, strict=True):
        assert got.keys() == wanted.keys()
        assert all(torch.equal(got[name], wanted[name]) for name in wanted)
    assert all(torch.equal(slopes[name], before[name]) for name in before)


class Device(TorchDispatchMode):
    """Lets tensors on meta be read, as ones, and counts how often something waits for them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.waits = 0, list[int]()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.calls += 1
        if func is torch.ops.aten._local_scalar_dense.default:
            self.waits.append(self.calls)
            return 1
        if func is torch.ops.aten._to_copy.default and str((kwargs or {}).get("device")) == "cpu":
            self.waits.append(self.calls)
            return torch.ones(args[0].shape, dtype=args[0].dtype)
        return func(*args, **(kwargs or {}))


def test_steps_do_not_wait_for_the_device() -> None:
    """It is asked once, when all is said: a GPU computes on while Python runs ahead."""
    with torch.device("meta"):
        weights = {name: torch.empty(shape) for name, shape in SHAPES.items()}
        batches = [torch.empty(6, 5) for _ in range(5)]
    with Device() as seen:
        descend(network_loss, weights, batches, SGD(0.1))
    assert len(seen.waits) == 1
    assert seen.waits[0] > seen.calls - 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 3e-2])
@pytest.mark.parametrize("clip", [None, 0.05, 1e6])
@pytest.mark.parametrize("moving", [False, True], ids=["at rest", "moving"])
def test_equals_torch_sgd_to_the_last_bit(
    dtype: torch.dtype, momentum: float, weight_decay: float, clip: float | None, moving: bool
) -> None:
    sgd = SGD(0.1, momentum=momentum, weight_decay=weight_decay, clip=clip)
    weights, batches = make_weights(dtype), make_batches(dtype, 5)
    velocity = make_weights(dtype, "velocity") if moving and momentum else None
    expected, norms = reference(weights, batches, sgd, velocity)
    got, speed = descend(network_loss, weights, batches, sgd, velocity)
    if clip is not None:  # the case really is what its name says
        assert all((norm > clip) == (clip < 1) for norm in norms)
    assert list(got) == list(weights)
    for name in weights:
        assert torch.equal(got[name], expected[name]), name
        assert not torch.equal(got[name], weights[name])
        assert not got[name].requires_grad
    assert (speed is not None) == bool(momentum)


def test_the_returned_velocity_continues_the_run_exactly() -> None:
    sgd = SGD(0.05)
    weights, batches = make_weights(torch.float32), make_batches(torch.float32, 6)
    whole, speed = descend(network_loss, weights, batches, sgd)
    half, velocity = descend(network_loss, weights, batches[:2], sgd)
    rest, last = descend(network_loss, half, batches[2:], sgd, velocity)
    assert speed is not None
    assert last is not None
    for name in weights:
        assert torch.equal(rest[name], whole[name])
        assert torch.equal(last[name], speed[name])


@pytest.mark.parametrize("differentiable", [False, True])
@pytest.mark.parametrize("requires_grad", [False, True])
def test_inputs_stay_as_they_are(differentiable: bool, requires_grad: bool) -> None:
    weights = {
        name: weight.requires_grad_(requires_grad)
        for name, weight in make_weights(torch.float64).items()
    }
    velocity, batches = make_weights(torch.float64, "velocity"), make_batches(torch.float64, 3)
    inputs = [*weights.values(), *velocity.values(), *batches]
    copies = [tensor.detach().clone() for tensor in inputs]
    versions = [tensor._version for tensor in inputs]
    keys = list(weights)
    descend(network_loss, weights, batches, SGD(0.1), velocity, differentiable=differentiable)
    assert list(weights) == keys
    assert all(map(torch.equal, (tensor.detach() for tensor in inputs), copies))
    assert [tensor._version for tensor in inputs] == versions  # not even written back
    assert all(weight.requires_grad == requires_grad for weight in weights.values())
    assert all(tensor.grad is None and tensor.is_leaf for tensor in inputs)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_differentiable_mode_gives_the_same_values(clip: float | None) -> None:
    sgd = SGD(0.1, clip=clip)
    weights, batches = make_weights(torch.float64), make_batches(torch.float64, 4)
    velocity = make_weights(torch.float64, "velocity")
    plain = descend(network_loss, weights, batches, sgd, velocity)
    graph = descend(network_loss, weights, batches, sgd, velocity, differentiable=True)
    for left, right in zip(plain, graph, strict=True):
        assert left is not None
        assert right is not None
        for name in weights:
            assert torch.equal(left[name], right[name])
            assert right[name].requires_grad
            assert not left[name].requires_grad


@pytest.mark.parametrize("clip", [None, 0.3, 1e6])
def test_differentiable_mode_has_the_right_derivatives(clip: float | None) -> None:
    sgd = SGD(0.2, momentum=0.7, weight_decay=0.1, clip=clip)
    rng = generator(2, "gradcheck")

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64).requires_grad_()

    def steps(alpha: Tensor, omega: Tensor, bias: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
        def loss(weights: Mapping[str, Tensor], batch: float) -> Tensor:
            fit = torch.sin(weights["omega"] @ alpha + batch * weights["bias"])
            return (fit**2).sum() + (alpha[0] * weights["omega"]).tanh().sum()

        velocity = {"omega": speed, "bias": torch.zeros_like(bias)}
        moved, last = descend(
            loss,
            {"omega": omega, "bias": bias},
            [0.5, -1.0, 2.0],
            sgd,
            velocity,
            differentiable=True,
        )
        assert last is not None
        return moved["omega"] * moved["bias"].unsqueeze(1), last["omega"]

    inputs = draw(2), draw(3, 2), draw(3), draw(3, 2)
    assert torch.autograd.gradcheck(steps, inputs)
    assert torch.autograd.gradgradcheck(steps, inputs)


def test_derivatives_stay_finite_where_the_gradient_is_zero() -> None:
    """The norm in the clip has no derivative at zero; the result must not become NaN there."""
    alpha = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    weights = {"omega": torch.zeros(3, dtype=torch.float64), "idle": torch.ones(2).double()}

    def loss(weights: Mapping[str, Tensor], batch: None) -> Tensor:
        return alpha * (weights["omega"] ** 2).sum()

    moved, _ = descend(loss, weights, [None, None], SGD(0.1, clip=5.0), differentiable=True)
    (slope,) = torch.autograd.grad(moved["omega"].sum(), alpha)
    assert slope == 0


def test_the_graph_of_alpha_is_not_kept_unless_asked_for() -> None:
    alpha = torch.tensor(0.5, requires_grad=True)
    weights = {"omega": torch.ones(2)}
    moved, speed = descend(
        lambda w, batch: alpha * (w["omega"] ** 2).sum(), weights, [None], SGD(0.1)
    )
    assert speed is not None
    assert not moved["omega"].requires_grad
    assert not speed["omega"].requires_grad
    assert alpha.grad is None


def test_runs_where_gradients_are_switched_off() -> None:
    weights, batches = make_weights(torch.float32), make_batches(torch.float32, 2)
    outside, _ = descend(network_loss, weights, batches, SGD(0.1))
    with torch.no_grad():
        inside, _ = descend(network_loss, weights, batches, SGD(0.1))
        assert not torch.is_grad_enabled()
    assert all(torch.equal(inside[name], outside[name]) for name in weights)


def test_no_batches_move_nothing() -> None:
    weights, velocity = make_weights(torch.float32), make_weights(torch.float32, "velocity")
    moved, speed = descend(network_loss, weights, [], SGD(0.1), velocity)
    assert speed is not None
    for name in weights:
        assert torch.equal(moved[name], weights[name])
        assert torch.equal(speed[name], velocity[name])
    assert descend(network_loss, weights, [], SGD(0.1))[1] is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("differentiable", [False, True])
def test_divergence_names_the_step_and_stops(bad: float, differentiable: bool) -> None:
    taken: list[float] = []

    def batches() -> Iterator[float]:
        for factor in (1.0, 1.0, bad, 1.0):
            taken.append(factor)
            yield factor

    def loss(weights: Mapping[str, Tensor], batch: float) -> Tensor:
        return batch * (weights["omega"] ** 2).sum()

    with pytest.raises(Diverged, match="after 2 SGD steps") as caught:
        descend(loss, {"omega": torch.ones(2)}, batches(), SGD(0.1), differentiable=differentiable)
    assert caught.value.step == 2
    assert len(taken) == 3


@pytest.mark.parametrize("clip", [None, 5.0])
def test_a_last_step_that_is_not_finite_is_not_handed_back(clip: float | None) -> None:
    def cusp(weights: Mapping[str, Tensor], batch: None) -> Tensor:
        return weights["omega"].abs().sqrt().sum()  # 0 at 0, with an infinite slope

    with pytest.raises(Diverged, match="ω is not finite after 1 SGD steps"):
        descend(cusp, {"omega": torch.zeros(2)}, [None], SGD(0.1, clip=clip))


def test_divergence_crosses_a_process_boundary() -> None:
    again = pickle.loads(pickle.dumps(Diverged("ω", 3)))  # noqa: S301 - what workers do
    assert again.step == 3
    assert str(again) == str(Diverged("ω", 3))


def test_a_learning_rate_far_too_large_diverges_instead_of_inventing_numbers() -> None:
    sgd = SGD(1e3, momentum=0.0, weight_decay=0.0, clip=None)
    with pytest.raises(Diverged):
        descend(
            lambda w, batch: (w["omega"] ** 2).sum(), {"omega": torch.ones(2)}, [None] * 100, sgd
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate", -0.1),
        ("learning_rate", math.nan),
        ("momentum", -0.1),
        ("momentum", math.inf),
        ("weight_decay", -1e-4),
        ("clip", 0.0),
        ("clip", -5.0),
        ("clip", math.nan),
    ],
)
def test_bad_settings_are_refused_by_name(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        SGD(**{"learning_rate": 0.1, field: value})


def test_defaults_are_those_of_the_search() -> None:
    sgd = SGD(0.025)
    assert (sgd.momentum, sgd.weight_decay, sgd.clip) == (0.9, 3e-4, 5.0)


def test_single_thread_restores_the_count_even_after_an_error() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with single_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(KeyError), single_thread():
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
