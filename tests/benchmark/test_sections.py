"""What a benchmark's file may say: every mistake is one line that names its place and what is valid."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from metarl.benchmark.definition import define
from metarl.benchmark.parsing import parse_sections, read_text
from metarl.benchmark.sections import (
    ArmSection,
    FamilySection,
    FileSection,
    OnSection,
    ProtocolSection,
    StartSection,
    place,
)
from metarl.errors import CheckpointError, ConfigError

GOOD = """
seeds = 2
[protocol]
updates = 3
[families."kitchen/season"]
start = "season-ppo"
[families."kitchen/heat"]
start = { method = "ppo", iterations = 3, settings = { num_worlds = 8 } }
[arms.maml]
iterations = 4
settings = { inner_updates = 2, context_std = "none" }
[arms.maml.on."kitchen/heat"]
iterations = 5
settings = { weigh_tasks = true }
[arms.strategy-optimization]
settings = { decay = "none" }
"""
SEASON = '[families."kitchen/season"]\nstart = "season-ppo"\n'
ARM = f"{SEASON}[arms.{{}}]\n"

MISTAKES = [
    # TOML itself.
    ("seeds = ", "is no TOML: Invalid value (at end of document)"),
    ("a = 1\na = 2", "is no TOML: Cannot overwrite a value (at end of document)"),
    ("a = " + "9" * 5000, "is no TOML"),
    ("a = " + "[" * 100_000, "is no TOML: nested too deep"),
    # Keys and types.
    ("", "families is missing"),
    (SEASON, "arms is missing"),
    ("arms = []\nfamilies = {}", "families is empty"),
    (f"{SEASON}seed = 3\n[arms.maml]", 'families."kitchen/season": unknown key'),
    (f'sedes = 3\narms = ["maml"]\n{SEASON}', "unknown key 'sedes'; did you mean 'seeds'?"),
    ('arms = ["maml"]\nfamilies = 3', "families: 3 is a int"),
    ('arms = ["maml"]\nfamilies.a = 3', "families.a is 3; expected a table"),
    (
        'arms = ["maml"]\n[families."kitchen/season"]\nsedes = 1',
        'families."kitchen/season": unknown key',
    ),
    ('arms = ["maml"]\n[families."kitchen/season"]', 'families."kitchen/season".start is missing'),
    (
        'arms = ["maml"]\n[families."kitchen/season"]\nstart = 3',
        'families."kitchen/season".start is 3',
    ),
    ('arms = ["maml"]\n[families."kitchen/season"]\nstart = []', "is empty; expected a checkpoint"),
    ('arms = ["maml"]\n[families."a|b"]\nstart = "x"', "no name of a table"),
    ('arms = ["maml"]\n[families."\\u001b[31m"]\nstart = "x"', "no name of a table"),
    (f"seeds = 0\narms = ['maml']\n{SEASON}", "seeds is 0; expected how many"),
    (f"seeds = true\narms = ['maml']\n{SEASON}", "seeds is True; expected how many"),
    (f"seeds = [1, 1]\narms = ['maml']\n{SEASON}", "seeds is [1, 1]; expected how many"),
    (f"seeds = 1_000_000\narms = ['maml']\n{SEASON}", "seeds is 1000000; expected how many"),
    (f"seeds = [-1]\narms = ['maml']\n{SEASON}", "integers >= 0 and <= 4294967295"),
    (f"without = ['scrach']\narms = ['maml']\n{SEASON}", "did you mean 'scratch'?"),
    (
        f"protocol.updats = 3\narms = ['maml']\n{SEASON}",
        "protocol: unknown key 'updats'; did you mean",
    ),
    (
        f"protocol.updates = 0\narms = ['maml']\n{SEASON}",
        "protocol.updates is 0; expected an integer >= 1",
    ),
    (
        f"protocol.updates = '3'\narms = ['maml']\n{SEASON}",
        "protocol.updates: '3' is a str, expected int",
    ),
    (
        f"protocol.num_tasks = 100_000_000\narms = ['maml']\n{SEASON}",
        "protocol.num_tasks is 100000000",
    ),
    (
        f"protocol.split = 'tset'\narms = ['maml']\n{SEASON}",
        "protocol.split: unknown value 'tset'; did",
    ),
    (
        f"arms = ['maml']\n{SEASON}protocol.episodes = 0",
        'families."kitchen/season".protocol.episodes is 0',
    ),
    # Names.
    ('arms = ["maml"]\n[families."kitchen/seson"]\nstart = "x"', "did you mean 'kitchen/season'?"),
    (
        'arms = ["maml"]\n[families."kitchen/season@robt=panda"]\nstart = "x"',
        "did you mean 'robot'?",
    ),
    (
        'arms = ["maml"]\n[families."os:path"]\nstart = "x"',
        "is of the module os, and a file has nothing imported by itself; add --modules os",
    ),
    (f'arms = ["mamml"]\n{SEASON}', "arms.mamml: unknown method 'mamml'; did you mean 'maml'?"),
    (f'arms = ["mamml"]\n{SEASON}', "an arm of another name says which it is with method = ..."),
    (f'arms = ["maml", "maml"]\n{SEASON}', "expected each once"),
    (f"arms = 3\n{SEASON}", "arms is 3; expected names, or a section for each"),
    (f"arms = [3]\n{SEASON}", "arms is [3]; expected names, or a section for each"),
    (f'{ARM.format("ceiling")}method = "maml"', "arms.ceiling is what the start reaches"),
    (f'{SEASON}[arms."a b"]\nmethod = "maml"', 'arms."a b" is no name'),
    (f'{SEASON}arms = ["promp"]\n[arms.maml]', "unknown arm 'promp'; valid: maml"),
    (
        f'{SEASON}arms = ["maml"]\n[arms.maml]\n[arms.promp]',
        "arms.promp meets no family; name it in arms of one",
    ),
    (f"{ARM.format('ppo')}", "arms.ppo: 'ppo' has no adaptation of its own"),
    (f"{ARM.format('multi-task')}", "arms.multi-task: multi-task trains on several families"),
    (f'{ARM.format("maml")}on."kitchen/heat" = {{}}', "arms.maml.on: unknown table 'kitchen/heat'"),
    (f'{ARM.format("maml")}on."kitchen/season" = 3', 'arms.maml.on."kitchen/season" is 3'),
    (f"{ARM.format('maml')}iteration = 3", "arms.maml: unknown key 'iteration'; did you mean"),
    (f"{ARM.format('maml')}iterations = 0", "arms.maml.iterations is 0; expected an integer >= 1"),
    (f"{ARM.format('maml')}iterations = 1e3", "arms.maml.iterations: 1000.0 is a float"),
    (
        f"{ARM.format('maml')}settings.outr_rate = 1",
        "arms.maml.settings: unknown key 'outr_rate'; did",
    ),
    (
        f"{ARM.format('maml')}settings.outer_rate = 'x'",
        "arms.maml.settings.outer_rate: 'x' is a str",
    ),
    (f"{ARM.format('maml')}settings.outer_rate = inf", "arms.maml.settings.outer_rate is inf"),
    (
        f"{ARM.format('maml')}settings.seed = 3",
        "arms.maml.settings.seed: seed stands above settings",
    ),
    (f"{ARM.format('maml')}settings.max_seconds = 3", "budgets are iterations"),
    (
        f'{ARM.format("maml")}on."kitchen/season".settings.num_task = 2',
        "arms.maml.on.\"kitchen/season\".settings: unknown key 'num_task'",
    ),
    (f"{ARM.format('fine-tune')}settings.rat = 3", "arms.fine-tune.settings: unknown key 'rat'"),
    (f"{ARM.format('fine-tune')}iterations = 3", "no effect: a strategy trains nothing"),
    (f"{ARM.format('fine-tune')}fresh = true", "arms.fine-tune.fresh has no effect"),
    (
        f'{ARM.format("maml")}checkpoint = "season-maml"\niterations = 3',
        "arms.maml.iterations has no effect: the checkpoint is trained already",
    ),
    (f"{ARM.format('maml')}checkpoint = 3", "arms.maml.checkpoint is 3; expected a checkpoint"),
    (f'{ARM.format("again")}repeats = "maml"', "arms.again.repeats: unknown arm 'maml'"),
    (
        f'{ARM.format("again")}repeats = "maml"\niterations = 3\n[arms.maml]',
        "arms.again.repeats stands alone",
    ),
    # Starts that are trained.
    (
        'arms = ["maml"]\n[families."kitchen/season"]\nstart = { method = "fine-tune" }',
        'families."kitchen/season".start: fine-tune trains nothing; expected one of anil',
    ),
    (
        'arms = ["maml"]\n[families."kitchen/season"]\nstart = { method = "pppo" }',
        "start: unknown method 'pppo'; did you mean 'ppo'?",
    ),
    (
        'arms = ["maml"]\n[families."kitchen/season"]\nstart = { iterations = 3 }',
        'families."kitchen/season".start.method is missing',
    ),
    (
        'arms = ["maml"]\n[families."kitchen/season"]\nstart = { method = "ppo", settings = { a = 1 } }',
        'families."kitchen/season".start.settings: unknown key',
    ),
]


@pytest.mark.parametrize(("text", "says"), MISTAKES, ids=[says[:50] for _, says in MISTAKES])
def test_a_mistake_names_its_place(text, says):
    with pytest.raises(ConfigError) as told:
        define(parse_sections(text, "mine.toml"), "mine.toml")
    said = str(told.value)
    assert said.startswith("mine.toml")
    assert said.count("mine.toml") == 1
    assert says in said
    assert "\n" not in said
    assert len(said) < 1500


def test_what_a_file_says_is_what_it_gets():
    benchmark = define(parse_sections(GOOD, "mine.toml"), "mine.toml")
    season, heat = benchmark.tables
    assert benchmark.title == "mine"
    assert (season.seeds, season.protocol.updates, season.protocol.num_tasks) == ((0, 1), 3, 20)
    by_name = [{arm.name: arm for arm in table.arms} for table in (season, heat)]
    assert [arms["maml"].iterations for arms in by_name] == [4, 5]
    usual = {"inner_updates": 2, "context_std": None}
    assert [arms["maml"].settings for arms in by_name] == [usual, {**usual, "weigh_tasks": True}]
    assert by_name[0]["strategy-optimization"].settings == {"decay": None}
    assert by_name[0]["maml"].trains
    assert not by_name[0]["strategy-optimization"].trains


def test_files_that_are_none(tmp_path):
    fifo, binary, long = (tmp_path / name for name in ("fifo.toml", "binary.toml", "long.toml"))
    os.mkfifo(fifo)
    binary.write_bytes(b"\xff\xfe")
    long.write_bytes(b"#" * (1 << 21))
    for path, kind, says in (
        (tmp_path / "gone.toml", ConfigError, "expected a benchmark, a TOML file"),
        (tmp_path, CheckpointError, "it is a folder"),
        (fifo, CheckpointError, "it is a FIFO"),
        (binary, ConfigError, "is no UTF-8"),
        (long, ConfigError, "is longer than"),
    ):
        with pytest.raises(kind, match=says):
            read_text(path)


def test_places_are_written_as_in_the_file():
    assert place("families", "kitchen/season", "start") == 'families."kitchen/season".start'


def test_a_mistake_is_told_before_torch_is_loaded(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(f"{SEASON}[arms.pearl]\n[arms.maml]\nsettings.outr_rate = 1\n")
    code = (
        "import sys; from metarl import cli; status = cli.main(['benchmark', sys.argv[1]]);"
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("metarl: mine.toml: arms.maml.settings: unknown key 'outr_rate'")
    assert done.stderr.count("\n") == 1


PAGE = (Path(__file__).parents[2] / "docs/benchmarks.md").read_text()


def test_the_file_of_the_docs_is_one():
    [text] = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    season, heat = define(parse_sections(text, "docs"), "docs").tables
    assert [arm.iterations for arm in (*season.arms, *heat.arms) if arm.name == "maml"] == [60, 30]


def test_the_docs_have_every_key():
    shown = {
        key for line in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE) for key in line.split("`")
    }
    for cls in (FileSection, FamilySection, StartSection, ArmSection, OnSection):
        keys = {field.name for field in dataclasses.fields(cls)} - {"families"}
        assert keys <= shown, cls
    for field in dataclasses.fields(ProtocolSection):
        assert f"`{field.name}`" in PAGE
