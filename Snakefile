"""The whole chain of PARSEC: from raw images to the tables and figures of the paper."""

from snakemake.utils import min_version

min_version("9.18")

# Presets are complete: one given by --configfile stands for config/config.yaml instead of being merged into it.
if not workflow.configfiles:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/studies_common.smk"
include: "workflow/rules/hooks.smk"


pathvars:
    results=settings.results,


wildcard_constraints:
    dataset=one_of(settings.datasets),
    method=one_of(methods()),
    stage=one_of(outputs.SEARCH_STAGES),
    name=one_of([*settings.scores, *settings.simulations, *settings.predictors]),
    origin=one_of([*outputs.SEARCH_STAGES, outputs.PUBLISHED]),
    seed=r"\d+",
    run=r"\d+",


# Raw images to a verified data set of three parts, each a folder of shards.
include: "workflow/rules/data.smk"
# A data set to π and a genotype: from uniform, on the large network, on the large data set.
include: "workflow/rules/search.smk"
# A genotype to a trained network and its test error; the only stage that is given the test part.
include: "workflow/rules/retrain.smk"
# Memory and time of one step of a search.
include: "workflow/rules/measure.smk"
# Tabular benchmarks: scores without training, simulated searches, a predictor, and the truth about what was found.
include: "workflow/rules/studies.smk"
# Records of runs to tables, figures, cell drawings and the checklist.
include: "workflow/rules/report.smk"
# Several methods beside each other.
include: "workflow/rules/compare.smk"


rule all:
    input:
        wanted(),
    localrule: True


warn_of_lost_resources()


onstart:
    announce()


onsuccess:
    conclude()


onerror:
    explain_failure()
