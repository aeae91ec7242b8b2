rule table:
    input:
        results=lambda w: input_results(*plan.results_with_cost(settings, w.dataset)),
        published=lambda w: input_published(settings.retrain[w.dataset].compare_with),
    output:
        **report_files("tables", "{dataset}", "table", "1 Tables", table="{dataset}"),
        classes="<results>/tables/{dataset}.classes.csv",
    log:
        "<results>/logs/tables/{dataset}.log",
    localrule: True
    conda:
        CPU_ENVIRONMENT
    params:
        code=params_page_code("tables", "accuracy"),
        published=lambda w: [f"--compare-with={name}" for name in [settings.retrain[w.dataset].compare_with] if name],
        prefix=subpath(output.csv, strip_suffix=".csv"),
    message:
        "Table of {wildcards.dataset}"
    shell:
        "python -m parsec table accuracy --dataset {wildcards.dataset:q} {params.published:q} --output {params.prefix:q}"
        " --log {log:q}"
        " {input.results:q}"


rule comparison:
    input:
        lambda wildcards: input_results(*plan.results_with_cost(settings)),
        lambda wildcards: ["<results>/lookup/nasbench201.json"] if report_items.looks_up(settings) else [],
        lambda wildcards: ["<results>/ranking/ranking.json"] if report_items.ranks(settings) else [],
    output:
        **report_files("tables", "comparison", "comparison", "1 Tables", table="comparison of methods"),
    log:
        "<results>/logs/tables/comparison.log",
    localrule: True
    conda:
        CPU_ENVIRONMENT
    params:
        code=params_page_code("tables", "comparison"),
        prefix=subpath(output.csv, strip_suffix=".csv"),
        reference=settings.reference,
    message:
        "Table of all methods"
    shell:
        "python -m parsec table comparison --reference {params.reference:q} --output {params.prefix:q} --log {log:q}"
        " {input:q}"


METRICS = [lambda wildcards: input_runs(plan.searches(settings), "metrics.jsonl", "result.json")]
COSTS = [lambda wildcards: input_results(*plan.results_with_cost(settings))]
# Category in the report, what the figure shows there, and what it is made from.
FIGURES = {
    "entropy": ("2 Search", "entropy and effective sample size", METRICS),
    "accuracy": ("2 Search", "accuracy of the mode of π", METRICS),
    "operations": ("2 Search", "expected operations", METRICS),
    "spending": ("4 Cost", "accuracy over search cost", METRICS + (COSTS if settings.retrain else [])),
    "cost": (
        "4 Cost",
        "test error over search cost",
        [*COSTS, input_published(*(stage.compare_with for stage in settings.retrain.values()))],
    ),
    "executor": ("4 Cost", "memory and time of a step, {stage}", ["<results>/measure/{stage}/executor.json"]),
    "depths": ("4 Cost", "memory over depth", ["<results>/measure/depths.json"]),
}

for figure, (category, shows, files) in FIGURES.items():
    path = "executor-{stage}" if figure == "executor" else figure

    rule:
        name:
            f"figure_{figure}"
        input:
            *files,
        output:
            **report_files("figures", path, figure, category, figure=shows),
        log:
            f"<results>/logs/figures/{path}.log",
        localrule: True
        conda:
            CPU_ENVIRONMENT
        params:
            code=params_page_code("figures", figure),
            figure=figure,
            prefix=subpath(output.svg, strip_suffix=".svg"),
        message:
            "Figure {params.figure}"
        shell:
            "python -m parsec figure {params.figure} --output {params.prefix:q} --log {log:q} {input:q}"


