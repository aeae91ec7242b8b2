"""The whole chain of PARSEC: from raw images to the tables and figures of the paper."""

from snakemake.utils import min_version

min_version("9.18")

# Presets are complete: one given by --configfile stands for config/config.yaml instead of being merged into it.
if not workflow.configfiles:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/hooks.smk"


pathvars:
    results=settings.results,


wildcard_constraints:
    job=f"({regex_any(job_parts.MODULES)})(/[^/]+)?",
    dataset=regex_any(settings.datasets),
    method=regex_any(plan.method_names(settings)),
    stage=regex_any(outputs.SEARCH_STAGES),
    name=regex_any([*settings.scores, *settings.simulations, *settings.predictors]),
    origin=regex_any([*outputs.SEARCH_STAGES, outputs.PUBLISHED]),
    seed=r"\d+",
    run=r"\d+",


# What each job reads of the settings; raw images to a verified data set of three splits, each a folder of shards.
include: "workflow/rules/data.smk"
# A data set to π and a genotype: from uniform, on the large network, on the large data set.
include: "workflow/rules/search.smk"
# A genotype to a trained network and its test error; the only stage that reads the test split.
include: "workflow/rules/retrain.smk"
# Memory and time of one step of a search, and memory over depth.
include: "workflow/rules/bench.smk"
# Tabular benchmarks: zero-cost scores, simulated searches, a predictor, and the true accuracy of what was searched.
include: "workflow/rules/tabular.smk"
# Records of runs to tables, figures, cell drawings, the checklist and the HTML report.
include: "workflow/rules/report.smk"


rule all:
    input:
        "<results>/report.html",
    localrule: True


warn_about_resources()


onstart:
    print_header()


onsuccess:
    print_results()


onerror:
    print_failure_hint()
