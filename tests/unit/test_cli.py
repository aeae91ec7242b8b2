"""The command line: what it prints, its exit codes, and one line for every user error."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
import torch
from job_file import job_file

import parsec
from parsec import cli
from parsec.cli import main
from parsec.config.base import Compute, as_json
from parsec.config.search import SearchJob, SearchStage
from parsec.config.training import Network
from parsec.space.nasbench201 import architecture
from parsec.space.published import DARTS_V1, DARTS_V2

CIFAR = ["--network", "cifar", "--cells", "20", "--channels", "36"]
IMAGENET = ["--network", "imagenet", "--cells", "14", "--channels", "48"]


@pytest.fixture
def refused(capsys):
    """A function arguments → the one line on standard error with which the command line refuses them."""

    def run(*arguments):
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        lines = captured.err.strip().splitlines()
        assert code == 2
        assert captured.out == ""
        assert len(lines) == 1
        return lines[0]

    return run


@pytest.fixture
def search(tmp_path):
    """A function settings → the arguments of a search on a data set that is not there."""

    def arguments(settings):
        path = settings if str(settings) == "nowhere.json" else job_file(tmp_path, settings)
        folders = ["--data", tmp_path / "no-data", "--output", tmp_path / "output", "--state", tmp_path / "state"]
        return ["search", "--settings", path, "--seed", "0", *folders]

    return arguments


def job(device="cpu"):
    stage = SearchStage(dataset="digits", network=Network(cells=3, channels=2), epochs=1)
    compute = Compute(device=device)
    return SearchJob(stage="search", space="darts", method="parsec", settings=stage, compute=compute)


def changed(**changes):
    return json.dumps({**json.loads(as_json(job())), **changes})


@pytest.mark.parametrize(("size", "parameters"), [(CIFAR, 3_349_342), (IMAGENET, 4_718_752)])
def test_complexity_prints_golden_counts(capsys, size, parameters):
    assert main(["complexity", "DARTS_V2", *size]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["parameters"] == parameters
    assert printed["multiply_adds"] > 500e6
    assert (printed["stem"], printed["cells"], printed["channels"]) == (size[1], int(size[3]), int(size[5]))


def test_complexity_reads_genotype_files(capsys, tmp_path):
    path = tmp_path / "genotype.json"
    path.write_text(json.dumps(DARTS_V1.as_dict()))
    printed = []
    for name in (path, "DARTS_V1"):
        assert main(["complexity", str(name), *CIFAR, "--classes", "100", "--image-size", "64"]) == 0
        printed.append(json.loads(capsys.readouterr().out))
    assert printed[0] == printed[1]
    assert (printed[0]["classes"], printed[0]["image_size"]) == (100, 64)


def test_complexity_of_nasbench201(capsys, refused, tmp_path):
    path, largest = tmp_path / "genotype.json", architecture(["nor_conv_3x3"] * 6)
    path.write_text(json.dumps(largest.as_dict()))
    size = ["--cells", "5", "--channels", "16"]
    assert main(["complexity", str(path), "--network", "cifar", *size]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 1_531_546
    assert "nasbench201 has only the stem of cifar" in refused("complexity", path, "--network", "imagenet", *size)


def test_complexity_refuses_wrong_genotypes(refused, tmp_path):
    assert (
        "neither a published genotype (DARTS_V1, DARTS_V2, PDARTS, PC_DARTS_cifar, PC_DARTS_image) nor a readable file"
        in refused("complexity", "DARTS_V3", *CIFAR)
    )
    path = tmp_path / "genotype.json"
    document = DARTS_V2.as_dict()
    document["normal"][0] = ["conv_7x7", 0]
    path.write_text(json.dumps(document))
    line = refused("complexity", path, *CIFAR)
    assert str(path) in line
    assert "unknown operation 'conv_7x7'" in line
    document["normal"][0] = ["skip_connect", 2]
    path.write_text(json.dumps(document))
    assert "normal[0]: input 2 does not exist yet" in refused("complexity", path, *CIFAR)


def test_complexity_refuses_impossible_sizes(refused):
    assert "cells: got 2" in refused("complexity", "DARTS_V2", "--network", "cifar", "--cells", 2, "--channels", 36)
    assert "channels: got 3" in refused("complexity", "DARTS_V2", "--network", "cifar", "--cells", 20, "--channels", 3)
    assert "--classes: got 0" in refused("complexity", "DARTS_V2", *CIFAR, "--classes", 0)
    assert "--image-size: got -1" in refused("complexity", "DARTS_V2", *CIFAR, "--image-size", -1)


def test_threads_below_one(refused):
    assert "--threads: got 0" in refused("complexity", "DARTS_V2", *CIFAR, "--threads", 0)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (changed(settings={**job().settings.model_dump(mode="json"), "epoch": 3}), "settings.epoch"),
        (changed(stage="retrain"), "stage"),
        (changed(method="magic"), "method"),
        (changed(space="nasbench"), "space"),
        ("{", "neither YAML nor JSON"),
        ("nowhere.json", "nowhere.json: no such settings file"),
    ],
)
def test_unusable_settings_are_refused(refused, search, settings, expected):
    assert expected in refused(*search(settings))


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        ("digits", ["--folder", "photos"], "dataset.folder: unknown key"),
        ("cifar10", ["--order", "nowhere"], 'dataset.order[0]: got "nowhere"'),
        ("cifar10", ["--order", "npm", "--order", "npm"], "dataset.order: 'npm' is listed twice"),
    ],
)
def test_location_that_a_data_set_does_not_take(refused, tmp_path, source, options, expected):
    path = job_file(tmp_path, json.dumps({"name": "mine", "dataset": {"source": source}}))
    assert expected in refused("prepare", "--settings", path, "--output", tmp_path / "data", *options)


def test_settings_are_no_text(refused, tmp_path):
    line = refused("search", "--settings", as_json(job()), "--seed", "0")
    assert "--settings: got settings as text; give the path of a YAML or JSON file" in line


def test_misspelt_key_names_the_nearest(refused, search):
    settings = changed(settings={**job().settings.model_dump(mode="json"), "epoch": 3})
    assert "epochs" in refused(*search(settings))


def test_missing_data_set(refused, search, tmp_path):
    line = refused(*search(as_json(job())))
    assert str(tmp_path / "no-data") in line
    assert "prepare" in line
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize("text", ["soon", "-1", "nan"])
def test_bad_checkpoint_interval_in_environment(refused, search, monkeypatch, text):
    monkeypatch.setenv("PARSEC_CHECKPOINT_SECONDS", text)
    assert "checkpoint_seconds" in refused(*search(as_json(job())))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_missing_cuda(refused, search, tmp_path):
    from parsec.config.datasets import Digits, PrepareJob
    from parsec.data.prepare import prepare

    prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), tmp_path / "no-data")
    assert "compute.device: cuda was asked for" in refused(*search(as_json(job("cuda"))))


def test_log_gets_the_error_line(refused, tmp_path):
    path = tmp_path / "logs" / "run.log"
    line = refused("complexity", "DARTS_V3", *CIFAR, "--log", path)
    assert line.removeprefix("error: ") in path.read_text()


def test_bug_shows_its_traceback(capsys, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("a bug")

    monkeypatch.setattr("parsec.network.spaces.child_cost", fail)
    assert main(["complexity", "DARTS_V2", *CIFAR]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("page", ["reference", "schema"])
def test_settings_pages_are_printed(capsys, page):
    assert main(["settings", page]) == 0
    assert "checkpoint_seconds" in capsys.readouterr().out


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"parsec {parsec.__version__}\n"


def test_help_groups_commands(capsys):
    """Commands for people come first; of those of the workflow none is among them."""
    assert main(["--help"]) == 0
    people, workflow = capsys.readouterr().out.split(f"{cli.RULES}:\n")
    assert {"table", "figure", "bench", "settings"} <= set(re.findall(r"^  ([a-z]\S+)", people, re.MULTILINE))
    assert {"search", "retrain", "score"} <= set(re.findall(r"^  ([a-z]\S+)", workflow, re.MULTILINE))


@pytest.mark.parametrize("command", [[], ["complexity"], ["settings", "schema"]])
def test_help_of_commands_shows_options(capsys, command):
    assert main([*command, "--help"]) == 0
    usage, options = capsys.readouterr().out.split("Options:")
    assert usage.startswith(" ".join(["Usage: parsec", *command]))
    assert ("--threads" in options) == (command != [])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "COMMAND: missing; see `parsec --help`"),
        (["settings"], "COMMAND: missing; see `parsec settings --help`"),
        (["serch"], "serch: no such command; did you mean search?; see `parsec --help`"),
        (["settings", "schem"], "schem: no such command; did you mean schema?; see `parsec settings --help`"),
        (["xyzzy"], "xyzzy: no such command; see `parsec --help`"),
        (["search", "--sed", "0"], "--sed: no such option; did you mean --seed?; see `parsec search --help`"),
        (["search", "--xyzzy"], "--xyzzy: no such option; see `parsec search --help`"),
        (["--xyzzy"], "--xyzzy: no such option; see `parsec --help`"),
        (["search", "--seed"], "Option '--seed' requires an argument; see `parsec search --help`"),
        (["search"], "--settings: missing; see `parsec search --help`"),
        (["complexity", *CIFAR], "genotype: missing; see `parsec complexity --help`"),
        (["bench", "time"], "what: 'time' is not one of 'search', 'savings', 'memory', 'retrain', 'loader'"),
        (["bench", "memory", "more"], "Got unexpected extra argument(s) (more); see `parsec bench --help`"),
        (["bench", "memory", "--tiny", "--paper"], "--tiny: not allowed with --paper"),
        (["record", "results/records", "--figure", "a.svg"], "--figure: only with the folder of a run"),
        (["record", "bench.json", "kept.json", "--figure", "a.svg"], "--figure: only with the folder of a run"),
        (["table", "accuracy", "--output", "o", "result.json"], "--dataset: missing"),
        (
            ["table", "comparison", "--dataset", "digits", "--output", "o", "result.json"],
            "--dataset and --compare-with: only for the table accuracy, not comparison",
        ),
        (["table", "losses", "--output", "o", "result.json"], "table: no table 'losses'; there are accuracy, "),
        (["figure", "losses", "--output", "o", "result.json"], "figure: no figure 'losses'; there are runs, "),
    ],
)
def test_usage_errors_are_one_line(refused, arguments, line):
    assert refused(*arguments).startswith(f"error: {line}")


def test_ranks_are_launched_with_the_arguments(search, monkeypatch):
    """They get what this process was called with, and its exit code is theirs."""
    launched = []
    monkeypatch.setattr(cli.launch, "launch", lambda count, arguments: launched.append((count, arguments)) or 5)
    arguments = [str(word) for word in (*search(as_json(job())), "--ranks", 2)]
    assert main(arguments) == 5
    assert launched == [(2, arguments)]


def test_shells_are_offered_commands():
    environment = os.environ | {"_PARSEC_COMPLETE": "complete_bash", "COMP_WORDS": "parsec se", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "parsec"], capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["search", "settings"]


def test_ranks_below_one(refused, search):
    assert "--ranks: got 0" in refused(*search(as_json(job())), "--ranks", 0)


@pytest.mark.parametrize(("threads", "each"), [(8, "4"), (1, "1")])
def test_ranks_share_the_threads(monkeypatch, threads, each):
    for name, value in {"TORCHELASTIC_RUN_ID": "a run", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    for name in cli.THREAD_VARIABLES:
        monkeypatch.setenv(name, "")
    cli._limit_threads(threads)
    assert {os.environ[name] for name in cli.THREAD_VARIABLES} == {each}


def test_threads_are_set_before_torch():
    """Afterwards would be too late for the libraries that read the variables once."""
    script = (
        "import sys; from parsec.cli import main; early = 'torch' in sys.modules; "
        f"main(['complexity', 'DARTS_V2', *{CIFAR!r}, '--threads', '1']); "
        "import torch; print(early, torch.get_num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if name not in cli.THREAD_VARIABLES}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines()[-1] == "False 1", done.stderr


def ended(*arguments, start="", **options):
    """Exit code and lines of standard error of the command line in its own process, after the Python code `start`."""
    run = "import runpy; runpy.run_module('parsec', None, '__main__')"
    code = f"import sys; sys.argv = ['parsec', *{arguments!r}]\n{start}\n{run}"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, **options)
    return done.returncode, done.stderr.splitlines()


STOPPED_BY = """
class Stop:
    def find_spec(self, name, *_):
        if name == 'pydantic':
            raise {}
