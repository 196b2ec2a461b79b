"""Cells on Ray: the same results, on the loopback alone, and what is lost is run again."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import counting
import pytest
from console import metarl
from counting import RAN, Square
from rich.console import Console

from metarl import cli
from metarl.ambient import environment
from metarl.cluster.instance import ALONE, tidy
from metarl.errors import ConfigError, MissingDependencyError
from metarl.grid.on_ray import RETRIES, RayWorkers
from metarl.grid.processes import LOG, LocalProcesses
from metarl.grid.run import run_cells
from metarl.grid.store import Store

TESTS = Path(counting.__file__).parent
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install ray"
)


def quiet():
    return Console(file=io.StringIO(), width=400)


def ran(folder):
    path = folder / RAN
    return path.read_text().split() if path.exists() else []


def listening(ports_of: set[int]) -> dict[str, set[str]]:
    """Who listens where: addresses as /proc writes them, by what processes run."""
    inodes = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                inodes[f"socket:[{words[9]}]"] = words[1].rpartition(":")[0]
    found: dict[str, set[str]] = {}
    for pid in ports_of:
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            try:
                name = os.readlink(handle)
            except OSError:
                continue
            if name in inodes:
                found.setdefault(Path(f"/proc/{pid}/comm").read_text().strip(), set()).add(
                    inodes[name]
                )
    return found


def family_of(pid: int) -> set[int]:
    """A process and all that it started."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


@needs_ray
def test_an_instance_that_does_not_begin_is_an_error_of_one_line(monkeypatch, tmp_path):
    with environment(ALONE):  # it reads that when it is imported
        import ray

    monkeypatch.setattr(ray, "init", lambda **given: time.sleep(60.0))
    before = set(Path(tempfile.gettempdir()).glob("metarl-ray-*"))
    with pytest.raises(
        ConfigError, match=r"Ray cannot be started: Ray did not answer within 0\.3 s"
    ):
        RayWorkers(limit_s=0.3).start(Square(number=1), tmp_path)
    assert not set(Path(tempfile.gettempdir()).glob("metarl-ray-*")) - before


@needs_ray
def test_cells_run_fail_and_are_kept_as_in_processes_of_ones_own(tmp_path, capsys):
    ways = ["", "typed", "raw", "leaves", "killed", "no JSON"]
    cells = [Square(number=n, fails=why) for n, why in enumerate(ways)]
    cells.append(Square(number=9, after=Square(number=8)))
    store, workers, console = Store(tmp_path / "bench"), RayWorkers(size=2), quiet()
    done = run_cells(cells, store, workers=workers, console=console)
    assert sorted(done.records) == ["square-0", "square-8", "square-9"]
    assert done.records["square-9"].result["read"] == "64"
    assert done.records["square-0"].result["pid"] != os.getpid()
    local = Store(tmp_path / "local")
    usual = run_cells(cells, local, workers=LocalProcesses(2), console=quiet())
    lost = done.failed.pop("square-4")
    assert lost == f"its process or node was lost {1 + RETRIES} times (WorkerCrashedError)"
    assert {k: v for k, v in usual.failed.items() if k != "square-4"} == done.failed
    assert ran(store.folder).count("square-4") == 1 + RETRIES
    assert "about to square 8" in (store.folder / LOG).read_text()
    assert "counting.py" in (store.folder / LOG).read_text()  # where it was raised
    said = capsys.readouterr()
    assert said.out == ""  # what Ray prints of lost processes is in the log
    assert "worker died" in (store.folder / LOG).read_text()


@needs_ray
def test_it_listens_on_the_loopback_alone_and_leaves_nothing(tmp_path):
    script = [sys.executable, str(TESTS / "counting.py"), str(tmp_path / "bench"), "--ray"]
    process = subprocess.Popen(script, stderr=subprocess.PIPE, text=True)
    try:
        _until(process, lambda: len(ran(tmp_path / "bench")) >= 3)
        family = family_of(process.pid)
        found = listening(family)
        assert {"gcs_server", "raylet"} <= set(found)
        loopback = {
            "0100007F",
            "0000000000000000FFFF00000100007F",
            "00000000000000000000000001000000",
        }
        assert set().union(*found.values()) <= loopback
        begun_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
        assert time.monotonic() - begun_s < 10
    finally:
        process.kill()
    assert process.returncode == 130
    assert "stopped after 2 of 6 cells; the same command goes on" in said
    _gone(family)
    assert set(Store(tmp_path / "bench").read()) == {"square-0", "square-1"}


