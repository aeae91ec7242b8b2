"""What all rules share: the checked settings, the environment of jobs, and functions that turn the plan into paths."""

import os
import re
import sys
from functools import cache
from pathlib import Path

import yaml

# A clone is used as it is; a workflow that is read from elsewhere needs the package to be installed.
root = Path(str(workflow.current_basedir)).parents[1]
if root.is_dir():
    sys.path.insert(0, str(root))

from parsec.config import job_parts, plan, report_items
from parsec.config.base import PUBLISHED, RETRAIN_FILES, SEARCH_FILES, SEARCH_STAGES, Retrain, Search, expanded
from parsec.config.load import load, read_document
from parsec.config.report_items import BenchmarkTable, PublishedTable
from parsec.data.sources.listing import listing_fingerprint
from parsec.errors import SettingsError, UserError
from parsec.records.code_hash import code_fingerprint
from parsec.plugins import published_folder, source_root
from parsec.report.registry import figure_code, table_code
from parsec.runtime.outputs import MARKER, check_folder


def checked_settings():
    """The settings tree; a mistake in it ends Snakemake with only that mistake, before any job is planned."""
    try:
        if workflow.is_main_process:
            for file in workflow.configfiles:
                read_document(Path(file))
        checked = plan.on_this_machine(load(config))
        check_table_names(checked)
        # Jobs get the settings that were checked here, and by then their results folder is in use.
        if workflow.is_main_process:
            check_results(Path(checked.results))
        return checked
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def check_table_names(checked):
    """The table of a data set has its name, so that no other table may have it: two rules would make one file."""
    tables = [item.name for item in report_items.experiment_items(checked) if item.kind == "tables"]
    for name in checked.retrain:
        if name in ("comparison", *tables):
            raise SettingsError(f"retrain.{name}: another table has this name; give the data set another one")


def check_results(folder):
    """Snakemake removes outputs before it makes them again, so they may only go into a folder of ours."""
    try:
        check_folder(folder, "results")
    except UserError as error:
        remedy = f"; if parsec made it, confirm so with: touch {folder / MARKER}" if folder.is_dir() else ""
        raise SettingsError(f"results: {error}{remedy}") from error


def count_gpus():
    """GPUs per training job, counted without torch, whose import would slow every call of Snakemake by seconds."""
    if settings.compute.device != "auto":
        return int(settings.compute.device == "cuda")
    if "gpus_per_training" in DEFAULT_RESOURCES:
        return DEFAULT_RESOURCES["gpus_per_training"].value
    if ON_CLUSTER:
        return 1  # A GPU of the login node, or none, tells nothing about the nodes.
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    devices = Path(os.devnull).parent  # Not written out, because the linter refuses absolute paths.
    # WSL2 has one device for all GPUs.
    return int(not hidden and (any(devices.glob("nvidia[0-9]*")) or (devices / "dxg").exists()))


settings = checked_settings()
DEFAULT_RESOURCES = workflow.resource_settings.default_resources or {}
ON_CLUSTER = workflow.resource_settings.nodes is not None
GPUS = count_gpus()
# SLURM sends SIGTERM two minutes before the time limit; the training saves its state and ends, and the next attempt
# continues it. Not SIGUSR1: it would end the Snakemake in the job, and SLURM then the training in the middle of its save.
SIGNAL = {"slurm_extra": "--signal=TERM@120"} if ON_CLUSTER and "slurm_extra" not in DEFAULT_RESOURCES else {}
CPU_ENVIRONMENT = "../../envs/cpu.yaml"
ENVIRONMENT = "../../envs/cuda.yaml" if GPUS else CPU_ENVIRONMENT
COMPLETE_SETTINGS = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
REPORT_ITEMS = {(item.kind, item.name): item.sources for item in report_items.experiment_items(settings)}
# Per kind of page: the function that names the code of one, and the code that writes all of them.
PAGE_CODE = {
    "tables": (table_code, "parsec.report.tables.markup:write_table"),
    "figures": (figure_code, "parsec.report.figures.style:as_files"),
}
# Jobs inherit where the package and its Python are, and what may change without re-running anything.
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")])),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    PARSEC_CHECKPOINT_SECONDS=str(settings.running.checkpoint_seconds),
    PARSEC_PROGRESS_SECONDS=str(settings.running.progress_seconds),
)


