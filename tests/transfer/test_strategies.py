"""Strategies: what starts where, what is new, what learns, and how fast."""

from __future__ import annotations

import pytest
import torch

from metarl.errors import ConfigError, UnknownNameError
from metarl.nn import Mlp, Network
from metarl.nn.policy import GaussianPolicy
from metarl.nn.trunks import SmallCnn
from metarl.transfer.strategy import (
    depths_of,
    drawn_anew,
    get_strategy,
    prepare,
    strategies_by_name,
)
from metarl.transfer.student import Student

STRATEGIES = strategies_by_name()

RATE = 0.01


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def source() -> Network:
    generator = seeded()
    return Network(Mlp(4, (8, 8), generator=generator), 3, generator)


@pytest.fixture(params=STRATEGIES)
def strategy(request):
    return STRATEGIES[request.param]


def state(module: torch.nn.Module) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in module.state_dict().items()}


def student_of(source: Network, strategy, *, rate: float = RATE, **how) -> Student:
    own = prepare(source, strategy, generator=seeded(1), **how)
    new = drawn_anew(own, strategy, source)
    before = dict(source.named_parameters())
    return Student(
        own, strategy, rate=rate, generator=seeded(2), new=new,
        source={n: p for n, p in before.items() if n not in new}, teacher=before,
    )  # fmt: skip


def step(student: Student, progress: float = 0.0, seed: int = 1) -> None:
    """One step down a loss that every weight has a part in."""
    student.at(progress)
    loss = student(torch.randn(16, 4, generator=seeded(seed))).square().mean()
    pull = student.pull()
    student.optimizer.zero_grad()
    (loss if pull is None else loss + pull).backward()
    student.optimizer.step()


def test_there_is_a_scratch_baseline():
    assert STRATEGIES["scratch"].start == "scratch"
    assert all(name == strategy.name for name, strategy in STRATEGIES.items())


def test_source_is_never_changed(source, strategy):
    before = state(source)
    for progress in (0.0, 0.9):
        step(student_of(source, strategy, out_features=2), progress)
    assert state(source) == before
    assert all(param.grad is None for param in source.parameters())


def test_start_and_head_are_as_declared(source, strategy):
    student = prepare(source, strategy, generator=seeded(1))
    lower, upper = (state(student.trunk.layers[k]) == state(source.trunk.layers[k]) for k in (0, 2))
    assert lower == (strategy.start == "source")
    assert upper == (lower and strategy.name != "lower-layers")
    assert (state(student.head) != state(source.head)) == strategy.new_head


def test_a_head_that_does_not_fit_is_always_new(source, strategy):
    student = prepare(source, strategy, out_features=5, generator=seeded(1))
    assert student(torch.zeros(2, 4)).shape == (2, 5)


def test_same_generator_same_student(source, strategy):
    first, again = (prepare(source, strategy, generator=seeded(7)) for _ in range(2))
    assert state(first) == state(again)


def test_scratch_owes_nothing_to_the_source(source):
    other = Network(Mlp(4, (8, 8), generator=seeded(50)), 3, seeded(51))
    scratch = get_strategy("scratch")
    students = [prepare(each, scratch, generator=seeded(7)) for each in (source, other)]
    assert state(students[0]) == state(students[1])


NEVER, LATER = "frozen-trunk", "lp-ft"


@pytest.mark.parametrize("progress", [0.0, 0.49, 0.5, 0.99])
def test_only_what_may_learn_learns(source, strategy, progress):
    student = student_of(source, strategy, out_features=2)
    trunk, head = state(student.network.trunk), state(student.network.head)
    step(student, progress)
    learns = strategy.name != NEVER and (strategy.name != LATER or progress >= 0.5)
    with student.handed_out():
        assert (state(student.network.trunk) != trunk) == learns
        assert state(student.network.head) != head
    if not student.added:
        gradients = [param.grad is not None for param in student.network.trunk.parameters()]
        assert all(gradients) if learns else not any(gradients)


def test_a_frozen_source_thaws(source):
    source.freeze_trunk()
    student = student_of(source, get_strategy("fine-tune"))
    before = state(student.network.trunk)
    step(student)
    assert state(student.network.trunk) != before