@needs_ray
def test_what_is_killed_takes_ray_with_it(tmp_path):
    script = [sys.executable, str(TESTS / "counting.py"), str(tmp_path / "bench"), "--ray"]
    process = subprocess.Popen(script, stderr=subprocess.DEVNULL)
    _until(process, lambda: len(ran(tmp_path / "bench")) >= 4)  # two of them sleep
    cells = {pid for pid in family_of(process.pid) if _command(pid).startswith("ray::_run")}
    assert len(cells) == 2
    process.kill()
    process.wait(10)
    _gone(cells)  # what else Ray started is idle, and leaves within a minute
    tidy(Path(tempfile.gettempdir()))
    assert not list(Path(tempfile.gettempdir()).glob(f"metarl-ray-{process.pid}-*"))


def _command(pid):
    return Path(f"/proc/{pid}/cmdline").read_text()


def _until(process, holds):
    end_s = time.monotonic() + 90
    while not holds():
        assert process.poll() is None
        assert time.monotonic() < end_s
        time.sleep(0.05)


def _gone(pids):
    end_s = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end_s
        time.sleep(0.1)


CLUSTER = """
import sys, ray
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
other = cluster.add_node(num_cpus=1)
print(cluster.address, flush=True)
for line in sys.stdin:
    if line == "lose\\n":
        cluster.remove_node(other, allow_graceful=False)
        print("lost", flush=True)
"""


@pytest.fixture(scope="module")
def cluster():
    """A head and another node, in processes of their own: its stdin loses the other, or ends both."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(TESTS), *sys.path)))},
    )  # fmt: skip
    try:
        process.address = process.stdout.readline().strip()
        yield process
    finally:
        process.stdin.close()
        process.wait(60)


@needs_ray
def test_a_lost_node_costs_its_cells_alone(cluster, tmp_path):
    folder = tmp_path / "bench"
    script = [
        sys.executable,
        str(TESTS / "counting.py"),
        str(folder),
        "--ray",
        cluster.address,
        "3",
        "4",
    ]
    process = subprocess.Popen(script, stderr=subprocess.PIPE, text=True)
    _until(process, lambda: len(ran(folder)) >= 4)  # two run at once, and sleep
    cluster.stdin.write("lose\n")
    cluster.stdin.flush()
    assert cluster.stdout.readline() == "lost\n"
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    counts = {key: ran(folder).count(key) for key in set(ran(folder))}
    assert len(Store(folder).read()) == 4
    assert max(counts.values()) == 2  # one node's cell was begun again
    assert sum(counts.values()) == 5


@needs_ray
def test_a_cluster_that_goes_is_told_and_the_finished_stay(cluster, tmp_path):
    folder = tmp_path / "bench"
    script = [
        sys.executable,
        str(TESTS / "counting.py"),
        str(folder),
        "--ray",
        cluster.address,
        "60",
        "6",
        "8",
    ]
    process = subprocess.Popen(script, stderr=subprocess.PIPE, text=True)
    _until(process, lambda: len(ran(folder)) >= 3)  # of two nodes or one: it may be lost already
    for pid in family_of(cluster.pid):
        os.kill(pid, signal.SIGKILL)
    begun_s = time.monotonic()
    said = process.communicate(timeout=60)[1]
    assert time.monotonic() - begun_s < 45
    assert f"the Ray cluster at {cluster.address} has not answered for 8 s" in said
    assert set(Store(folder).read()) == {"square-0", "square-1"}


@needs_ray
def test_a_cluster_that_is_not_there_is_told_within_the_limit():
    with socket.socket() as silent:  # it takes connections and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        begun_s = time.monotonic()
        with pytest.raises(
            ConfigError, match=rf"{address} within 2 s; start one \(ray start --head\)"
        ):
            _ = RayWorkers(address, limit_s=2.0).size
        assert time.monotonic() - begun_s < 12
    begun_s = time.monotonic()
    with pytest.raises(ConfigError, match=f"nobody answers at {address} .*refused.*; start one"):
        _ = RayWorkers(address).size
    assert time.monotonic() - begun_s < 2


@needs_ray
def test_a_benchmark_and_a_matrix_on_ray(tmp_path):
    (tmp_path / "mine.toml").write_text(
        """seeds = 1
