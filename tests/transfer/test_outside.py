"""A stranger's strategy: a class of rules, under every door."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint

import pytest
import torch
from toy import Reach

from metarl import methods
from metarl.adapt.evaluate import evaluate_adaptation, settings_of
from metarl.adapt.protocol import Protocol
from metarl.errors import ConfigError
from metarl.methods import Method, rule_names, rules_config
from metarl.nn import Network
from metarl.nn.trunks import SmallCnn
from metarl.perception.headswap import FitConfig, swap_head
from metarl.rl.ppo import PpoConfig, PpoTrainer
from metarl.runs import fields
from metarl.runs.checkpoint import Checkpoint
from metarl.transfer.config import FineTuning, Settings
from metarl.transfer.reward import by_reward
from metarl.transfer.strategy import Strategy, get_strategy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share(Settings):
    """How fast the trunk learns.

    Args:
        share: Factor on its rate, in (0, 1].
    """

    share: float = fields.factor(0.5)


class SlowTrunk(Strategy):
    """The trunk learns more slowly than the head."""

    name = "slow-trunk"
    doc = "the trunk learns more slowly"
    config = Share

    def rate(self, depth: int, progress: float) -> float:
        return self.settings.share if depth else 1.0


SLOW = Method(SlowTrunk.doc, adapting=by_reward(SlowTrunk), source="a stranger")


@pytest.fixture(autouse=True)
def _installed(monkeypatch):
    found = [
        EntryPoint("slow-trunk", f"{__name__}:SLOW", methods.GROUP),
        EntryPoint("broken", "absent_package:METHOD", methods.GROUP),
    ]
    monkeypatch.setattr(methods, "entry_points", lambda group: found)


def test_it_is_found_by_name_with_its_settings():
    assert "slow-trunk" in rule_names()
    assert "broken" not in rule_names()
    assert rules_config("slow-trunk") is Share
    assert get_strategy("slow-trunk", {"share": 0.2}).rate(1, 0.0) == 0.2
    how = settings_of("slow-trunk", {"share": 0.2, "rate": 1e-2})
    assert isinstance(how, FineTuning)
    with pytest.raises(ConfigError, match=r"share is 0.0; expected a number in"):
        get_strategy("slow-trunk", {"share": 0.0})


def test_policies_ppo_and_pictures_learn_by_it():
    config = PpoConfig(num_worlds=4, minibatch=40, epochs=1, hidden=(6,))
    source = PpoTrainer(Reach(), config)
    few = Protocol(num_tasks=2, episodes=1, updates=1, eval_episodes=1)
    result = evaluate_adaptation(Reach(), "slow-trunk", Checkpoint(*source.checkpoint()), few)
    assert result.returns.shape == (2, 2)
    how = dataclasses.replace(config, strategy="slow-trunk", strategy_settings={"share": 0.25})
    trainer = PpoTrainer(Reach(), how, initial=source.policy.state_dict())
    trainer.iterate()
    rates = {group["lr"] for group in trainer.networks.optimizer.param_groups}
    assert rates == {config.learning_rate, 0.25 * config.learning_rate}
    generator = torch.Generator().manual_seed(0)
    network = Network(SmallCnn(width=4, generator=generator), 3, generator)
    student, *_ = swap_head(
        network, get_strategy("slow-trunk"), torch.rand(8, 3, 8, 8), torch.linspace(0, 1, 8),
        seed=0, config=FitConfig(max_epochs=1, patience=1),
    )  # fmt: skip
    assert not torch.equal(next(student.trunk.parameters()), next(network.trunk.parameters()))
