"""What a run prints before its first job and after its last one."""

from parsec.runtime.outputs import clear_output_cache

STORED = workflow.storage_settings.default_storage_prefix
LOCATION = f"{STORED.rstrip('/')}/{settings.results}" if STORED else settings.results


def print_header():
    """Print what is left out, which settings count and where results go."""
    for line in plan.left_out(settings):
        print(line, file=sys.stderr)
    if "runtime" not in DEFAULT_RESOURCES:
        print("No profile is in use. (Snakemake ignores a mistyped --workflow-profile.)", file=sys.stderr)
    files = ", ".join(map(str, workflow.configfiles))
    print(f"{settings.name} (settings: {files}): results go to {LOCATION}", file=sys.stderr)


def print_results():
    """Drop the checkpoints of finished runs, and print where the results are."""
    clear_output_cache(Path(settings.results), stored=bool(STORED))
    for name in ("tables", "figures", "checklist.md", "report.html"):
        if STORED or Path(settings.results, name).exists():
            print(f"{Path(name).stem.capitalize()}: {LOCATION}/{name}", file=sys.stderr)


def print_failure_hint():
    """Print how to go on after a failure."""
    print(
        "Not everything was made: the reason is above, and at the end of the job's log in "
        f"{Path(settings.results, 'logs')}. Fix the cause and run the same command again: what is finished is kept, "
        "and training continues from its last checkpoint.",
        file=sys.stderr,
    )
