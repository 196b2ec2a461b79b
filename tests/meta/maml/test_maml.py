"""The MAML trainer: resuming, refusing, backends."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
from alike import same
from toy import Reach

from metarl.errors import ConfigError, FamilyError, TrainingError
from metarl.learn.loop import train
from metarl.learn.share import alone
from metarl.meta.baseline import make_batch
from metarl.meta.maml.config import MamlConfig
from metarl.meta.maml.maml import MamlTrainer
from metarl.meta.maml.outer import adaptation_path
from metarl.nn.functional import apply, expand
from metarl.nn.policy import GaussianPolicy
from metarl.runs.checkpoint import load_checkpoint, save_checkpoint
from metarl.runs.metrics import read_metrics

TINY = MamlConfig(
    num_tasks=2, episodes=2, inner_updates=2, outer_epochs=2, iterations=4, hidden=(8,)
)


class Short(Reach):
    horizon = 8


class Nan(Short):
    """Rewards are not numbers."""

    def terms(self, worlds, task, action):
        return {"near": np.full(worlds.num_worlds, np.nan)}


def test_resumed_equals_never_stopped(tmp_path):
    straight = MamlTrainer(Short(), TINY, num_threads=1)
    train(straight, tmp_path / "straight", save_every_s=0.0)
    stopped = MamlTrainer(Short(), TINY, num_threads=1)
    for _ in range(2):
        stopped.iterate()
    save_checkpoint(tmp_path / "half.safetensors", *stopped.checkpoint())
    resumed = MamlTrainer(Short(), TINY, num_threads=1)
    resumed.restore(load_checkpoint(tmp_path / "half.safetensors"))
    for _ in range(2):
        resumed.iterate()
    a, b = straight.state_dict(), resumed.state_dict()
    assert a.pop("progress")[:2] == b.pop("progress")[:2] == (4, 4 * 3 * 4 * 8)
    assert same(a, b)
    rows = read_metrics(tmp_path / "straight")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert {"success_before", "success_after", "term/near", "steps_per_s"} <= rows[0].keys()


def test_a_finished_run_resumes_to_nothing(tmp_path):
    trainer = MamlTrainer(Short(), TINY, num_threads=1)
    train(trainer, tmp_path, save_every_s=0.0)
    again = MamlTrainer(Short(), TINY, num_threads=1)
    assert train(again, tmp_path, resume=True) == {}
    assert same(trainer.state_dict()["policy"], again.state_dict()["policy"])


def test_a_longer_budget_goes_on_as_if_it_had_been_given_at_first(tmp_path):
    config = dataclasses.replace(TINY, anneal=0.0)
    straight = MamlTrainer(Short(), config, num_threads=1)
    train(straight, tmp_path / "straight")
    for iterations in (2, config.iterations):
        trainer = MamlTrainer(
            Short(), dataclasses.replace(config, iterations=iterations), num_threads=1
        )
        train(trainer, tmp_path / "longer", resume=iterations > 2)
        assert trainer.iteration == iterations
    assert same(straight.state_dict()["policy"], trainer.state_dict()["policy"])
    saved = json.loads((tmp_path / "longer" / "config.json").read_text())
    assert saved["iterations"] == config.iterations


def test_a_checkpoint_says_what_it_is():
    trainer = MamlTrainer(Short(), TINY, num_threads=1)
    tensors, meta = trainer.checkpoint()
    assert tensors["policy.head.weight"].shape == (2, 8)
    assert tensors["rates.head.weight"].shape == (2, 2, 8)
    assert (meta["method"], meta["family"]) == ("maml", "toy/reach")
    assert meta["blocks"] == {"robot": 4, "task": 2}
    assert meta["config"]["num_tasks"] == 2


def test_not_a_number_rewards_refuse_the_update():
    trainer = MamlTrainer(Nan(), TINY, num_threads=1)
    before = copy.deepcopy(trainer.state_dict())
    with pytest.raises(FamilyError, match=r"terms\(\) of .*Nan gave nan as 'near' in worlds"):
        trainer.iterate()
    after = trainer.state_dict()
    for part in ("policy", "rates", "optimizer"):
        assert same(before[part], after[part])


def test_a_gradient_that_is_not_finite_refuses_the_update():
    trainer = MamlTrainer(Short(), TINY, num_threads=1)
    inner = trainer.gradients

    def broken(*args):
        loss, of_params, of_rates = inner(*args)
        of_params["log_std"] = of_params["log_std"] * torch.nan
        return loss, of_params, of_rates

    trainer.gradients = broken
    before = copy.deepcopy(trainer.state_dict()["policy"])
    with pytest.raises(TrainingError, match="log_std"):
        trainer.iterate()
    assert same(before, trainer.state_dict()["policy"])


def test_a_refused_update_leaves_a_run_that_resumes(tmp_path):
    with pytest.raises(FamilyError):
        train(MamlTrainer(Nan(), TINY, num_threads=1), tmp_path)
    train(MamlTrainer(Short(), TINY, num_threads=1), tmp_path, resume=True)
    assert len(read_metrics(tmp_path)) == 4


def test_pretrained_parameters_are_taken():
    g = torch.Generator().manual_seed(5)
    source = GaussianPolicy(6, 2, 2, g, hidden=(8,))
    trainer = MamlTrainer(Short(), TINY, initial=source.state_dict(), num_threads=1)
    assert torch.equal(trainer.policy.head.weight, source.head.weight)
    with pytest.raises(ConfigError, match="none of the initial"):
        MamlTrainer(Short(), TINY, initial={"x": torch.zeros(1)}, num_threads=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_tasks": 0}, "num_tasks is 0"),
        ({"gamma": 1.5}, r"gamma is 1.5; expected a number in \[0, 1\]"),
        ({"outer_rate": float("nan")}, "outer_rate is nan"),
        ({"backend": "jax"}, "torch or learn2learn"),
        ({"task_visible": True}, "task_visible"),
        ({"backend": "learn2learn"}, "learn_rates=False"),
    ],
)
def test_a_config_says_what_is_wrong(change, message):
    with pytest.raises(ConfigError, match=message):
        MamlConfig(**change)


def test_both_backends_train_alike():
    pytest.importorskip("learn2learn")
    # by first order ours keeps the gradient that was followed, learn2learn does not
    fixed = dataclasses.replace(
        TINY, learn_rates=False, context_rate=None, inner_clip=None, first_order=False
    )
    ours = MamlTrainer(Short(), fixed, num_threads=1)
    theirs = MamlTrainer(Short(), dataclasses.replace(fixed, backend="learn2learn"), num_threads=1)
    for _ in range(2):
        a, b = ours.iterate(), theirs.iterate()
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-5)
    for name, p in ours.params.items():
        torch.testing.assert_close(p, theirs.params[name], rtol=0, atol=1e-5)


def test_whoever_adapts_again_compares_with_the_policies_that_acted():
    trainer = MamlTrainer(Short(), TINY, num_threads=1)
    batches, _ = alone(trainer.exploring())
    assert all(batch.followed is not None for batch in batches[:-1])
    moved = {n: (p + 0.1).detach().requires_grad_() for n, p in trainer.params.items()}
    paths = [
        list(adaptation_path(trainer.policy, params, trainer.rates, batches, trainer.outer))
        for params in (trainer.params, moved)
    ]
    for name in trainer.params:  # every policy on the way moves as the first one does
        for before, after in zip(*(path for path in paths)):
            torch.testing.assert_close(after[name], before[name] + 0.1)


def test_the_outer_loss_may_look_further_ahead_than_the_inner():
    config = dataclasses.replace(TINY, outer_gamma=0.99)
    trainer = MamlTrainer(Short(), config, num_threads=1)
    batches, episodes = alone(trainer.exploring())
    for batch, played in zip(batches, episodes):
        near = make_batch(played, config.gamma, config.lam).advantage
        far = make_batch(played, 0.99, config.outer_lam).advantage
        assert not torch.allclose(near, far)
        torch.testing.assert_close(batch.advantage, near, rtol=0, atol=0)
        torch.testing.assert_close(batch.merit, far, rtol=0, atol=0)
        output = apply(trainer.policy, expand(trainer.params, 2), batch.obs)
        judged = config.outer.loss(output, batch)
        swapped = batch._replace(advantage=far, merit=None)
        torch.testing.assert_close(judged, config.outer.loss(output, swapped))