@pytest.mark.parametrize(("layers", "taken"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_the_lowest_layers_are_taken(layers, taken):
    source = Network(Mlp(4, (8, 8, 8), generator=seeded()), 3, seeded())
    rules = get_strategy("lower-layers", {"layers": layers})
    left = rules.left_behind(dict(source.named_parameters()))
    kept = [k for k in range(3) if f"trunk.layers.{2 * k}.weight" not in left]
    assert kept == list(range(taken))
    assert {"head.weight", "head.bias"} <= left
    student = prepare(source, rules, generator=seeded(1))
    same = [
        k
        for k in range(3)
        if torch.equal(student.trunk.layers[2 * k].weight, source.trunk.layers[2 * k].weight)
    ]
    assert same == kept
    assert student.trunk.layers[0].weight is not source.trunk.layers[0].weight
    assert drawn_anew(student, rules, source) == left


def test_depths_count_from_the_head(source):
    depths = depths_of(dict(source.named_parameters()))
    assert depths == {
        "trunk.layers.0.weight": 2, "trunk.layers.0.bias": 2,
        "trunk.layers.2.weight": 1, "trunk.layers.2.bias": 1,
        "head.weight": 0, "head.bias": 0,
    }  # fmt: skip
    policy = GaussianPolicy(6, 2, 2, seeded(), hidden=(5, 4, 3))
    depths = depths_of(dict(policy.named_parameters()))
    assert (depths["context"], depths["trunk.layers.0.bias"], depths["log_std"]) == (3, 3, 0)
    cnn = depths_of(dict(Network(SmallCnn(generator=seeded()), 1, seeded()).named_parameters()))
    assert [cnn[f"trunk.layers.{i}.0.weight"] for i in range(4)] == [4, 3, 2, 1]
    assert [cnn[f"trunk.layers.{i}.1.weight"] for i in range(4)] == [4, 3, 2, 1]  # its norm


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("fine-tune", (1.0, 1.0, 1.0)),
        ("small-rate", (0.1, 0.1, 0.1)),
        ("frozen-trunk", (1.0, 0.0, 0.0)),
        ("layerwise-rate", (1.0, 0.5, 0.25)),
    ],
)
def test_a_first_step_of_adam_is_as_long_as_the_rate(source, name, factors):
    """So the steps of the layers, from the head down, show their rates."""
    strategy = get_strategy(name, {"decay": 0.5} if name == "layerwise-rate" else {})
    student = student_of(source, strategy)
    before = {n: p.detach().clone() for n, p in student.network.named_parameters()}
    step(student)
    for layer, factor in zip(("head", "trunk.layers.2", "trunk.layers.0"), factors):
        p = student.network.get_parameter(f"{layer}.weight")
        longest = float((p - before[f"{layer}.weight"]).detach().abs().max())
        assert longest == pytest.approx(RATE * factor, rel=1e-3)


def test_rates_that_differ_are_groups_that_hold_everything_once(source, strategy):
    student = student_of(source, strategy)
    groups = student.optimizer.param_groups
    assert len(groups) == (1 if strategy.uniform else 3)
    listed = [id(p) for group in groups for p in group["params"]]
    assert sorted(listed) == sorted(id(leaf) for leaf in student.leaves.values())


def test_bad_names_settings_and_rates_are_refused(source):
    with pytest.raises(UnknownNameError, match="did you mean 'frozen-trunk'"):
        get_strategy("frozen_trunk")
    for name, settings, said in (
        ("lp-ft", {"head_share": 1.0}, r"head_share is 1.0; expected a number in \(0, 1\)"),
        ("layerwise-rate", {"decay": 0.0}, "decay"),
        ("l2-sp", {"alpha": -1.0}, "alpha"),
        ("l2-sp", {"beta": float("nan")}, "beta"),
        ("low-rank", {"rank": 0}, "rank is 0; expected an integer >= 1"),
        ("low-rank", {"scale": 0.0}, "scale"),
        ("wise-ft", {"mix": 1.5}, "mix"),
        ("kickstart", {"weight": 0.0}, "weight"),
        ("kickstart", {"fade": 1.5}, "fade"),
        ("fine-tune", {"rank": 4}, "unknown key 'rank'"),
    ):
        with pytest.raises(ConfigError, match=said):
            get_strategy(name, settings)
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match="learning rate"):
            student_of(source, get_strategy("fine-tune"), rate=rate)
    with pytest.raises(ConfigError, match="no parameter to train"):
        Student(
            source, get_strategy("fine-tune"), rate=RATE, generator=seeded(),
            fixed=dict(source.named_parameters()),
        )  # fmt: skip


# What each is about -----------------------------------------------------------------------


def test_l2_sp_pulls_to_the_source_and_a_new_head_to_zero(source):
    strategy = get_strategy("l2-sp", {"alpha": 0.3, "beta": 0.2})
    student = student_of(source, strategy, out_features=2)
    with torch.no_grad():
        for p in student.network.parameters():
            p.add_(torch.randn(p.shape, generator=seeded(3)))
    pull = student.pull()
    pull.backward()
    before, away, shrunk = dict(source.named_parameters()), 0.0, 0.0
    for name, p in student.network.named_parameters():
        if name.startswith("head."):
            torch.testing.assert_close(p.grad, 0.2 * p.detach())
            shrunk += float(p.detach().square().sum())
        else:
            torch.testing.assert_close(p.grad, 0.3 * (p - before[name]).detach())
            away += float((p - before[name]).detach().square().sum())
    assert pull.item() == pytest.approx(0.15 * away + 0.1 * shrunk, rel=1e-5)
    student_of(source, strategy).pull().backward()  # nothing is away at the start


