# Rules that are made from another do not inherit its localrule.
localrules:
    figure_accuracy,
    figure_operations,
    figure_cost,
    figure_executor,


rule table:
    input:
        results=results_of_dataset,
        published=lambda wildcards: cited(wildcards.dataset),
    output:
        csv=report(
            "<results>/tables/{dataset}.csv",
            caption="../report/table.rst",
            category="1 Tables",
            labels={"table": "{dataset}", "format": "CSV"},
        ),
        md=report(
            "<results>/tables/{dataset}.md",
            caption="../report/table.rst",
            category="1 Tables",
            labels={"table": "{dataset}", "format": "Markdown"},
        ),
        tex="<results>/tables/{dataset}.tex",
        classes=report(
            "<results>/tables/{dataset}.classes.csv",
            caption="../report/table.rst",
            category="1 Tables",
            labels={"table": "{dataset}, errors per class", "format": "CSV"},
        ),
    log:
        "<results>/logs/tables/{dataset}.log",
    benchmark:
        "<results>/benchmarks/tables/{dataset}.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code("parsec.report.tables.accuracy", "tables/{dataset}.csv"),
        compared=compared,
        prefix=subpath(output.csv, strip_suffix=".csv"),
    message:
        "Table of {wildcards.dataset}"
    shell:
        "python -m parsec table accuracy --dataset {wildcards.dataset:q} {params.compared:q} --output {params.prefix:q} --log {log:q}"
        " {input.results:q}"


rule figure_entropy:
    input:
        all_records,
    output:
        **figure("entropy", "entropy", "2 Search", figure="entropy and effective sample size"),
    log:
        "<results>/logs/figures/entropy.log",
    benchmark:
        "<results>/benchmarks/figures/entropy.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code("parsec.report.figures.entropy", "figures/entropy.svg"),
        figure="entropy",
        prefix=subpath(output.svg, strip_suffix=".svg"),
    message:
        "Figure of the entropy of π"
    shell:
        "python -m parsec figure {params.figure} --output {params.prefix:q} --log {log:q} {input:q}"


use rule figure_entropy as figure_accuracy with:
    output:
        **figure("accuracy", "accuracy", "2 Search", figure="accuracy of the mode"),
    log:
        "<results>/logs/figures/accuracy.log",
    benchmark:
        "<results>/benchmarks/figures/accuracy.tsv"
    params:
        code=code("parsec.report.figures.accuracy", "figures/accuracy.svg"),
        figure="accuracy",
    message:
        "Figure of the accuracy of the mode"


use rule figure_entropy as figure_operations with:
    output:
        **figure("operations", "operations", "2 Search", figure="expected operations"),
    log:
        "<results>/logs/figures/operations.log",
    benchmark:
        "<results>/benchmarks/figures/operations.tsv"
    params:
        code=code("parsec.report.figures.operations", "figures/operations.svg"),
        figure="operations",
    message:
        "Figure of the expected operations"


# One job draws many runs, because importing what draws takes as long as drawing; names are complete, without wildcards,
# because Snakemake compares every file with every pattern that begins like it.
for name, runs in plan.blocks(settings):

    rule:
        name:
            f"figures_{name}"
        input:
            files_of_runs(runs, "result.json", "trajectory.parquet", "genotype.json"),
        output:
            figures_of_runs(runs),
        log:
            f"<results>/logs/figures/{name}.log",
        benchmark:
            f"<results>/benchmarks/figures/{name}.tsv"
        # On a cluster, --group-components drawings=N makes one cluster job of N of these.
        group:
            "drawings"
        conda:
            "../../envs/cpu.yaml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            code=code(("parsec.report.figures.pi", "parsec.report.figures.cells"), f"figures/pi-{runs[0].name}.svg"),
            folder=subpath(output[0], parent=True),
            runs=folders,
        message:
            f"Figures of {len(runs)} runs, from {runs[0].name}"
        shell:
            "python -m parsec figure runs --output {params.folder:q} --log {log:q} {params.runs:q}"


use rule figure_entropy as figure_cost with:
    input:
        costed_results,
        cited(*settings.retrain),
    output:
        **figure("cost", "cost", "4 Cost", figure="error against cost"),
    log:
        "<results>/logs/figures/cost.log",
    benchmark:
        "<results>/benchmarks/figures/cost.tsv"
    params:
        code=code("parsec.report.figures.cost", "figures/cost.svg"),
        figure="cost",
    message:
        "Figure of error against cost"


use rule figure_entropy as figure_executor with:
    input:
        "<results>/measure/{stage}/executor.json",
    output:
        **figure("executor-{stage}", "executor", "4 Cost", figure="memory and time of a step", run="{stage}"),
    log:
        "<results>/logs/figures/executor-{stage}.log",
    benchmark:
        "<results>/benchmarks/figures/executor-{stage}.tsv"
    params:
        code=code("parsec.report.figures.executor", "figures/executor-{stage}.svg"),
        figure="executor",
    message:
        "Figure of memory and time of a step of {wildcards.stage}"


rule checklist:
    input:
        all_results,
    output:
        report(
            "<results>/checklist.md",
            caption="../report/checklist.rst",
            category="5 Good practice",
            labels={"table": "checklist"},
        ),
    log:
        "<results>/logs/checklist.log",
    benchmark:
        "<results>/benchmarks/checklist.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code("parsec.report.checklist", "checklist.md"),
        left_out=[word for line in studies.left_out(settings) for word in ("--left-out", line)],
    message:
        "Checklist of good practice"
    shell:
        "python -m parsec checklist --output {output:q} --log {log:q} {params.left_out:q} {input:q}"
