"""Few-shot tasks of unseen classes: what is drawn, what adapts, what stands still, what is refused."""

import dataclasses
import json
import os
import random
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from problem import move_to_meta
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from metarl.errors import CheckpointError, ConfigError, UnknownNameError
from metarl.nn.network import Network
from metarl.perception.backbones import build_backbone, trained_backbone
from metarl.perception.fewshot.config import LEARNED, FewShotConfig
from metarl.perception.fewshot.learners import (
    Logistic,
    NearestCentroid,
    meta_learner,
    unit_features,
)
from metarl.perception.fewshot.outer import OuterLoop
from metarl.perception.fewshot.pool import Pool, load_pool, part_classes
from metarl.perception.fewshot.run import few_shot
from metarl.perception.fewshot.table import few_shot_all, summarise
from metarl.perception.fewshot.tasks import Task, Tasks
from metarl.perception.pictures import draw_pictures, get_scene
from metarl.runs.checkpoint import load_checkpoint
from metarl.runs.run import Stopped
from metarl.runs.state import unflatten

pytest.importorskip("learn2learn")

INVENTED = "metarl_kitchen.invented:kitchen/invented-ingredients"
EACH = 5
NAMES = tuple("abcdefgh")
TINY = FewShotConfig(
    ways=2, shots=1, queries=2, unseen=3, size=16, episodes=3, iterations=3, tasks=2, updates=2
)


def pool_of(size=16):
    """Eight classes by colour, five noisy pictures each."""
    rng = np.random.default_rng(0)
    colours = rng.uniform(0, 255, (len(NAMES), 3, 1, 1))
    label = np.repeat(np.arange(len(NAMES)), EACH)
    pixels = colours[label] + rng.normal(0, 20, (len(label), 3, size, size))
    seen, unseen = part_classes(TINY, NAMES)
    pixels = torch.from_numpy(np.clip(pixels, 0, 255).astype(np.uint8))
    return Pool(pixels, torch.from_numpy(label), NAMES, seen, unseen)


@pytest.fixture(scope="module")
def pool():
    return pool_of()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    pool = pool_of()
    for i, (pixels, label) in enumerate(zip(pool.pixels, pool.label, strict=True)):
        (root / NAMES[label]).mkdir(exist_ok=True)
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(root / NAMES[label] / f"{i}.png")
    return root


def config_of(**changes):
    return dataclasses.replace(TINY, **changes)


def state(module):
    return {key: value.numpy().tobytes() for key, value in module.state_dict().items()}


# What is drawn ----------------------------------------------------------------------------


def test_tasks_are_of_the_chosen_classes_and_ask_about_other_pictures(pool):
    inputs = torch.arange(len(pool.label))[:, None].float()  # each says which it is
    drawn = {
        name: Tasks(x, pool.label, pool.unseen, ways=2, shots=2, queries=3, seed=0)
        for name, x in (("rows", inputs), ("pictures", pool.pixels))
    }
    before = random.getstate()
    seen, numbers = set(), []
    for number in range(20):
        task = drawn["rows"].task(number)
        support, query = task.support[:, 0].long(), task.query[:, 0].long()
        assert torch.equal(torch.bincount(task.support_label), torch.tensor([2, 2]))
        assert torch.equal(torch.bincount(task.query_label), torch.tensor([3, 3]))
        assert not set(support.tolist()) & set(query.tolist())
        names = {}
        for row, label in zip(
            [*support, *query], [*task.support_label, *task.query_label], strict=True
        ):
            names.setdefault(int(label), set()).add(int(pool.label[row]))
        assert all(len(classes) == 1 for classes in names.values())
        seen |= set().union(*names.values())
        numbers.append(support.tolist())
        again = drawn["pictures"].task(number)
        assert torch.equal(again.support, pool.pixels[support])
        assert torch.equal(again.query, pool.pixels[query])
    assert seen == set(pool.unseen)
    assert len({tuple(rows) for rows in numbers}) > 10
    assert random.getstate() == before


def test_classes_judge_or_are_learned_from():
    parts = [part_classes(config_of(seed=seed), NAMES) for seed in range(4)]
    for seen, unseen in parts:
        assert sorted((*seen, *unseen)) == list(range(8))
        assert len(unseen) == 3
    assert len(set(parts)) > 1
    assert len(part_classes(config_of(unseen=None, ways=4), NAMES)[1]) == 4


