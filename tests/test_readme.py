"""What the README shows is what it says: the example is run as a newcomer would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]


def example() -> str:
    """The one Python block of the page about families."""
    blocks = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/your-family.md").read_text(), re.DOTALL
    )
    assert len(blocks) == 1
    return blocks[0]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with the example's folder on the path."""
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "metarl", *arguments],
        cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def test_the_example_is_short():
    assert len(example().strip().splitlines()) <= 60


def test_the_example_passes_every_check_and_trains(tmp_path: Path):
    (tmp_path / "tutorial.py").write_text(example())
    checked = run(tmp_path, "check", "tutorial:tutorial/reach")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    trained = run(
        tmp_path, "train", "tutorial:tutorial/reach", "--method", "maml", "--iterations", "1"
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert list(tmp_path.rglob("*.safetensors"))


def test_no_link_is_dead():
    pages = [
        ROOT / "README.md",
        ROOT / "benchmarks/README.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ]
    for page in pages:
        for link in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", page.read_text()):
            target, part = link
            if target.startswith(("http://", "https://")):
                continue
            path = (page.parent / target).resolve() if target else page
            assert path.exists(), f"{page.name}: {target}"
            if part:
                heads = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
                marks = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}
                assert part[1:] in marks, f"{page.name}: {target}{part}"


def test_every_command_of_the_first_pages_exists():
    text = (ROOT / "README.md").read_text() + (ROOT / "docs/commands.md").read_text()
    names = set(re.findall(r"^metarl (\w[\w-]*)", text, re.MULTILINE))
    assert len(names) >= 5
    for name in names:
        done = subprocess.run(
            [sys.executable, "-m", "metarl", name, "--help"], capture_output=True, check=False
        )
        assert done.returncode == 0, name


def test_a_head_is_swapped_as_the_readme_says(tmp_path: Path):
    """Its three commands, and the picture that they make."""
    lines = re.findall(r"^metarl (perceive .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [line.split()[1] for line in lines] == ["swap", "render", "predict"]
    for line in lines:
        done = run(tmp_path, *line.split())
        assert done.returncode == 0, done.stderr
    shown, made = (
        Image.open(path) for path in (ROOT / "docs/head-swap.png", tmp_path / "answers.png")
    )
    assert shown.size == made.size
    assert np.abs(np.asarray(shown, float) - np.asarray(made, float)).mean() < 5.0