def warn_about_resources():
    """Name what `--default-resources` and `--set-resources` took from the trainings on a cluster, in dry runs too."""
    if not (ON_CLUSTER and workflow.is_main_process):
        return
    if settings.compute.device == "auto" and "gpus_per_training" not in DEFAULT_RESOURCES:
        print(
            "gpus_per_training is not among the default resources (--default-resources replaces the profile's list): "
            "every training asks for 1 GPU. For another number, or 0, add gpus_per_training=N.",
            file=sys.stderr,
        )
    resumable = [rule for rule in workflow.rules if "state" in rule.params.keys()]
    without = [rule.name for rule in resumable if "TERM" not in str(rule.resources["slurm_extra"].raw)]
    if without:
        print(
            f"slurm_extra of {', '.join(without)} lacks --signal=TERM@120: these jobs are not warned before their time "
            "limit, and lose what they did since their last checkpoint. Add it to your own options.",
            file=sys.stderr,
        )


def regex_any(names):
    """A regular expression that matches only these names, and nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def scale_by_attempt(amount):
    """Resource: proportional to the attempt."""
    return lambda wildcards, attempt: amount * attempt


def output_files(folder, names):
    """Output: the files of a run, named without their ending."""
    return {Path(name).stem: f"<results>/{folder}/{name}" for name in names}


def state_dir(folder):
    """Param: folder of a run's checkpoints. No output, because Snakemake deletes the outputs of a failed job."""
    return f"{settings.results}/state/{folder}"


@cache
def job_text(job):
    """What a job reads of the settings, as YAML under comments with the versions of its code and images."""
    recorded = job_parts.recorded_versions(Path(settings.results, "jobs", f"{job}.yaml"))
    kind, _, name = job.partition("/")
    versions = {"code": code_fingerprint(job_parts.MODULES[kind])}
    if "code" in recorded and not settings.running.rerun_on_code_change:
        versions["code"] = recorded["code"]
    data = settings.datasets.get(name) if kind == "prepare_dataset" else None
    if data is not None and data.source == "image_folder":
        listing = listing_fingerprint(Path(expanded(data.folder, f"datasets.{name}.folder")))
        # Images that were deleted after their preparation are not missed.
        versions["images"] = listing or recorded.get("images", "unknown")
    return job_parts.job_text(job_parts.job_of(settings, job), versions)


def params_image_source(wildcards, output):
    """Param: options that say where images are found; derived from an output, so that moving images re-runs nothing."""
    source = job_parts.image_source(settings, wildcards.dataset)
    values = {key: [value] if key == "folder" else value for key, value in source.items()}
    return [word for key, each in values.items() for value in each for word in (f"--{key}", value)]


def params_code(module):
    """Param: fingerprint of the code behind a page of the report, so that editing it makes only that one again."""
    return lambda wildcards: f"code {code_fingerprint(module)}"


def params_page_code(kind, *names):
    """Param: as `params_code`, of these tables or figures, or of the one that the wildcard `item` names."""
    code, writer = PAGE_CODE[kind]
    return lambda wildcards: f"code {code_fingerprint(*map(code, names or [wildcards.item]), writer)}"


def params_option(option, key):
    """Param: an option with an input file; nothing without the file."""
    return lambda wildcards, input: [option, input.get(key)] if input.get(key) else []


def params_storage(wildcards, output):
    """Param: the options of this call that say where outputs are stored, if that is no local folder."""
    chosen = workflow.storage_settings
    if chosen.default_storage_provider is None:
        return []
    prefix = ["--default-storage-prefix", chosen.default_storage_prefix]
    shared = ["--shared-fs-usage", *map(str, chosen.shared_fs_usage)]
    return ["--default-storage-provider", chosen.default_storage_provider, *prefix, *shared]


