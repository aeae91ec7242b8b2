rule table:
    input:
        results_of_dataset,
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
        code=code("parsec.report.tables", "tables/{dataset}.csv"),
        published=compared,
        prefix=subpath(output.csv, strip_suffix=".csv"),
    message:
        "Table of {wildcards.dataset}"
    shell:
        "python -m parsec table {wildcards.dataset:q} {params.published:q} --output {params.prefix:q} --log {log:q}"
        " {input:q}"


rule figure_entropy:
    input:
        records_of_stage,
    output:
        **figure("entropy", "{stage}", "2 Search", of="{stage}"),
    log:
        "<results>/logs/figures/<name>.log",
    benchmark:
        "<results>/benchmarks/figures/<name>.tsv"
    pathvars:
        name="entropy-{stage}",
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code("parsec.report.figures", "figures/entropy-{stage}.svg"),
        figure="entropy",
        prefix=subpath(output.svg, strip_suffix=".svg"),
        shown=folders,
    message:
        "Figure of the entropy of π in {wildcards.stage}"
    shell:
        "python -m parsec plot {params.figure} --output {params.prefix:q} --log {log:q} {params.shown:q}"


use rule figure_entropy as figure_accuracy with:
    output:
        **figure("accuracy", "{stage}", "2 Search", of="{stage}"),
    pathvars:
        name="accuracy-{stage}",
    params:
        code=code("parsec.report.figures", "figures/accuracy-{stage}.svg"),
        figure="accuracy",
    message:
        "Figure of the mode's accuracy in {wildcards.stage}"


use rule figure_entropy as figure_operations with:
    output:
        **figure("operations", "{stage}", "2 Search", of="{stage}"),
    pathvars:
        name="operations-{stage}",
    params:
        code=code("parsec.report.figures", "figures/operations-{stage}.svg"),
        figure="operations",
    message:
        "Figure of the expected operations in {wildcards.stage}"


use rule figure_entropy as figure_pi with:
    input:
        trajectory=file_of_run("trajectory.parquet"),
        result=file_of_run("result.json"),
    output:
        **figure(
            "pi",
            "{stage}-{method}-seed{seed}",
            "3 Architectures",
            of="{stage}, {method}, seed {seed}",
        ),
    pathvars:
        name="pi-{stage}-{method}-seed{seed}",
    params:
        code=code("parsec.report.figures", "figures/pi-{stage}-{method}-seed{seed}.svg"),
        figure="pi",
    message:
        "Figure of π over time in {wildcards.stage}, seed {wildcards.seed}"


use rule figure_entropy as cells with:
    input:
        file_of_run("genotype.json"),
    output:
        **figure(
            "cells",
            "{stage}-{method}-seed{seed}",
            "3 Architectures",
            of="{stage}, {method}, seed {seed}",
        ),
    pathvars:
        name="cells-{stage}-{method}-seed{seed}",
    params:
        code=code(
            "parsec.report.figures", "figures/cells-{stage}-{method}-seed{seed}.svg"
        ),
        figure="cells",
        shown=lambda wildcards, input: list(input),
    message:
        "Drawing the cells of {wildcards.stage}, seed {wildcards.seed}"


use rule figure_entropy as figure_cost with:
    input:
        results_of_dataset,
    output:
        **figure("cost", "{dataset}", "4 Cost", of="{dataset}"),
    pathvars:
        name="cost-{dataset}",
    params:
        code=code("parsec.report.figures", "figures/cost-{dataset}.svg"),
        figure="cost",
        shown=lambda wildcards, input: list(input),
    message:
        "Figure of error against cost on {wildcards.dataset}"


use rule figure_entropy as figure_executor with:
    input:
        "<results>/measure/{stage}/executor.json",
    output:
        **figure("executor", "{stage}", "4 Cost", of="{stage}"),
    pathvars:
        name="executor-{stage}",
    params:
        code=code("parsec.report.figures", "figures/executor-{stage}.svg"),
        figure="executor",
        shown=lambda wildcards, input: list(input),
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
    message:
        "Checklist of good practice"
    shell:
        "python -m parsec checklist --output {output:q} --log {log:q} {input:q}"
