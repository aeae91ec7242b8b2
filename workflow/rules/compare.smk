# Methods and variants beside each other; nothing in here is planned for one method alone.


rule measure_depths:
    input:
        dataset=f"<results>/data/{settings.search.dataset}/dataset.json",
        train=ancient(f"<results>/data/{settings.search.dataset}/train"),
    output:
        "<results>/measure/depths.json",
    log:
        "<results>/logs/measure/depths.log",
    benchmark:
        "<results>/benchmarks/measure/depths.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(16000),
        runtime=growing(60),
        gpu=GPUS,
    params:
        settings=json_of(job_parts.depths_job),
        code=code("parsec.bench.memory", "measure/depths.json"),
        data=subpath(input.dataset, parent=True),
    message:
        "Measuring the memory of every method against depth"
    shell:
        "python -m parsec depths --settings {params.settings:q} --data {params.data:q} --output {output:q}"
        " --threads {threads} --log {log:q}"


localrules:
    figure_depths,
    figure_spending,


use rule figure_entropy as figure_depths with:
    input:
        "<results>/measure/depths.json",
    output:
        **figure("depths", "depths", "4 Cost", figure="memory against depth"),
    log:
        "<results>/logs/figures/depths.log",
    benchmark:
        "<results>/benchmarks/figures/depths.tsv"
    params:
        code=code("parsec.report.figures.depths", "figures/depths.svg"),
        figure="depths",
    message:
        "Figure of memory against depth"


use rule figure_entropy as figure_spending with:
    output:
        **figure("spending", "spending", "4 Cost", figure="accuracy over what was spent"),
    log:
        "<results>/logs/figures/spending.log",
    benchmark:
        "<results>/benchmarks/figures/spending.tsv"
    params:
        code=code("parsec.report.figures.spending", "figures/spending.svg"),
        figure="spending",
    message:
        "Figure of accuracy over what was spent"


rule comparison:
    input:
        costed_results,
        lambda wildcards: ["<results>/lookup/nasbench201.json"] if settings.space == "nasbench201" else [],
    output:
        csv="<results>/tables/comparison.csv",
        md=report(
            "<results>/tables/comparison.md",
            caption="../report/comparison.rst",
            category="1 Tables",
            labels={"table": "comparison of methods", "format": "Markdown"},
        ),
        tex="<results>/tables/comparison.tex",
    log:
        "<results>/logs/tables/comparison.log",
    benchmark:
        "<results>/benchmarks/tables/comparison.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code("parsec.report.tables.comparison", "tables/comparison.csv"),
        prefix=subpath(output.csv, strip_suffix=".csv"),
    message:
        "Table of methods beside each other"
    shell:
        "python -m parsec table comparison --output {params.prefix:q} --log {log:q} {input:q}"
