"""What the caller has set for the process changes nothing, and is as it was afterwards."""

from __future__ import annotations

import contextlib
import warnings

import numpy as np
import pytest
import torch

from metarl.ambient import steady


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