def test_invented_ingredients_differ_and_are_none_of_the_pantrys():
    scene = get_scene(INVENTED)
    assert len(scene.classes) == 80
    assert len({repr(parts) for parts in scene.parts.values()}) == 80
    assert not set(scene.classes) & set(get_scene("metarl_kitchen:kitchen/ingredients").classes)
    for parts in scene.parts.values():  # all of it lies in the pan
        assert max(np.hypot(*part.at[:2]) for part in parts) < 0.1
    drawn = draw_pictures(scene, 6, seed=0, size=24)
    assert len({picture.tobytes() for picture in drawn.pixels}) == 6


def test_pictures_of_a_scene_are_as_many_of_each_class():
    config = config_of(data="metarl_kitchen:kitchen/ingredients:class", pictures=3, size=16)
    pool = load_pool(config)
    assert torch.equal(torch.bincount(pool.label), torch.full((8,), 3))
    assert pool.pixels.shape == (24, 3, 16, 16)
    assert int(pool.rows_seen().sum()) == 15


# What answers -----------------------------------------------------------------------------


def test_the_nearest_centroid_by_hand():
    support = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [0.0, 6.0]])
    task = Task(support, torch.tensor([0, 0, 1, 1]), torch.tensor([[1.0, 1.0]]), torch.tensor([0]))
    assert torch.allclose(NearestCentroid().answer(task), torch.tensor([[-0.5, -8.5]]))
    units = unit_features(support, torch.tensor([True, True, False, False]))
    assert torch.allclose(units[0], torch.tensor([-1.0, 0.0]))
    assert torch.allclose(units.norm(dim=-1), torch.ones(4))


def test_the_logistic_heads_slope_is_zero():
    rng = np.random.default_rng(0)
    features, label = rng.normal(size=(12, 4)), np.arange(12) % 3
    weight, bias = (
        torch.from_numpy(x).requires_grad_() for x in Logistic(2.0).fit(features, label)
    )
    logits = torch.from_numpy(features) @ weight.T + bias
    lost = nn.functional.cross_entropy(logits, torch.from_numpy(label), reduction="sum")
    (2.0 * lost + 0.5 * weight.square().sum()).backward()
    assert weight.grad.abs().max() < 1e-3
    assert bias.grad.abs().max() < 1e-3
    assert weight.detach().abs().max() > 0.1


@pytest.mark.parametrize("method", LEARNED)
def test_one_update_is_one_step_down_the_gradient(method):
    """By torch alone: of everything, or of the head; the outer gradient reaches through it."""
    generator = torch.Generator().manual_seed(0)
    trunk = nn.Linear(3, 4)
    trunk.num_features = 4
    network = Network(trunk, 2, generator)
    config = config_of(method=method, updates=1, inner_rate=0.5, trunk_rate=0.25)
    inputs = torch.randn(6, 4 if method == "anil-frozen" else 3, generator=generator)
    label = torch.tensor([0, 1, 0, 1, 0, 1])
    loss, logits = meta_learner(network, config).loss(
        Task(inputs[:2], label[:2], inputs[2:], label[2:])
    )
    moving = network if method == "maml" else network.head
    start = network.head if method == "anil-frozen" else network
    own = dict(start.named_parameters())
    before = nn.functional.cross_entropy(start(inputs[:2]), label[:2])
    slopes = torch.autograd.grad(before, list(moving.parameters()), create_graph=True)
    prefix = "" if moving is start else "head."
    stepped = {
        f"{prefix}{n}": p - (0.25 if n.startswith("trunk.") else 0.5) * g
        for (n, p), g in zip(moving.named_parameters(), slopes, strict=True)
    }
    expected = torch.func.functional_call(start, {**own, **stepped}, (inputs[2:],))
    assert torch.allclose(logits, expected, atol=1e-6)
    outer = nn.functional.cross_entropy(expected, label[2:])
    grads = [torch.autograd.grad(x, list(own.values()), retain_graph=True) for x in (loss, outer)]
    assert len(meta_learner(network, config).parameters()) == len(own)  # no rate is learned
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*grads, strict=True))


