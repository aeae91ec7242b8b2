"""What all rules share: the checked settings, the environment of jobs, and functions that turn the plan into paths."""

import json
import os
import re
import sys
from functools import cache
from pathlib import Path

import yaml
from snakemake.cli import get_profile_dir
from snakemake.io import IOFile

root = Path(str(workflow.current_basedir)).parents[1]
sys.path.insert(0, str(root))

from parsec.data.sources.listing import listing_fingerprint
from parsec.errors import SettingsError, UserError
from parsec.records.code_hash import code_fingerprint
from parsec.runtime.outputs import MARKER, check_folder
from parsec.config import job_parts, jobs, outputs, plan
from parsec.config.base import expanded
from parsec.config.load import load, read_document


def checked_settings():
    """The settings tree; a mistake in it ends Snakemake with only that mistake, before any job is planned."""
    try:
        # Jobs get the settings that were checked here, and their results folder is in use by then.
        if workflow.is_main_process:
            check_configfiles()
        checked = plan.on_this_machine(load(config))
        if workflow.is_main_process:
            check_results(Path(checked.results))
        return checked
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def check_configfiles():
    """Snakemake merges the files after one --configfile, but of several options it takes the last, in silence."""
    given = [word for word in sys.argv[1:] if re.match("--configfiles?(=|$)", word)]
    if len(given) > 1:
        raise SettingsError(
            "--configfile: given twice, and only the last would count; give both files after one of them"
        )
    for file in workflow.configfiles:
        read_document(Path(file))


def check_results(folder):
    """Outputs that Snakemake makes again are removed first, so they go into a folder of ours only."""
    try:
        check_folder(folder, "results")
    except UserError as error:
        remedy = f"; if an earlier version of parsec made it, say so with: touch {folder / MARKER}"
        raise SettingsError(f"results: {error}{remedy if folder.is_dir() else ''}") from error


def prepare_environment(settings):
    """Variables that jobs inherit: where the package and its Python are, and what may change without a re-run."""
    inherited = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    python = str(Path(sys.executable).parent)
    os.environ.update(
        PYTHONPATH=os.pathsep.join([str(root), *inherited]),
        PATH=os.pathsep.join([python, os.environ.get("PATH", os.defpath)]),
        PARSEC_CHECKPOINT_SECONDS=str(settings.running.checkpoint_seconds),
        PARSEC_PROGRESS_SECONDS=str(settings.running.progress_seconds),
        PARSEC_PLACES=json.dumps(job_parts.places(settings)),
    )


def profiles():
    """The profiles that this call names, each with its file; None where there is none, which Snakemake passes over."""
    names = named("--profile") or os.environ.get("SNAKEMAKE_PROFILE", "").split()
    # Snakemake is in its working directory by now, while profiles are named from where it was called.
    start = os.environ.get("PWD", os.curdir)
    found = {}
    for name in [*names, *named("--workflow-profile")]:
        places = filter(None, (get_profile_dir(str(place)) for place in (Path(start, name), root / name, name)))
        found[name] = next((file for _, file in places), None)
    return found


def named(*options):
    """Values of these options in the call of Snakemake, which hands few of them on to the rules."""
    words = " ".join(sys.argv).replace("=", " ").split()
    return [value for option, value in zip(words, words[1:]) if option in options]


