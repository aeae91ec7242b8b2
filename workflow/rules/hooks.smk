"""What a run says before its first job and after its last one, and what it leaves beside the results."""

import subprocess

import yaml
from snakemake.logging import logger

from parsec.runtime.outputs import forget, mark_folder


def brief(record):
    """Filter of Snakemake's messages: no steps of its scheduler, and no settings in the text of a failed command."""
    message = record.msg or ""
    record.msg = re.sub(r"Command '.*' (returned|died)", r"The command \1", message, flags=re.DOTALL)
    return not re.fullmatch(r"Select jobs to execute\.\.\.|Execute \d+ jobs\.\.\.", message)


def announce():
    """First lines of a run; in a quiet one, jobs speak from here on."""
    if any(kind.name == "RULES" for kind in workflow.output_settings.quiet or ()):
        logger.addFilter(brief)
    mark_folder(Path(settings.results), "results")
    for line in studies.left_out(settings):
        print(line, file=sys.stderr)
    print(f"{settings.name}: results go to {home()} (profile: {given_profile()}).", file=sys.stderr)


def warn_of_lost_resources():
    """Lines on what options of this call take from the trainings on a cluster, also where it only plans them."""
    if not (on_slurm() and workflow.is_main_process):
        return
    if settings.compute.device == "auto" and "gpus_per_training" not in default_resources():
        print(
            "gpus_per_training is not among the default resources (--default-resources replaces the profile's list): "
            "every training asks for 1 GPU. For another number, or 0, add gpus_per_training=N.",
            file=sys.stderr,
        )
    continued = [rule for rule in workflow.rules if "state" in rule.params.keys()]
    without = [rule.name for rule in continued if "TERM" not in str(rule.resources["slurm_extra"].raw)]
    if without:
        print(
            f"slurm_extra of {', '.join(without)} lacks --signal=TERM@120: these jobs are not told before their time "
            "ends, and lose what they did since their last checkpoint. Add it to your own options.",
            file=sys.stderr,
        )


def home():
    """Where the outputs are: a folder, or a place in the storage that was chosen by option."""
    stored = workflow.storage_settings.default_storage_prefix
    return f"{stored.rstrip('/')}/{settings.results}" if stored else Path(settings.results).resolve()


def given_profile():
    """The profile that was asked for; Snakemake passes over a wrong path in silence, so this does not."""
    given = {name: file for name, file in profiles().items() if name != "none"}
    return ", ".join(name if file else f"{name} NOT FOUND, so without it" for name, file in given.items()) or "none"


def conclude():
    """After a run that made everything: the settings it had, Snakemake's report, and where to look."""
    forget(Path(job.params.state) for job in workflow.dag.jobs if job.params.get("state"))
    if not any(job.rule.name == "all" for job in workflow.dag.jobs):
        return
    folder = Path(settings.results)
    effective = folder / "settings.yaml"
    text = yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    effective.write_text(text, encoding="utf-8")
    written = write_report(effective, folder / "report.html")
    place = home() if workflow.storage_settings.default_storage_prefix else folder
    made = {"Tables": "tables", "Figures": "figures", "Checklist": "checklist.md"}
    for what, where in ({name: f"{place}/{file}" for name, file in made.items()} | written).items():
        print(f"{what}: {where}", file=sys.stderr)


def write_report(effective, path):
    """Snakemake's own report, by a second call of it under the lock that this one still holds."""
    same = ["--snakefile", workflow.main_snakefile, "--configfile", effective, "--workflow-profile", "none"]
    command = [sys.executable, "-m", "snakemake", *same, *storage_options(), "--nolock", "--report", path]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return {"Report": path}
    print(f"The report could not be made:\n{done.stderr.strip()}", file=sys.stderr)
    return {}


def storage_options():
    """The options of this call that say where outputs are, if that is no local folder."""
    given = workflow.storage_settings
    if given.default_storage_provider is None:
        return []
    place = ["--default-storage-provider", given.default_storage_provider]
    shared = [str(usage) for usage in given.shared_fs_usage]
    return [*place, "--default-storage-prefix", given.default_storage_prefix, "--shared-fs-usage", *shared]


def explain_failure():
    """Last lines of a run that did not make everything."""
    print(
        "Not everything was made: the reason is above, and at the end of the job's log in "
        f"{Path(settings.results, 'logs')}. Mend it and give the same command again: what is finished is kept, "
        "and training goes on from its last checkpoint.",
        file=sys.stderr,
    )
