"""What the caller has set for the process changes nothing, and is as it was afterwards."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import pytest
import torch

from metarl.adapt.evaluate import evaluate_adaptation
from metarl.adapt.protocol import Protocol
from metarl.ambient import steady
from metarl.learn.train import train
from metarl.runs.checkpoint import load_checkpoint


def state():
    return (
        torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads(),
        torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
        torch.get_float32_matmul_precision(), flushes(), np.geterr(), list(warnings.filters),
    )  # fmt: skip


def flushes():
    return (torch.tensor(1e-40, dtype=torch.float32, device="cpu") * 1.0).item() == 0.0


@contextlib.contextmanager
def unusual():
    """A caller who has set everything otherwise."""
    with warnings.catch_warnings(), np.errstate(all="raise"), torch.inference_mode():
        warnings.simplefilter("error")
        torch.set_default_dtype(torch.float64)
        torch.set_default_device("meta")
        torch.set_float32_matmul_precision("medium")
        torch.set_flush_denormal(True)
        torch.set_num_threads(2)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)
            torch.set_default_device(None)
            torch.set_float32_matmul_precision("highest")
            torch.set_flush_denormal(False)
            torch.set_num_threads(1)


def test_within_all_is_as_in_a_fresh_process():
    with unusual(), steady(1):
        assert torch.ones(1).dtype == torch.float32
        assert torch.ones(1).device == torch.device("cpu")
        assert torch.get_num_threads() == 1
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        assert torch.get_float32_matmul_precision() == "highest"
        assert not flushes()
        with pytest.warns(RuntimeWarning, match="overflow"):
            assert np.isinf(np.exp(np.array([1e4]))[0])


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_set_is_put_back(fails):
    with unusual():
        before = state()
        with contextlib.suppress(ZeroDivisionError), steady(1):
            if fails:
                raise ZeroDivisionError
        assert state() == before


def test_threads_stay_unless_asked():
    with steady():
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)
    assert torch.get_num_threads() == 1


def test_it_decorates_a_function_that_runs_twice():
    @steady(num_threads=1)
    def dtype():
        return torch.ones(1).dtype

    with unusual():
        assert [dtype(), dtype()] == [torch.float32, torch.float32]


def test_a_plain_process_pays_nothing_for_it():
    """A default device is a mode that sees every call of torch; none where the device is the CPU."""
    with steady():
        assert torch._C._len_torch_function_stack() == 0


TINY = {"iterations": 1, "hidden": [8], "num_tasks": 2, "episodes": 2, "inner_updates": 1}


def test_a_training_and_what_it_adapts_are_the_same_under_any_caller(tmp_path, reach):
    usual = train("toy/reach", "maml", out=tmp_path / "usual", **TINY)
    protocol = Protocol(num_tasks=2, episodes=2, updates=1, eval_episodes=2)
    method = "fine-tune"
    expected = evaluate_adaptation(reach, method, load_checkpoint(usual), protocol)
    with unusual():
        before = state()
        other = train("toy/reach", "maml", out=tmp_path / "other", **TINY)
        found = evaluate_adaptation(reach, method, load_checkpoint(usual), protocol)
        assert state() == before
    tensors = load_checkpoint(usual).tensors
    assert len(tensors) > 4
    for name, tensor in load_checkpoint(other).tensors.items():
        torch.testing.assert_close(tensor, tensors[name], rtol=0, atol=0)
    np.testing.assert_array_equal(found.returns, expected.returns)


def test_a_training_leaves_the_threads_as_they_were(tmp_path):
    torch.set_num_threads(2)
    try:
        train("toy/reach", "maml", out=tmp_path / "run", **TINY)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
