"""Eyes: they learn to see what a policy was told, resume bit for bit, and say what they cannot do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from spot import Spot, told

from metarl import cli
from metarl.errors import CheckpointError, ConfigError, UnknownNameError
from metarl.learn.train import train
from metarl.nn.trunks import SmallCnn
from metarl.perception.eyes.columns import part_columns
from metarl.perception.eyes.config import EyesConfig
from metarl.perception.eyes.network import Eyes, Places, doubtful_loss
from metarl.perception.eyes.trainer import EyesTrainer, see_in
from metarl.registry import make_family
from metarl.runs.checkpoint import Checkpoint, save_checkpoint
from metarl.runs.policies import load_policy, read_checkpoint
from metarl.runs.trained import part
from metarl.sim.worlds import Worlds

TINY = EyesConfig(
    hidden=(2,), num_worlds=8, iterations=3, size=24, minibatch=32, epochs=2, eye_hidden=(16,)
)


@pytest.fixture(scope="module")
def spec():
    return Worlds(Spot(), 1, task_visible=True).spec


@pytest.fixture(scope="module")
def initial(spec):
    return {name: p.detach() for name, p in told(spec).named_parameters()}


@pytest.fixture
def source(tmp_path, spec):
    """A checkpoint of the policy that is told."""
    path = tmp_path / "told.safetensors"
    tensors = {f"policy.{name}": p.detach() for name, p in told(spec).named_parameters()}
    meta = {
        "family": "spots/spot", "blocks": dict(spec.blocks), "action_dim": spec.action_dim,
        "method": "dagger", "config": {"hidden": [2], "task_visible": True},
    }  # fmt: skip
    save_checkpoint(path, tensors, meta)
    return path


def state_of(trainer: EyesTrainer) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in trainer.checkpoint()[0].items()}


@pytest.mark.parametrize(
    ("answers", "left", "least"), [("columns", 0.5, 0.75), ("actions", 0.85, 0.0)]
)
def test_they_come_to_see_what_the_policy_was_told(initial, answers, left, least):
    config = dataclasses.replace(TINY, num_worlds=16, iterations=12, answers=answers, epochs=4)
    trainer = EyesTrainer(Spot(), config, initial=initial, num_threads=1)
    first = trainer.iterate()
    for _ in range(config.iterations - 1):
        last = trainer.iterate()
    assert first["episodes_seen"] == 0.0
    assert last["episodes_seen"] == 1.0
    assert last["error"] < left * first["error"]
    assert last["success"] >= least


def test_what_is_shown_is_not_told(initial):
    """The truth of what pictures show has no way into what is done."""
    trainer = EyesTrainer(Spot(), TINY, initial=initial, num_threads=1)
    trainer.iterate()
    trainer.worlds.assign(trainer.worlds.sample("train"))
    obs = trainer.worlds.reset().astype(np.float32)
    before = trainer.sight(obs)
    changed = obs.copy()
    changed[:, trainer.columns.shown] = 77.0
    assert np.array_equal(trainer.sight(changed), before)


def test_columns_are_parted(spec):
    found = part_columns(Spot(), spec)
    assert found.names == ("object 1", "object 2", "goal_m 1", "goal_m 2")
    assert found.stays.tolist() == [False, False, True, True]
    assert found.beside.tolist() == [0, 1, 2, 3, 8]  # the robot, and a wish that no picture shows
    assert part_columns(Spot(), spec, ("wish",)).names[-1] == "wish"
    with pytest.raises(UnknownNameError, match="goal_m, wish"):
        part_columns(Spot(), spec, ("wich",))
    with pytest.raises(ConfigError, match="not hidden"):
        part_columns(Spot(), spec, ("goal_m",))


def test_what_stays_is_remembered_by_how_sure_it_was(initial):
    trainer = EyesTrainer(Spot(), TINY, initial=initial, num_threads=1)
    sight, worlds = trainer.sight, trainer.worlds
    worlds.reset()
    sure, unsure = torch.full((8, 4), 0.1), torch.full((8, 4), 10.0)
    near, far = torch.zeros(8, 4), torch.ones(8, 4)
    sight._remember(near, sure)
    worlds.step(np.zeros((8, 2)))
    mean, sd = sight._remember(far, unsure)
    assert (mean[:, :2] == 1.0).all()
    assert (mean[:, 2:] < 1e-3).all()
    assert (sd[:, 2:] < 0.1).all()
    worlds.reset()  # another episode: nothing is known of it
    mean, sd = sight._remember(far, unsure)
    torch.testing.assert_close(mean, far)
    torch.testing.assert_close(sd, unsure)


@pytest.mark.parametrize("glances", [0, 12])
def test_resumed_equals_never_stopped(initial, glances):
    config = dataclasses.replace(TINY, glances=glances)
    whole = EyesTrainer(Spot(), config, initial=initial, num_threads=1)
    for _ in range(3):
        whole.iterate()
    first = EyesTrainer(Spot(), config, initial=initial, num_threads=1)
    first.iterate()
    saved = Checkpoint(*first.checkpoint())
    second = EyesTrainer(Spot(), config, initial=initial, num_threads=2)
    second.restore(saved)
    for _ in range(2):
        second.iterate()
    for name, tensor in state_of(whole).items():
        assert torch.equal(tensor, state_of(second)[name]), name


def test_glances_show_other_tasks_now_and_then(initial):
    config = dataclasses.replace(TINY, glances=40, glance=0.25)
    trainer = EyesTrainer(Spot(), config, initial=initial, num_threads=1)
    album, _ = trainer._collect()
    seen = TINY.num_worlds * Spot.horizon
    assert len(album.wanted) == trainer.num_steps
    assert len(album.wanted) - seen == pytest.approx(40 * Spot.horizon / 4, rel=0.3)
    # Where the goal is differs by episode: these are other episodes, of tasks of their own.
    goals = album.wanted[:, 2:4].unique(dim=0)
    assert TINY.num_worlds + 30 < len(goals) <= TINY.num_worlds + 40
    # A picture and what belongs to it are of the same world: the red spot is where the goal is.
    own = album.at(torch.arange(seen, len(album.wanted)))
    red = (own.pictures[:, 0].float() - own.pictures[:, 1].float()).clamp_min(0.0)
    across = (red.sum(1) * torch.arange(TINY.size)).sum(-1) / red.sum((1, 2))
    assert torch.corrcoef(torch.stack([across, own.wanted[:, 2]]))[0, 1] > 0.95


def test_the_policy_stays_and_other_noise_is_another_training(initial):
    runs = []
    for noise in (0, 1):
        trainer = EyesTrainer(
            Spot(), dataclasses.replace(TINY, noise=noise), initial=initial, num_threads=1
        )
        begins = part("eyes", state_of(trainer))
        trainer.iterate()
        for name in ("trunk.layers.0.weight", "head.weight"):
            assert torch.equal(part("policy", state_of(trainer))[name], initial[name])
        runs.append((begins, part("eyes", state_of(trainer))))
    (same, one), (again, other) = runs
    assert all(torch.equal(same[name], again[name]) for name in same)
    assert not torch.equal(one["head.0.weight"], other["head.0.weight"])


def test_a_frozen_trunk_stays_byte_for_byte(initial):
    config = dataclasses.replace(TINY, trunk="ingredients", frozen=True)
    family = make_family("kitchen/add")
    with pytest.raises(ConfigError, match="trunk"):
        dataclasses.replace(TINY, frozen=True)
    worlds = Worlds(family, 1, task_visible=True)
    policy = told_like(worlds.spec)
    trainer = EyesTrainer(
        family, dataclasses.replace(config, num_worlds=2), initial=policy, num_threads=1
    )
    before = part("eyes.trunk.eye", state_of(trainer))
    trainer.iterate()
    after = part("eyes.trunk.eye", state_of(trainer))
    assert before.keys() == after.keys()
    assert before
    assert all(torch.equal(before[name], after[name]) for name in before)
    fresh = SmallCnn(generator=torch.Generator().manual_seed(0)).state_dict()
    assert not torch.equal(before["layers.0.0.weight"], fresh["layers.0.0.weight"])


def told_like(spec):
    from metarl.nn.policy import GaussianPolicy

    policy = GaussianPolicy(
        spec.obs_dim, spec.action_dim, spec.task_dim, torch.Generator().manual_seed(0), hidden=(2,)
    )
    return {name: p.detach() for name, p in policy.named_parameters()}


def test_places_follow_what_moves():
    places = Places(SmallCnn(generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        places.log_sharpness.fill_(2.0)
        found = []
        for column in (10, 40):
            picture = torch.zeros(1, 3, 64, 64)
            picture[:, :, 30:34, column : column + 4] = 1.0
            found.append(places(picture)[0])
    moved = (found[1] - found[0]).abs()
    assert moved.max() > 0.5
    assert torch.isfinite(moved).all()


def test_doubt_grows_with_what_cannot_be_told():
    """A network that can only guess says how far off it is."""
    torch.manual_seed(0)
    log_sd = torch.zeros(2, requires_grad=True)
    wanted = torch.randn(4000, 2) * torch.tensor([0.1, 1.0])
    optimizer = torch.optim.Adam([log_sd], lr=0.05)
    for _ in range(300):
        loss = doubtful_loss(torch.zeros_like(wanted), log_sd.expand_as(wanted), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(log_sd.exp().detach(), torch.tensor([0.1, 1.0]), rtol=0.1, atol=0.0)


def test_eyes_need_a_policy_and_a_camera(tmp_path, source):
    with pytest.raises(ConfigError, match="--from"):
        train("spots/spot", "eyes", iterations=1, out=tmp_path / "a", num_threads=1)
    with pytest.raises(ConfigError, match="lets no camera be observed"):
        train("spots/blind", "eyes", iterations=1, out=tmp_path / "b", start=source, num_threads=1)
    with pytest.raises(UnknownNameError, match="above, aside"):
        train(
            "spots/spot", "eyes", iterations=1, out=tmp_path / "c", start=source, num_threads=1,
            camera="abov",
        )  # fmt: skip
    with pytest.raises(CheckpointError, match="no checkpoint nothing"):
        train(
            "spots/spot", "eyes", iterations=1, out=tmp_path / "d", start=source, num_threads=1,
            trunk="nothing",
        )  # fmt: skip


def test_from_training_to_a_film(tmp_path, source, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {
        name: getattr(TINY, name) for name in ("num_worlds", "size", "minibatch", "eye_hidden")
    }
    train("spots/spot", "eyes", iterations=2, out="seeing", start=source, num_threads=1, **settings)
    checkpoint = read_checkpoint("seeing")
    act = see_in(checkpoint, Worlds(Spot(), 3, task_visible=True, num_threads=1))
    assert act(act.worlds.reset()).shape == (3, 2)
    panel = act.panel(1, height=200)
    assert panel.shape == (200, 100, 3)
    watch = ["watch", "spots/spot", "--policy", "seeing", "--no-live", "--episodes", "1"]
    assert cli.main([*watch, "--show", "camera", "--out", "seen.mp4"]) == 0
    assert "of 1 episodes succeeded" in capsys.readouterr().out
    assert (tmp_path / "seen.mp4").stat().st_size > 1000


def test_nothing_else_takes_them_for_a_policy_that_is_told(tmp_path, source, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"num_worlds": 2, "size": 16, "eye_hidden": (4,)}
    train("spots/spot", "eyes", iterations=1, out="seeing", start=source, num_threads=1, **settings)
    with pytest.raises(CheckpointError, match="acts on what a camera shows"):
        load_policy(read_checkpoint("seeing"))
    capsys.readouterr()
    for words in (
        ["adapt", "seeing", "spots/spot", "--num-tasks", "1"],
        ["train", "spots/spot", "--method", "ppo", "--iterations", "1", "--from", "seeing"],
    ):
        assert cli.main(words) == 2, words
        said = capsys.readouterr().err
        assert "acts on what a camera shows" in said
        assert said.strip().count("\n") == 0


def test_a_checkpoint_of_other_eyes_is_refused(initial):
    trainer = EyesTrainer(Spot(), TINY, initial=initial, num_threads=1)
    saved = Checkpoint(*trainer.checkpoint())
    wider = EyesTrainer(
        Spot(), dataclasses.replace(TINY, eye_hidden=(8,)), initial=initial, num_threads=1
    )
    with pytest.raises(CheckpointError, match="other eyes"):
        wider.restore(saved)
    tensors, meta = trainer.checkpoint()
    del tensors["eyes.head.0.weight"]
    with pytest.raises(CheckpointError, match="no whole eyes"):
        see_in(Checkpoint(tensors, meta), Worlds(Spot(), 1, task_visible=True))


def test_pictures_are_scaled_alike_whatever_their_layout(spec):
    eyes = Eyes(SmallCnn(generator=torch.Generator()), 2, 3, (4,), torch.Generator())
    pictures = torch.randint(0, 255, (2, 3, 24, 24), dtype=torch.uint8)
    one = eyes(pictures, torch.zeros(2, 2)).mean
    other = eyes(pictures.contiguous(memory_format=torch.channels_last), torch.zeros(2, 2)).mean
    torch.testing.assert_close(one, other)


# Eyes that were trained before ------------------------------------------------------------------


@pytest.fixture(scope="module")
def seeing(tmp_path_factory, initial):
    """A checkpoint of eyes that see spots."""
    path = tmp_path_factory.mktemp("seeing") / "eyes.safetensors"
    config = dataclasses.replace(TINY, num_worlds=16, iterations=8, epochs=4)
    trainer = EyesTrainer(Spot(), config, initial=initial, num_threads=1)
    for _ in range(config.iterations):
        trainer.iterate()
    save_checkpoint(path, *trainer.checkpoint())
    return str(path), part("eyes", state_of(trainer))


def swapped(initial, before, **changes) -> EyesTrainer:
    config = dataclasses.replace(TINY, eyes=before[0], **changes)
    return EyesTrainer(Spot(), config, initial=initial, num_threads=1)


def of(trainer: EyesTrainer, start: str) -> dict[str, torch.Tensor]:
    return part(f"eyes.{start}", state_of(trainer))


def same(one, other) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_eyes_go_on_from_others(initial, seeing):
    """Untouched they answer what the others answer, in the others' units; then they learn."""
    trainer = swapped(initial, seeing)
    assert same(part("eyes", state_of(trainer)), seeing[1])
    trainer.iterate()
    assert torch.equal(trainer.eyes.answer_mean, seeing[1]["answer_mean"])
    assert not same(of(trainer, "trunk"), part("trunk", seeing[1]))
    assert not same(of(trainer, "head"), part("head", seeing[1]))