# A job draws π over time and the cells of a batch of searches; only the first batch is in the report.
rule run_figures:
    input:
        lambda w: input_runs(
            plan.search_batches(settings, w.stage, w.method)[int(w.batch)],
            "result.json",
            "trajectory.parquet",
            "genotype.json",
        ),
    output:
        directory("<results>/figures/{stage}/{method}/batch{batch}"),
    log:
        "<results>/logs/figures/{stage}/{method}/batch{batch}.log",
    wildcard_constraints:
        batch=r"[1-9]\d*",
    # On a cluster, --group-components drawings=N makes one cluster job of N of these.
    group:
        "drawings"
    conda:
        CPU_ENVIRONMENT
    params:
        code=params_page_code("figures", "pi", "cells"),
        runs=params_folders,
    message:
        "Figures of the searches of {wildcards.stage} with {wildcards.method}, batch {wildcards.batch}"
    shell:
        "python -m parsec figure runs --output {output:q} --log {log:q} {params.runs:q}"


use rule run_figures as first_run_figures with:
    output:
        report(
            directory("<results>/figures/{stage}/{method}/batch{batch}"),
            patterns=["{figure,pi|cells}-{run}.svg"],
            caption="../report/run_figures.rst",
            category="3 Architectures",
            labels={"figure": "{figure}", "run": "{run}"},
        ),
    wildcard_constraints:
        batch="0",


rule checklist:
    input:
        lambda wildcards: input_runs([*plan.searches(settings), *plan.retrains(settings)], "result.json"),
    output:
        md="<results>/checklist.md",
        html=report(
            "<results>/checklist.html",
            caption="../report/checklist.rst",
            category="5 Good practice",
            labels={"table": "checklist"},
        ),
    log:
        "<results>/logs/checklist.log",
    localrule: True
    conda:
        CPU_ENVIRONMENT
    params:
        code=params_code("parsec.report.checklist"),
        left_out=[word for line in plan.left_out(settings) for word in ("--left-out", line)],
    message:
        "Checklist of good practice"
    shell:
        "python -m parsec checklist --output {output.md:q} --log {log:q} {params.left_out:q} {input:q}"


rule summary:
    input:
        lambda wildcards: input_results(*plan.results_with_cost(settings)),
        lambda wildcards: ["<results>/lookup/nasbench201.json"] if report_items.looks_up(settings) else [],
    output:
        page=report(
            "<results>/summary.html",
            caption="../report/summary.rst",
            category="0 Summary",
            labels={"table": "results, code and machine"},
        ),
        text="<results>/summary.txt",
        front="<results>/summary.rst",
    log:
        "<results>/logs/summary.log",
    localrule: True
    conda:
        CPU_ENVIRONMENT
    params:
        code=params_code("parsec.report.summary"),
    message:
        "Summary of the results"
    shell:
        "python -m parsec summary --output {output.page:q} --log {log:q} {input:q}"


# Made again after anything else, with the settings of the call that did so.
rule complete_settings:
    input:
        input_results(*report_items.final_outputs(settings)),
        # Folders have no checksum, so that a copy of the results would look newer than what was made from it.
        *map(ancient, input_results(*report_items.run_figure_folders(settings))),
    output:
        "<results>/settings.yaml",
    log:
        "<results>/logs/settings.log",
    localrule: True
    conda:
        CPU_ENVIRONMENT
    params:
        # Of an output, so that what changes no result, such as the title, re-runs nothing.
        text=lambda wildcards, output: COMPLETE_SETTINGS,
        code=params_page_code("figures", "pi", "cells"),
    message:
        "Complete settings of this run"
    shell:
        "printf %s {params.text:q} > {output:q} 2> {log:q}"


rule html_report:
    input:
        settings="<results>/settings.yaml",
        summary="<results>/summary.txt",
        front="<results>/summary.rst",
    output:
        "<results>/report.html",
    log:
        "<results>/logs/report.log",
    localrule: True
    conda:
        CPU_ENVIRONMENT
    params:
        # Of an output as well: a clone that was moved is no reason to make the report again.
        snakefile=lambda wildcards, output: source_root() / "workflow" / "Snakefile",
        storage=params_storage,
    message:
        "Snakemake's report"
    shell:
        "snakemake --snakefile {params.snakefile:q} --configfile {input.settings:q} --workflow-profile none --nolock"
        " {params.storage:q} --report {output:q} > {log:q} 2>&1;"
        " cat {input.summary:q} >&2"