sys.meta_path.insert(0, Stop())
"""


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        ("KeyboardInterrupt", 130, "error: interrupted"),
        ("ModuleNotFoundError('no pydantic', name='pydantic')", 2, "half installed (no pydantic)"),
    ],
)
def test_failed_start_is_one_line(error, code, line):
    exit_code, lines = ended("settings", "schema", start=STOPPED_BY.format(error))
    assert exit_code == code
    assert len(lines) == 1
    assert line in lines[0]


def test_unwritable_output_is_one_line():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed, open("/dev/full", "w") as full:  # noqa: PTH123
        for output, line in ((closed, "the output was closed"), (full, "no space left on the disk")):
            code, lines = ended("settings", "reference", stdout=output)
            assert code == 2
            assert len(lines) == 1
            assert line in lines[0]


def test_incomplete_encoding_is_one_line():
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    code, lines = ended("settings", "reference", stdout=subprocess.DEVNULL, env=ascii_only)
    assert code == 2
    assert len(lines) == 1
    assert "set PYTHONIOENCODING=utf-8" in lines[0]


def test_interrupted_benchmark_is_one_line():
    command = [sys.executable, "-m", "parsec", "bench", "search", "--paper", "--device", "cpu"]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **streams) as process:
        assert process.stderr.readline().startswith("copies")
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().splitlines() == [
            "error: interrupted; the same command starts again, from the last checkpoint if it had one"
        ]
    assert process.returncode == 130