without = ["scratch", "fine-tune", "control", "ceiling"]
protocol = { num_tasks = 2, episodes = 2, updates = 1, eval_episodes = 1 }
arms = ["untrained-inner-loop"]
[families."pair:pair/same"]
start = { method = "ppo", iterations = 1, settings = { num_worlds = 8, minibatch = 160 } }
"""
    )
    words = ("benchmark", tmp_path / "mine.toml", "--modules", "pair", "--jobs", "1")
    done = metarl(*words, "--ray", "--json", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["missing"] == 0
    here = metarl(*words, "--out", tmp_path / "here")
    assert here.returncode == 0, here.stderr
    one, other = (Store(tmp_path / name).read() for name in ("out", "here"))
    assert set(one) == set(other)
    assert any(key.startswith("adapt.") for key in one)
    for key, record in one.items():
        if key.startswith("adapt."):
            results = [r.result["results"] for r in (record, other[key])]
            for name in results[0]:
                assert results[0][name]["returns"] == results[1][name]["returns"]
    few = (
        "--iterations",
        "1",
        "--source-iterations",
        "1",
        "--seeds",
        "1",
        "--explorations",
        "fresh",
    )
    tiny = ("--set", "num_worlds=8", "minibatch=160", "--jobs", "1", "--ray")
    done = metarl("transfer-matrix", "pair:pair/same", *few, *tiny, "--out", tmp_path / "matrix")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "matrix/matrix.json").read_text())["missing"] == 0


def test_without_ray_one_line_says_how_to_get_it(monkeypatch, tmp_path, capsys):
    (tmp_path / "ray").mkdir()
    folder = importlib.machinery.PathFinder.find_spec("ray", [str(tmp_path)])
    assert folder is not None  # a namespace, as in a working folder that holds a folder ray
    for found in (folder, None):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, found=found: found)
        with pytest.raises(MissingDependencyError):
            RayWorkers()
    with pytest.raises(MissingDependencyError, match=r"pip install 'metarl-sim\[ray\]'"):
        RayWorkers()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.toml").write_text("")
    assert cli.main(["benchmark", "a.toml", "--ray"]) == 2
    said = capsys.readouterr().err
    assert said == "metarl: Ray is not installed: pip install 'metarl-sim[ray]'\n"


def test_addresses(monkeypatch):
    spec = importlib.util.find_spec("json")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    for good in ("local", "auto", "10.0.0.1:6379", "head.lan:6379", "[::1]:6379"):
        RayWorkers(good)
    for bad in ("head", "http://a:1", "a:b", "a:1;b", "", "ray://a:1"):
        with pytest.raises(ConfigError, match="expected auto"):
            RayWorkers(bad)
    with pytest.raises(ConfigError, match="jobs is 0"):
        RayWorkers(size=0)


@pytest.mark.parametrize(
    ("words", "address", "file"),
    [
        (["--ray", "a.toml"], "local", "a.toml"),
        (["a.toml", "--ray"], "local", "a.toml"),
        (["--ray", "h:1", "a.toml"], "h:1", "a.toml"),
        (["--ray", "auto", "a.toml"], "auto", "a.toml"),
        (["--ray=h:1", "a.toml"], "h:1", "a.toml"),
        (["--ray=head", "a.toml"], "head", "a.toml"),
        (["a.toml"], None, "a.toml"),
    ],
)
def test_the_address_may_be_left_out(words, address, file):
    from metarl.commands.arguments import read_command
    from metarl.commands.catalogue import Benchmark

    command = read_command(Benchmark, "metarl benchmark", words)
    assert (command.ray, str(command.file)) == (address, file)
