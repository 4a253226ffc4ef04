"""A module of one's own as a bilevel problem."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.checkpoint import checkpoint

from tests.tiny import tiny
from zarts import MGS, SGD, Bilevel, ListFeed, from_module, search
from zarts.bilevel.chance import Chance
from zarts.problems.build import make_problem
from zarts.problems.parts import network_of

RULE = SGD(0.1)
OPERATIONS = ["line", "pool", "identity"]


class Mixed(nn.Module):
    """Two mixed operations, with all that a supernet may have."""

    def __init__(self, *, attribute: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        table = 0.1 * torch.arange(6.0).view(2, 3)
        # as the code of DARTS keeps them: no parameter, and in a list besides
        self.alphas = table.requires_grad_() if attribute else nn.Parameter(table)
        self._arch_parameters = [self.alphas]
        self.lines = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.stem, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4, 5)
        self.norm, self.dropout = nn.BatchNorm2d(4), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x))
        for line, row in zip(self.lines, self.alphas.softmax(1), strict=True):
            pooled = functional.max_pool2d(x, 3, 1, 1)
            x = row[0] * line(x).relu() + row[1] * pooled + row[2] * x
        return self.head(self.dropout(x.mean((2, 3))))


def batches(count: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    rng = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(10, 1, 8, 8, generator=rng), torch.randint(5, (10,), generator=rng))
        for _ in range(count)
    ]


TRAIN, VAL = batches(4, 0), batches(2, 1)


@pytest.mark.parametrize("attribute", [False, True])
def test_it_is_the_function_written_by_hand(attribute: bool) -> None:
    module = Mixed(attribute=attribute).double()
    train, val = ([(x.double(), y) for x, y in half] for half in (TRAIN, VAL))
    mine, alpha = from_module(module, ["alphas"], train, val, RULE, operations=OPERATIONS)
    before = {name: value.clone() for name, value in module.state_dict().items()}

    def loss(weights, alpha, batch):
        x = functional.conv2d(batch[0], weights["stem.weight"], weights["stem.bias"])
        x = functional.batch_norm(
            x, None, None, weights["norm.weight"], weights["norm.bias"], training=True
        )
        for number, row in enumerate(alpha.view(2, 3).softmax(1)):
            names = (f"lines.{number}.weight", f"lines.{number}.bias")
            line = functional.conv2d(x, *(weights[name] for name in names), padding=1)
            pooled = functional.max_pool2d(x, 3, 1, 1)
            x = row[0] * line.relu() + row[1] * pooled + row[2] * x
        logits = functional.linear(x.mean((2, 3)), weights["head.weight"], weights["head.bias"])
        return functional.cross_entropy(logits, batch[1])

    feed = ListFeed(train, val, RULE)
    theirs = Bilevel(mine.space, loss, loss, mine.weights, feed)
    assert alpha.tolist() == module.alphas.flatten().tolist()
    for steps in (0, 1, 3):
        one, other = mine.at(steps), theirs.at(steps)
        torch.testing.assert_close(one(alpha), other(alpha))
        torch.testing.assert_close(one.grad(alpha), other.grad(alpha))
    torch.testing.assert_close(mine.advance(alpha)(alpha), theirs.advance(alpha)(alpha))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert mine.space.groups[0].operations == (tuple(OPERATIONS),) * 2
    found = mine.at(2).measure(alpha.unsqueeze(0))
    assert 0 <= float(found.accuracy[0]) <= 1
    assert float(found.error[0]) > 0


def test_a_supernet_of_ours_in_a_module_has_our_losses() -> None:
    config = tiny("zarts-mgs", {"supernet": {"network": "plain"}})
    problem = make_problem(config)
    ours = problem.objective.at(3)
    network = network_of(config, 10, 1)

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            weights = {name.replace(".", "/"): value for name, value in ours.weights.items()}
            self.omega, self.alpha = nn.ParameterDict(weights), nn.Parameter(problem.alpha.clone())

        def forward(self, images: Tensor) -> Tensor:
            weights = {name.replace("/", "."): value for name, value in self.omega.items()}
            return network(weights, self.alpha, images, Chance(0))

    train = [(one.images, one.labels) for one in ours.feed.inner_batches(0, 3)]
    val = [(one.images, one.labels) for one in ours.val_batches()]
    mine, alpha = from_module(Module(), ["alpha"], train, val, ours.feed.inner_sgd(0))
    assert torch.equal(mine.at(3)(alpha), replace(ours, lanes=1)(problem.alpha))


def test_dropout_is_in_training_alone_and_a_value_is_pure() -> None:
    plain, alpha = from_module(Mixed(), ["alphas"], TRAIN, VAL, RULE)
    dropping, _ = from_module(Mixed(dropout=0.5), ["alphas"], TRAIN, VAL, RULE)
    dropping = replace(dropping, weights=plain.weights)
    assert torch.equal(plain(alpha), dropping(alpha))
    state = torch.random.get_rng_state()
    first = dropping.at(3)(alpha)
    assert not torch.equal(plain.at(3)(alpha), first)
    torch.randn(7)
    assert torch.equal(dropping.at(3)(alpha), first)
    torch.random.set_rng_state(state)
    dropping.at(3)(alpha)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_search_moves_its_alpha() -> None:
    begun, alpha = from_module(Mixed(), ["alphas"], TRAIN, TRAIN, RULE, outer_steps=2)
    *_, (step, ended) = search(begun.at(2), MGS(), alpha, iterations=20, seed=0)
    assert not torch.equal(step.alpha, alpha)
    assert float(ended.at(0)(alpha)) < float(begun(alpha))  # ω has learned


def test_every_image_counts_the_same() -> None:
    short = [*VAL, (VAL[0][0][:4], VAL[0][1][:4])]
    objective, alpha = from_module(Mixed(), ["alphas"], TRAIN, short, RULE)
    one = objective.samples(alpha.unsqueeze(0))
    assert one.shape == (1, 24)
    torch.testing.assert_close(objective(alpha), one.mean(), rtol=1e-6, atol=0)


def test_draws_are_those_of_the_iteration_and_the_seed() -> None:
    first, second = (
        from_module(Mixed(dropout=0.5), ["alphas"], TRAIN, VAL, RULE, seed=seed)[0]
        for seed in (0, 1)
    )
    for batches in ("train_batches", "val_batches"):
        keys = {
            getattr(each.feed, batches)(iteration)[0].chance.key
            for each in (first, second)
            for iteration in (0, len(TRAIN))  # the same images again
        }
        assert len(keys) == 4
    assert first.feed.inner_batches(1, 2)[1].chance == first.feed.train_batches(2)[0].chance


class Held(Mixed):
    """As where a cell is given the tensor of the network."""

    def __init__(self) -> None:
        super().__init__(attribute=True)
        self.norm.held = self.alphas

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(super().forward(x)) * self.norm.held.softmax(1)[0, 0]


def test_a_tensor_is_replaced_wherever_it_is_held() -> None:
    module = Held()
    module.alphas = module.norm.held = 1.0 * module.alphas  # computed, so no leaf
    for name in ("alphas", "norm.held"):
        objective, alpha = from_module(nn.DataParallel(module), [name], TRAIN, VAL, RULE)
        slope = objective.grad(alpha)
        step = torch.zeros(6).index_fill_(0, torch.tensor([3]), 0.1)
        change = objective(alpha + step) - objective(alpha - step)
        torch.testing.assert_close(float(change) / 0.2, float(slope[3]), rtol=0.05, atol=1e-4)


class Impure(Mixed):
    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x) * self.calls


class Two(Mixed):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, super().forward(x)


class ByList(Mixed):
    def forward(self, x: Tensor) -> Tensor:
        self.alphas, kept = self._arch_parameters[0], self.alphas
        found = super().forward(x)
        self.alphas = kept
        return found


class Recomputed(Mixed):
    reentrant = False

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(super().forward, x, use_reentrant=self.reentrant)


class Reentrant(Recomputed):
    reentrant = True

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.clone().requires_grad_())


class Zero(Mixed):
    """As residual branches often begin."""

    def __init__(self) -> None:
        super().__init__()
        nn.init.zeros_(self.norm.weight)
        nn.init.zeros_(self.head.weight)


def test_layers_may_begin_at_zero() -> None:
    objective, alpha = from_module(Zero(), ["alphas"], TRAIN, VAL, RULE)
    assert float(objective(alpha)) > 0


class ByClass(nn.Linear):
    alphas = None

    def __init__(self) -> None:
        super().__init__(64, 5)
        vars(self)["alphas"] = torch.zeros(2)


class Probabilities(Mixed):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (self.alphas - 0.1).log().softmax(1)[0, 0]


class Closed(Mixed):
    def __init__(self) -> None:
        super().__init__()
        self.first = lambda x: self.norm(self.stem(x))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.first(x).mean()


class Normed(Mixed):
    def __init__(self) -> None:
        super().__init__()
        self.head = spectral_norm(self.head)


INTEGERS = [(VAL[0][0], VAL[0][1].int())]


@pytest.mark.parametrize(
    ("module", "names", "more", "told"),
    [
        (Mixed(), ["alpha"], {}, "'alpha' is no tensor of Mixed; did you mean 'alphas'"),
        (Mixed(), ["cell.x.y"], {}, "'cell.x.y' is no tensor of Mixed; its tensors are: alphas, "),
        (Mixed(), ["stem"], {}, "'stem' is no tensor"),
        (Mixed(), [], {}, r"got alphas=\[\], expected the names of α"),
        (Mixed(), ["alphas"] * 2, {}, "'alphas' is the same tensor as another"),
        (Mixed(), ["norm.num_batches_tracked"], {}, "expected floating-point numbers"),
        (Mixed(), "alphas", {"operations": ["a"]}, "1 operations for 'alphas', whose last axis"),
        (Mixed(), "alphas", {"operations": {"alphas": ["a"]}}, "got 1 operations for 'alphas'"),
        (Mixed(), "alphas", {"operations": {"alpha": ["a"]}}, "got operations of 'alpha', expect"),
        (Mixed().requires_grad_(requires_grad=False), "alphas", {}, "takes gradients: no ω"),
        (Mixed(), "alphas", {"sgd": 0.1}, r"sgd is a builtins.float, expected zarts.SGD\("),
        (Mixed(), "alphas", {"val": iter([])}, "val has no batch, expected pairs"),
        (Mixed(), "alphas", {"val": VAL[0]}, r"val\[0\] is a Tensor, expected pairs"),
        (Mixed(), "alphas", {"train": [(VAL[0][0], VAL[0][0])]}, r"train\[0\] is \(10, 1, 8, 8\)"),
        (Mixed(), "alphas", {"val": [(VAL[0][0], VAL[0][1] + 9)]}, "tells 5 classes apart"),
        (Mixed(), "alphas", {"train": [(VAL[0][0], VAL[0][1] + 1)]}, "got labels from 1 to 5"),
        (Mixed(), "alphas", {"draws": 0}, "got draws=0"),
        (Mixed().forward, "alphas", {}, "got a method, expected a torch.nn.Module"),
        (nn.LazyLinear(3), "weight", {}, "has lazy parameters; call it once"),
        (Impure(), "alphas", {}, "gives other logits .* the second time"),
        (Two(), "alphas", {}, "gives a tuple for 10 images, expected logits"),
        (ByList(attribute=True), "alphas", {}, "logits of ByList do not depend on 'alphas'"),
        (Recomputed(), "alphas", {}, "the gradients of Recomputed are not right"),
        (Reentrant(), "alphas", {}, "the gradients of Reentrant are not right"),
        (Probabilities(), "alphas", {}, "not finite near its ω and α"),
        (ByClass(), "alphas", {}, "'alphas' is also an attribute of the class ByClass"),
        (Closed(), "alphas", {}, "changed 'norm.running_mean' of the module itself"),
        (Normed(), "alphas", {}, "changes its buffer 'head.parametrizations.weight.0._u'"),
    ],
)
def test_what_is_not_possible_is_said(module, names, more, told) -> None:
    given = {"train": TRAIN, "val": INTEGERS, "sgd": RULE} | more
    with pytest.raises(ValueError, match=told):
        from_module(module, names, **given)