def params_folders(wildcards, input):
    """Param: the folders that the input files are in, or those of the input `runs`."""
    return list(dict.fromkeys(str(Path(file).parent) for file in input.get("runs", input)))


def input_results(*paths):
    """Input: files below the results folder; those that are None are left out."""
    return [f"<results>/{path}" for path in paths if path]


def input_runs(runs, *names):
    """Input: files of these runs."""
    return [f"<results>/{run.folder}/{name}" for run in runs for name in names]


def input_published(*names):
    """Input: tables of published results, in the clone and not in the storage of outputs."""
    files = [os.path.relpath(published_folder() / f"{name}.csv") for name in dict.fromkeys(names) if name]
    return [local(file) for file in files]


def input_source(source):
    """Input: the files that a source of a table, a figure or a search stands for."""
    if isinstance(source, BenchmarkTable):
        return [local(plan.benchmark_table(settings, source.benchmark))]
    if isinstance(source, PublishedTable):
        return input_published(source.name)
    return [f"<results>/{source.path}/{name}" for name in source.files] or [f"<results>/{source.path}"]


def input_item(kind):
    """Input: the files that an experiment's table or figure is made from."""
    return lambda wildcards: [f for source in REPORT_ITEMS[kind, wildcards.item] for f in input_source(source)]


def params_item(kind):
    """Param: the sources of an experiment's table or figure; a folder stands for its files."""

    def arguments(wildcards, input):
        files = iter(input)
        for source in REPORT_ITEMS[kind, wildcards.item]:
            names = getattr(source, "files", ())
            first, *_ = [next(files) for _ in names or (source,)]
            yield str(Path(first).parent) if names else first

    return lambda wildcards, input: list(arguments(wildcards, input))


def input_predictor_data(wildcards):
    """Input: the data set that architectures of darts are scored on; none where a table is searched."""
    job = settings.predictors[wildcards.name]
    if job.problem != "darts":
        return []
    folder = f"<results>/data/{settings.scores[job.scores].dataset}"
    return [f"{folder}/dataset.json", ancient(f"{folder}/train")]


def input_dataset(dataset, *splits):
    """Input: a prepared data set, by its name or a function of the wildcards.

    Whether its images changed shows in the hashes of `dataset.json`, not in the ages of the folders.
    """

    def path(name):
        if callable(dataset):
            return lambda wildcards: f"<results>/data/{dataset(wildcards)}/{name}"
        return f"<results>/data/{dataset}/{name}"

    return {"dataset": path("dataset.json")} | {split: ancient(path(split)) for split in splits}


def input_init_pi(wildcards):
    """Input: the π that a search starts from; none if it starts from uniform."""
    run = Search(wildcards.stage, wildcards.dataset, wildcards.method, int(wildcards.seed))
    return input_results(plan.initial_pi(settings, run))


def input_genotype(wildcards):
    """Input: the genotype to retrain, of a search or in a file; none if it is known by its published name."""
    w = wildcards
    if file := plan.genotype_files(settings, w.dataset).get(w.method):
        return local(file)
    search = plan.genotype_of(settings, Retrain(w.dataset, w.origin, w.method, int(w.seed), int(w.run)))
    return f"<results>/{search.folder}/genotype.json" if search else []


def report_files(kind, path, caption, category, **labels):
    """Output: the files of a table or figure; the one that browsers show best is in the report."""
    kinds, shown = {
        "tables": (("csv", "md", "html", "tex", "bib"), "html"),
        "figures": (("svg", "pdf", "png", "csv"), "svg"),
    }[kind]
    files = {ending: f"<results>/{kind}/{path}.{ending}" for ending in kinds}
    files[shown] = report(files[shown], caption=f"../report/{caption}.rst", category=category, labels=labels)
    return files
