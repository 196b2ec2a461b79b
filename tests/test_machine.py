"""Devices and memory that this machine has."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metarl import machine
from metarl.errors import ConfigError
from metarl.machine import (
    memory_bytes,
    out_of_memory,
    require_device,
    require_memory,
    require_network_fits,
    require_worlds_fit,
)
from metarl.sim.worlds import Worlds

GIB = 2**30


@pytest.mark.parametrize("device", ["gpu", "mps", "meta", "cpu:7", "CPU", "", "cuda:x", "cuda:01"])
def test_a_device_is_cpu_or_cuda(device):
    with pytest.raises(ConfigError, match="expected cpu, cuda or cuda:N"):
        require_device(device)


def test_a_gpu_that_is_not_there():
    with pytest.raises(ConfigError, match=r"torch finds [0-9]+ GPUs here"):
        require_device("cuda:99")


def test_memory_is_known_here():
    assert GIB // 4 < memory_bytes() < 2**50


def test_what_cannot_fit_is_refused(monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 8 * GIB)
    require_memory(8 * GIB, "x")
    with pytest.raises(ConfigError, match=r"^x would need at least 9 GiB .* has 8\.0 GiB"):
        require_memory(8 * GIB + 1, "x")
    with pytest.raises(ConfigError, match=r"^num_worlds=1000000000000 would need"):
        require_worlds_fit(10**12, 50, "num_worlds=1000000000000")
    with pytest.raises(ConfigError, match="14902 GiB"):
        require_network_fits((10**6, 10**6))
    require_network_fits((10_000, 10_000))
    with pytest.raises(ConfigError, match="for 20 tasks"):
        require_network_fits((10_000, 10_000), num_tasks=20)
    require_worlds_fit(100_000, 50, "num_worlds=100000")
    monkeypatch.setattr(machine, "memory_bytes", lambda: None)
    require_memory(2**100, "x")


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "_CGROUP", (limit, tmp_path / "absent"))
    limit.write_text("max\n")
    physical = memory_bytes()
    limit.write_text(f"{GIB // 8}\n")
    assert memory_bytes() == GIB // 8 < physical


@pytest.mark.parametrize("num_worlds", [10**12, 2**64, 0, -1, 2.0, "4", True, None])
def test_worlds_that_cannot_be(num_worlds, reach):
    with pytest.raises(ConfigError, match=r"^num_worlds( is |=).*(expected an integer|GiB of mem)"):
        Worlds(reach, num_worlds)


def test_running_out_of_memory_is_known():
    with pytest.raises(RuntimeError) as torchs:
        torch.empty(2**61, dtype=torch.uint8)
    assert out_of_memory(torchs.value)
    with pytest.raises(MemoryError) as numpys:
        np.empty(2**61, np.uint8)
    assert out_of_memory(numpys.value)
    assert not out_of_memory(RuntimeError("shapes differ"))
    assert not out_of_memory(OSError("out of memory"))