def test_a_strong_pull_holds_what_fine_tuning_moves(source):
    moved = {}
    for name, settings in (("fine-tune", {}), ("l2-sp", {"alpha": 1e6})):
        student = student_of(source, get_strategy(name, settings), rate=1e-3)
        for seed in range(200):
            step(student, seed=seed)
        pairs = zip(student.network.parameters(), source.parameters(), strict=True)
        moved[name] = max(float((a - b).detach().abs().max()) for a, b in pairs)
    assert moved["l2-sp"] < 0.1 * moved["fine-tune"]


@pytest.mark.parametrize("rank", [1, 2, 100])
def test_adapters_change_weights_by_a_low_rank_and_nothing_else(source, rank):
    student = student_of(source, get_strategy("low-rank", {"rank": rank}))
    before = {n: p.detach().clone() for n, p in source.named_parameters()}
    for name, p in student.finished().items():
        assert torch.equal(p, before[name])  # at first nothing is added
    for seed in range(20):
        step(student, seed=seed)
    after = student.finished()
    assert list(after) == list(before)  # plain weights, no trace of adapters
    for name, p in after.items():
        if name.endswith("bias"):
            assert torch.equal(p, before[name])
        else:
            least = torch.linalg.svdvals(p - before[name])
            assert least[0] > 1e-4
            assert (least[rank:] < 1e-5 * least[0]).all()
    own = dict(student.network.named_parameters())
    assert all(torch.equal(p, before[n]) and p.grad is None for n, p in own.items())


def test_adapters_of_convolutions_are_matrices_too():
    network = Network(SmallCnn(width=4, generator=seeded()), 3, seeded())
    student = student_of(network, get_strategy("low-rank", {"rank": 2}), out_features=1)
    pictures = torch.rand(4, 3, 16, 16, generator=seeded(1))
    torch.testing.assert_close(student(pictures), student.network(pictures))
    for _ in range(3):
        loss = student(pictures).square().mean()
        student.optimizer.zero_grad()
        loss.backward()
        student.optimizer.step()
    after, before = student.finished(), dict(network.named_parameters())
    for i in range(4):
        name = f"trunk.layers.{i}.0.weight"
        change = torch.linalg.svdvals((after[name] - before[name].detach()).flatten(1))
        assert change[1] > 0 > change[2:].max() - 1e-5 * change[0]
        assert torch.equal(
            after[f"trunk.layers.{i}.1.weight"], before[f"trunk.layers.{i}.1.weight"]
        )
    assert not torch.equal(after["head.bias"], torch.zeros(1))  # a new head learns whole


@pytest.mark.parametrize("mix", [0.0, 0.25, 1.0])
def test_what_is_handed_out_is_the_average(source, mix):
    student = student_of(source, get_strategy("wise-ft", {"mix": mix}), out_features=2)
    step(student)
    own, before = dict(student.network.named_parameters()), dict(source.named_parameters())
    for name, p in student.finished().items():
        if name.startswith("head."):
            assert torch.equal(p, own[name])  # there is no source of a new head
        else:
            assert torch.equal(p, mix * own[name] + (1.0 - mix) * before[name])
    with student.handed_out():
        inside = state(student.network)
    assert (inside == state(student.network)) == (mix == 1.0)  # and training goes on


def test_the_teachers_weight_fades_linearly():
    kickstart = get_strategy("kickstart", {"weight": 2.0, "fade": 0.5})
    assert [kickstart.teaching(p) for p in (0.0, 0.25, 0.5, 1.0)] == [2.0, 1.0, 0.0, 0.0]
    assert not any(s.teaching(0.0) for s in STRATEGIES.values() if not s.imitates)


class Drifting(torch.nn.Module):
    """A trunk with all that may drift: a norm's statistics, dropout, running means of the input."""

    num_features = 8

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.mlp = Mlp(4, (8,), generator=generator)
        self.norm, self.dropout = torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.5)
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x):
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * x.detach().mean(0))
        return self.dropout(self.norm(self.mlp(x - self.mean)))


@pytest.mark.parametrize("name", ["frozen-trunk", "lp-ft", "low-rank", "fine-tune"])
def test_what_is_frozen_stands_still_in_training_too(name):
    network = Network(Drifting(seeded()), 3, seeded())
    student = student_of(network, get_strategy(name), out_features=1)
    before = state(student.network.trunk)
    for seed in range(3):
        student.network.train()
        step(student, seed=seed)
    assert (state(student.network.trunk) == before) == (name != "fine-tune")
    frozen = [m.training for m in student.network.trunk.modules()]
    assert any(frozen) == (name == "fine-tune")
    if name == "lp-ft":
        step(student, 0.5)
        assert student.network.trunk.training
        after = state(student.network.trunk)
        assert all(after[key] != before[key] for key in after)