def test_the_outer_loop_learns(pool):
    network, _ = trained_backbone("small-cnn", 2, torch.Generator().manual_seed(0))
    config = config_of(method="anil", tasks=4, updates=1, outer_rate=3e-3)
    tasks = Tasks(pool.pixels, pool.label, pool.seen, ways=2, shots=1, queries=2, seed=0)
    outer = OuterLoop(meta_learner(network, config), network, tasks, config, "")
    losses = [outer.step()["loss"] for _ in range(15)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


# What stands still, and what goes on ------------------------------------------------------


@pytest.mark.parametrize("method", ["logistic", "anil", "anil-frozen"])
def test_a_frozen_trunk_is_byte_for_byte_the_same(tmp_path, method):
    pytest.importorskip("timm")
    config = config_of(method=method, backbone="test_efficientnet", size=32)
    judged = few_shot(config, tmp_path / "run", pool=pool_of(32))
    stands = method not in ("maml", "anil")
    assert judged.result["trunk stands"] == stands
    assert judged.accuracies.shape == (3,)
    assert (tmp_path / "run" / "features").exists() == stands
    classes = json.loads((tmp_path / "run" / "classes.json").read_text())
    assert not set(classes["seen"]) & set(classes["unseen"])
    if not config.learns:
        return
    [path] = (tmp_path / "run" / "checkpoints").iterdir()
    saved = load_checkpoint(path)
    there = unflatten(saved.tensors, saved.meta)["network"]
    network = build_backbone("test_efficientnet", 2, torch.Generator())
    assert set(network.state_dict()) == set(there)
    for name, tensor in network.trunk.named_buffers():
        if name.endswith(("running_mean", "running_var")):  # these stand in every method
            assert torch.equal(there[f"trunk.{name}"], tensor), name


@pytest.mark.parametrize("method", ["maml", "anil-frozen"])
def test_a_stopped_run_goes_on_to_the_same_bits(pool, tmp_path, method, monkeypatch):
    config = config_of(method=method)
    whole = few_shot(config, tmp_path / "whole", pool=pool)
    step = OuterLoop.step

    def interrupted(outer):
        row = step(outer)
        if outer.iterations == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return row

    with monkeypatch.context() as patch:
        patch.setattr(OuterLoop, "step", interrupted)
        with pytest.raises(Stopped):
            few_shot(config, tmp_path / "run", pool=pool)
    assert not (tmp_path / "run" / "result.json").exists()
    other = dataclasses.replace(pool, pixels=pool.pixels.flip(0))
    with pytest.raises(CheckpointError, match="pictures or the trunk's weights have changed"):
        few_shot(config, tmp_path / "run", pool=other, resume=True)
    again = few_shot(config, tmp_path / "run", pool=pool, resume=True)
    assert np.array_equal(again.accuracies, whole.accuracies)
    last = [load_checkpoint(f / "checkpoints" / "step-00000003.safetensors").tensors
            for f in (tmp_path / "whole", tmp_path / "run")]  # fmt: skip
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])


def test_noise_changes_what_is_learned_and_not_what_judges(pool, tmp_path):
    def judge(method, noise):
        config = config_of(method=method, noise=noise, episodes=8)
        return few_shot(config, tmp_path / f"{method}{noise}", pool=pool).accuracies

    plain = [judge("nearest-centroid", noise) for noise in (0, 1)]
    assert np.array_equal(*plain)
    judge("anil-frozen", 0)
    judge("anil-frozen", 1)
    rows = [(tmp_path / f"anil-frozen{noise}" / "metrics.jsonl").read_text() for noise in (0, 1)]
    losses = [[json.loads(line)["loss"] for line in text.splitlines()] for text in rows]
    assert losses[0] != losses[1]


