"""The same bits on every processor."""

import os
import subprocess
import sys

import numpy as np

from metarl.rounding import AVX512, VARIABLE, same_bits

COMPUTE = """
import hashlib
import numpy as np
x = np.random.default_rng(0).uniform(0.0, 1.0, 4096)
every = [np.exp(x), np.log(x), np.arctan2(x, x[::-1]), np.power(x, x[::-1]), np.tanh(x), np.sin(x)]
print(hashlib.sha256(np.stack(every).tobytes()).hexdigest())
found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
print([name for name in found if name.startswith("AVX512") or name == "X86_V4"])
"""


def run(before, **more):
    env = {k: v for k, v in os.environ.items() if k != VARIABLE} | more
    command = [sys.executable, "-W", "ignore", "-c", before + COMPUTE]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    return done.stdout.splitlines()


def test_the_command_line_does_without_avx512():
    ours = run("from metarl.cli import main\nmain(['families', '--robots'])\n")
    assert ours[-2:] == run("", **{VARIABLE: AVX512})
    assert ours[-1] == "[]"


def test_what_the_environment_says_goes_first():
    before = "import os\nfrom metarl.rounding import same_bits, VARIABLE\n"
    before += "print(same_bits(), os.environ[VARIABLE])\n"
    assert run(before, **{VARIABLE: "AVX512F"})[0] == "True AVX512F"


def test_a_loaded_numpy_is_left_alone(monkeypatch):
    monkeypatch.delenv(VARIABLE)
    assert not same_bits()
    assert VARIABLE not in os.environ


def test_tests_have_the_same_bits():
    assert os.environ[VARIABLE] == AVX512
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    assert not [name for name in found if name.startswith("AVX512") or name == "X86_V4"]