def test_a_new_head_on_a_trunk_that_stands(initial, seeing):
    trainer = swapped(initial, seeing, swap="frozen-trunk", pictures=40)
    assert not torch.equal(trainer.eyes.head[0].weight, seeing[1]["head.0.weight"])
    before = of(trainer, "head")
    for _ in range(2):
        trainer.iterate()
    assert same(of(trainer, "trunk"), part("trunk", seeing[1]))
    assert not same(of(trainer, "head"), before)
    assert not torch.equal(trainer.eyes.answer_mean, torch.zeros(4))  # units of these pictures


def test_the_trunk_joins_in_where_the_strategy_says(initial, seeing):
    trainer = swapped(initial, seeing, swap="lp-ft", iterations=4, pictures=40)
    stood = []
    for _ in range(4):
        trainer.iterate()
        stood.append(same(of(trainer, "trunk"), part("trunk", seeing[1])))
    assert stood == [True, True, False, False]


def test_from_scratch_nothing_is_taken(initial, seeing):
    trainer = swapped(initial, seeing, swap="scratch")
    fresh = EyesTrainer(Spot(), TINY, initial=initial, num_threads=1)
    assert same(part("eyes", state_of(trainer)), part("eyes", state_of(fresh)))


def test_so_many_pictures_and_no_more(initial):
    config = dataclasses.replace(TINY, pictures=30)
    trainer = EyesTrainer(Spot(), config, initial=initial, num_threads=1)
    first = trainer.iterate()
    steps, album = trainer.num_steps, trainer._album.pictures
    last = trainer.iterate()
    assert len(album) == 30
    assert torch.equal(album, trainer._album.pictures)
    assert trainer.num_steps == steps == last["num_steps"]
    assert first["episodes_seen"] == 0.0
    assert "success" not in last  # no episode was run
    with pytest.raises(ConfigError, match="pictures is 5000, but 8 episodes show"):
        EyesTrainer(
            Spot(), dataclasses.replace(TINY, pictures=5000), initial=initial, num_threads=1
        ).iterate()