@pytest.mark.parametrize(("name", "method"), [("small-cnn", "maml"), ("test_efficientnet", "anil")])
def test_every_tensor_of_a_step_lives_on_the_networks_device(name, method):
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    if name != "small-cnn":
        pytest.importorskip("timm")
    there = build_backbone(name, 2, torch.Generator().manual_seed(0))
    with FakeTensorMode(allow_non_fake_inputs=True):
        move_to_meta(there)
        learner = meta_learner(there, config_of(method=method, updates=1))
        pictures = torch.empty(4, 3, 16, 16, dtype=torch.uint8, device="meta")
        label = torch.empty(4, dtype=torch.int64, device="meta")
        loss, logits = learner.loss(Task(pictures, label, pictures, label))
        loss.backward()
        assert logits.device.type == "meta"
        assert all(p.grad.device.type == "meta" for p in learner.parameters())
        with pytest.raises(RuntimeError, match="device"):
            learner.loss(Task(pictures, label, pictures, torch.zeros(4, dtype=torch.int64)))


# Side by side -----------------------------------------------------------------------------


def test_methods_side_by_side_go_on(folder, tmp_path, monkeypatch):
    base, methods = config_of(data=str(folder)), ["nearest-centroid", "anil-frozen"]
    rows = few_shot_all(base, methods, [1, 2], 2, tmp_path)
    assert [(r["shots"], r["method"]) for r in rows] == [(k, m) for k in (1, 2) for m in methods]
    assert len(list((tmp_path / "features").iterdir())) == 1  # the same pictures for every seed
    with monkeypatch.context() as patch:
        patch.setattr("metarl.perception.fewshot.table.few_shot", None)  # all is there
        assert few_shot_all(base, methods, [1, 2], 2, tmp_path) == rows
    assert json.loads((tmp_path / "few-shot.json").read_text())["rows"] == rows
    with pytest.raises(ConfigError, match="was started with another config; inner_rate"):
        few_shot_all(dataclasses.replace(base, inner_rate=0.3), methods, [1, 2], 2, tmp_path)


def test_intervals_of_tasks_and_of_seeds():
    rng = np.random.default_rng(0)
    plain = rng.uniform(0.3, 0.7, (3, 400))
    rows = summarise({("nearest-centroid", 1): plain, ("maml", 1): plain + 0.1})
    first, second = rows
    assert first["gain"] is None
    assert second["gain"] == pytest.approx(0.1)
    assert second["gain episodes"] == pytest.approx([0.1, 0.1])  # on the same tasks
    low, high = first["episodes"]
    assert high - low == pytest.approx(2 * 1.96 * 0.4 / 12**0.5 / 1200**0.5, rel=0.1)
    means = plain.mean(1)
    assert first["seeds"][1] - means.mean() == pytest.approx(
        4.303 * means.std(ddof=1) / 3**0.5, rel=1e-3
    )
    assert summarise({("maml", 1): plain[:1]})[0]["seeds"] is None


# What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"ways": 4}, ConfigError, "8 classes, of which 3 judge and 5 are left .* 4 ways take"),
        ({"ways": 5, "unseen": None}, ConfigError, "5 judge and 3 are left to learn from"),
        ({"unseen": 9}, ConfigError, "9 judge and 0 are left"),
        ({"shots": 4}, ConfigError, r"8 classes have too few pictures \(a 5, b 5, c 5, ...\);"
            " 4 shots and 2 queries take 6"),
        ({"data": "kitchen:doneness"}, ConfigError, "valid: class, ingredients"),
        ({"data": "nowhere"}, ConfigError, "nowhere does not exist"),
        ({"method": "protonet"}, UnknownNameError, "valid: anil"),
        ({"data": "metarl_kitchen:kitchen/ingredients:class", "pictures": 2}, ConfigError,
            "8 classes have too few pictures"),
        ({"ways": 1}, ConfigError, "ways is 1; expected an integer >= 2"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_told(folder, tmp_path, changes, error, said):
    with pytest.raises(error, match=said):
        few_shot(config_of(**{"data": str(folder), **changes}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_numbers_are_no_classes(folder, tmp_path):
    table = tmp_path / "t.csv"
    table.write_text(f"file,shade\n{folder / 'a' / '0.png'},3\n")
    with pytest.raises(ConfigError, match="asks for shade, which are numbers"):
        load_pool(config_of(data=str(table)))


def test_what_is_left_out_of_a_folder_is_told(folder):
    broken = folder / "a" / "broken.png"
    broken.write_bytes(b"x")
    try:
        assert any("1 left out" in line for line in load_pool(config_of(data=str(folder))).told)
    finally:
        broken.unlink()
