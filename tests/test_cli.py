"""The command line: fast answers, help, versions, signals."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time

import pytest
from console import metarl

from metarl import cli
from metarl.commands import catalogue

LIMIT_S = 3.0  # the goal is 1 s on an idle machine; a busy one may take three times as long


def seconds(*words: str) -> float:
    started_s = time.monotonic()
    assert metarl(*words).returncode == 0
    return time.monotonic() - started_s


@pytest.mark.parametrize("words", [("--help",), ("families",), ("train", "--help")])
def test_answers_at_once(words):
    assert min(seconds(*words) for _ in range(2)) < LIMIT_S


@pytest.mark.parametrize(
    ("words", "heavy"),
    [(["--help"], ("torch", "mujoco", "numpy")), (["families"], ("torch", "matplotlib"))],
)
def test_loads_nothing_heavy(words, heavy):
    code = (
        "import sys\nfrom metarl.cli import main\n"
        f"try:\n    main({words})\nexcept SystemExit:\n    pass\n"
        f"sys.exit(' '.join(name for name in {heavy} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == ""


def test_families_lists_what_is_installed():
    done = metarl("families")
    rows = [line for line in done.stdout.splitlines() if line.strip().startswith("kitchen/")]
    assert len(rows) >= 3
    assert "[m]" in rows[0]
    assert "steps" in rows[0]
    assert all(word in done.stdout for word in ("hidden", "visible", "episode"))


BROKEN = """
import sys
from importlib.metadata import EntryPoint
from metarl import plugins, registry
real = plugins.entry_points
stranger = EntryPoint("stranger", "no_such_module", registry.GROUP)
plugins.entry_points = lambda group: [stranger, *real(group=group)]
from metarl.cli import main
sys.exit(main(["families"]))
"""


def test_broken_plugin_hides_no_other():
    done = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True)
    assert done.returncode == 0
    assert "kitchen/season" in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("broken: ")
    assert "no_such_module" in last


def test_version():
    assert metarl("version").stdout.startswith("metarl ")


def test_no_words_print_the_help():
    assert "families" in metarl().stdout


def test_robots_are_listed():
    done = metarl("families", "--robots")
    assert done.returncode == 0, done.stderr
    assert {"gantry", "panda", "ur5e"} <= {
        line.split()[0] for line in done.stdout.splitlines() if line.strip()
    }


def test_interrupt_exits_130(monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(catalogue.Version, "run", interrupted)
    assert cli.main(["version"]) == 128 + signal.SIGINT


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (("be",), "benchmark"),
        (("watch", "--upd"), "--updates"),
        (("tune", "--sea"), "--search"),
        (("perceive", "sw"), "swap"),
        (("perceive", "swap", "--back"), "--backbone"),
    ],
)
def test_bash_completes(words, completed, tmp_path):
    script = tmp_path / "metarl.bash"
    script.write_text(metarl("--tyro-print-completion", "bash").stdout)
    asked = f"source {script}; COMP_WORDS=(metarl {' '.join(words)}); COMP_CWORD={len(words)}"
    asked += "; $(complete -p metarl | sed 's/.*-F \\([^ ]*\\).*/\\1/'); echo ${COMPREPLY[@]}"
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=False)
    assert completed in done.stdout.split(), done.stderr