def test_few_pictures_and_others_eyes_resume_to_the_bit(initial, seeing):
    make = {"swap": "lp-ft", "iterations": 4, "pictures": 40}
    whole, first, second = (swapped(initial, seeing, **make) for _ in range(3))
    for _ in range(4):
        whole.iterate()
    for _ in range(2):
        first.iterate()
    second.restore(Checkpoint(*first.checkpoint()))
    for _ in range(2):
        second.iterate()
    assert same(state_of(whole), state_of(second))


def test_a_head_that_answers_something_else_is_new(initial, seeing):
    trainer = swapped(initial, seeing, answers="actions")
    assert same(of(trainer, "trunk"), part("trunk", seeing[1]))
    assert trainer.eyes.head[-1].out_features == 4  # two actions, each with its doubt
    trainer.iterate()


def test_what_cannot_be_swapped_is_said(tmp_path, initial, seeing, source):
    with pytest.raises(ConfigError, match=r"l2-sp.*keeps more.*expected one of fine-tune, frozen"):
        swapped(initial, seeing, swap="l2-sp")
    with pytest.raises(UnknownNameError, match="frozen-trunk"):
        swapped(initial, seeing, swap="frozen")
    with pytest.raises(CheckpointError, match="holds no eyes"):
        swapped(initial, (str(source), {}))
    with pytest.raises(CheckpointError, match="no checkpoint nothing"):
        swapped(initial, ("nothing", {}))
    with pytest.raises(ConfigError, match=r"swap is 'lp-ft'.*eyes are not named"):
        dataclasses.replace(TINY, swap="lp-ft")
    with pytest.raises(ConfigError, match=r"trunk.*bring their own"):
        dataclasses.replace(TINY, eyes="a", trunk="ingredients")