@cache
def on_slurm():
    """Whether the jobs of this call are for SLURM, also where it only plans them or is itself such a job."""
    files = [file for file in profiles().values() if file]
    of_profiles = [(yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("executor") for file in files]
    executors = [*filter(None, of_profiles), *named("--executor", "-e")]
    real = [name for name in executors if name not in ("dryrun", "touch")]
    return bool(real) and real[-1].startswith("slurm")


def default_resources():
    """What the profile, or the option `--default-resources` in its place, asks for on behalf of every job."""
    return workflow.resource_settings.default_resources or {}


def gpus(settings):
    """GPUs of a training job: found without importing torch, which would slow every call of Snakemake by seconds."""
    if settings.compute.device != "auto":
        return int(settings.compute.device == "cuda")
    if "gpus_per_training" in default_resources():
        return default_resources()["gpus_per_training"].value
    if on_slurm():
        return 1  # Whether the login node has a GPU says nothing about the nodes.
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return int(not hidden and any(Path(os.devnull).parent.glob("nvidia[0-9]*")))


def signal_before_the_end():
    """Resource of jobs that can be continued: SLURM tells them two minutes before their time limit.

    They save their state and end, and the next attempt goes on. SIGTERM reaches all processes of the job step;
    Snakemake there waits for the training, while SIGUSR1 would end Snakemake first, and SLURM then the training in the
    middle of its save.
    """
    own = "slurm_extra" in default_resources()
    return {"slurm_extra": "--signal=TERM@120"} if on_slurm() and not own else {}


settings = checked_settings()
prepare_environment(settings)
GPUS = gpus(settings)
SIGNAL = signal_before_the_end()
ENVIRONMENT = "../../envs/cuda.yaml" if GPUS else "../../envs/cpu.yaml"


def one_of(names):
    """A regular expression that matches these names alone; it matches nothing when there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def methods():
    """Search methods, and the names of given genotypes, which stand in their place when retrained."""
    published = [given.name for stage in settings.retrain.values() for given in stage.published]
    return dict.fromkeys([*settings.methods, *published])


def dataset_of(stage):
    """Pattern of the data set of a stage."""
    return one_of(dict.fromkeys(run.dataset for run in plan.searches(settings) if run.stage == stage))


def wanted():
    """The files at the end of the chain; everything before them is made because they need it."""
    figures = ["entropy", "accuracy", "operations", *(["executor-search"] if settings.space == "darts" else [])]
    figures += ["cost"] if settings.retrain else []
    figures += [f"{name}-{run.name}" for run in plan.searches(settings) for name in ("pi", "cells")]
    figures += ["spending"] if len(settings.methods) > 1 else []
    figures += ["depths"] if settings.measure.depths else []
    tables = [f"<results>/tables/{dataset}.csv" for dataset in settings.retrain]
    tables += ["<results>/tables/comparison.csv"] if comparable() else []
    studied = [f"<results>/{made.kind}/{made.name}.csv" for made in studies.shown(settings)]
    return [*tables, *(f"<results>/figures/{name}.svg" for name in figures), *studied, "<results>/checklist.md"]


def comparable():
    """Whether there are several methods, and something that tells what they found is worth."""
    table = settings.space == "nasbench201" and studies.table_of(settings, "nasbench201")
    return len(settings.methods) > 1 and bool(settings.retrain or table)


json_text = cache(lambda job, *names: jobs.as_json(job(settings, *names)))
fingerprint_of = cache(code_fingerprint)
listing_of = cache(listing_fingerprint)


def json_of(job, *names):
    """Param: canonical JSON of the settings that a job reads, so that no other setting re-runs it."""
    return lambda wildcards: json_text(job, *(name.format(**dict(wildcards)) for name in names))


def code(modules, output):
    """Param: fingerprint of the code behind an output; the recorded one while a change of code re-runs nothing."""

    def fingerprint(wildcards):
        recorded = None
        if not settings.running.rerun_on_code_change:
            recorded = recorded_param("code", output.format(**dict(wildcards)))
        return recorded or f"code {fingerprint_of(*([modules] if isinstance(modules, str) else modules))}"

    return fingerprint


def images(wildcards):
    """Param: fingerprint of what an image folder holds; the recorded one when the folder is no longer there."""
    data = settings.datasets[wildcards.dataset]
    if data.source != "image_folder":
        return ""
    found = listing_of(Path(expanded(data.folder, f"datasets.{wildcards.dataset}.folder")))
    recorded = recorded_param("images", f"data/{wildcards.dataset}/dataset.json")
    return f"images {found}" if found else recorded or "images unknown"


def recorded_param(kind, output):
    """A param, text that begins with its kind, as Snakemake recorded it; it offers no public way to that."""
    recorded = workflow.persistence.params(IOFile(str(Path(settings.results, output)))) or ()
    return next((text.strip("'") for text in recorded if text.startswith(f"'{kind} ")), None)


def files_of_run(folder, names):
    """Output: the files of a run, each by its name without the ending."""
    return {Path(name).stem: f"<results>/{folder}/{name}" for name in names}


def state(folder):
    """Param: folder of a run's checkpoints. No output: Snakemake deletes those of a job that failed or was killed."""
    return f"{settings.results}/state/{folder}"


def growing(amount):
    """Resource: so much more for every attempt."""
    return lambda wildcards, attempt: amount * attempt


def parent_pi(stage):
    """Input: the π that a run of this stage starts from; none if it starts from uniform."""

    def found(wildcards):
        run = outputs.Search(stage, wildcards.dataset, wildcards.method, int(wildcards.seed))
        pi = plan.initial_pi(settings, run)
        return f"<results>/{pi}" if pi else []

    return found


def initial_pi(wildcards, input):
    """Param: the option that hands over the π to start from."""
    return ["--init-pi", input.pi] if input.get("pi") else []


def found_genotype(wildcards):
    """Input: the genotype to retrain, of a search or in a file; none if it is known by its published name."""
    w = wildcards
    if file := plan.genotype_files(settings, w.dataset).get(w.method):
        return local(file)
    search = plan.genotype_of(settings, outputs.Retrain(w.dataset, w.origin, w.method, int(w.seed), int(w.run)))
    return f"<results>/{search.folder}/genotype.json" if search else []


def measured_data(part):
    """Input: a part of the data set of the stage whose step is measured."""
    return lambda wildcards: f"<results>/data/{getattr(settings, wildcards.stage).dataset}/{part}"


def all_records(wildcards):
    """Input: what the runs of all stages that learn π recorded."""
    runs = plan.searches(settings)
    return [f"<results>/{run.folder}/{name}" for run in runs for name in ("metrics.jsonl", "result.json")]


def files_of_runs(runs, *names):
    """Input: files of these runs."""
    return [f"<results>/{run.folder}/{name}" for run in runs for name in names]


def folders(wildcards, input):
    """Param: the folders that the input files are in."""
    return list(dict.fromkeys(str(Path(file).parent) for file in input))


def all_results(wildcards):
    """Input: the records of all searches and trainings."""
    runs = [*plan.searches(settings), *plan.retrains(settings)]
    return [f"<results>/{run.folder}/result.json" for run in runs]


def costed_results(wildcards):
    """Input: the records of all searches and trainings, and of what searches started from."""
    return all_results(wildcards) + fits(plan.searches(settings))


def results_of_dataset(wildcards):
    """Input: records of all trainings on a data set, and of what lies behind their genotypes, back to uniform."""
    trainings = [run for run in plan.retrains(settings) if run.dataset == wildcards.dataset]
    searches = dict.fromkeys(run for training in trainings for run in ancestry(plan.genotype_of(settings, training)))
    return [f"<results>/{run.folder}/result.json" for run in [*trainings, *searches]] + fits(searches)


def fits(searches):
    """Input: the record of the fit to scores, if one of these searches starts from it."""
    fitted = any(plan.initial_pi(settings, run) == studies.fitted_pi(settings) is not None for run in searches)
    return [f"<results>/{plan.fit_folder(settings)}/fit.json"] if fitted else []


def ancestry(search):
    """A run, the run whose π it started from, and so on."""
    while search:
        yield search
        search = plan.parent(settings, search)


def compared(wildcards):
    """Param: the option that prints published rows under ours."""
    published = settings.retrain[wildcards.dataset].compare_with
    return ["--compare-with", published] if published else []


def cited(*datasets):
    """Input: the published tables that results on these data sets are compared with."""
    names = dict.fromkeys(settings.retrain[dataset].compare_with for dataset in datasets)
    return [cited_file(name) for name in names if name]


def cited_file(name):
    """Input: a published table."""
    return local(os.path.relpath(root / "config" / "published" / f"{name}.csv"))


def figure(path, caption, category, in_report=True, **labels):
    """Output: a figure in three formats and its numbers; one format is shown in the report."""
    files = {kind: f"<results>/figures/{path}.{kind}" for kind in ("svg", "pdf", "png", "csv")}
    if in_report:
        files["svg"] = report(files["svg"], caption=f"../report/{caption}.rst", category=category, labels=labels)
    return files


def figures_of_runs(runs):
    """Output: π over time and the cells of these runs; the report has room for those of the first seeds alone."""
    drawn = [(name, run) for run in runs for name in ("pi", "cells")]
    return [file for name, run in drawn for file in figure_of_run(name, run).values()]


def figure_of_run(name, run):
    """Output: one figure of one run, in the report if its seed is one of the first."""
    path, shown = f"{name}-{run.name}", run.seed in settings.seeds[: plan.BLOCK]
    labels = {"figure": {"pi": "π over time"}.get(name, name), "run": f"{run.stage}, {run.method}, seed {run.seed}"}
    return figure(path, name, "3 Architectures", shown, **labels)
