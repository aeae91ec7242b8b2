# Experiments on tabular benchmarks: zero-cost scores, simulated searches, searches with a predictor, true accuracies.


rule score:
    input:
        **input_dataset(lambda wildcards: settings.scores[wildcards.name].dataset, "train"),
        settings="<results>/jobs/score/{name}.yaml",
        benchmark=lambda w: (
            input_source(BenchmarkTable("nasbench101")) if settings.scores[w.name].space == "nasbench101" else []
        ),
    output:
        "<results>/score/{name}/seed{seed}/scores.parquet",
    log:
        "<results>/logs/score/{name}/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/score/{name}/seed{seed}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SIGNAL,
        mem_mb=scale_by_attempt(8000),
        runtime=scale_by_attempt(720),
        gpu=GPUS,
    params:
        data=subpath(input.dataset, parent=True),
        benchmark=params_option("--benchmark", "benchmark"),
        folder=subpath(output[0], parent=True),
        state=state_dir("score/{name}/seed{seed}"),
    message:
        "Scoring architectures without training: {wildcards.name}, seed {wildcards.seed}"
    shell:
        "python -m parsec score --settings {input.settings:q} --data {params.data:q} --seed {wildcards.seed}"
        " {params.benchmark:q} --output {params.folder:q} --state {params.state:q} --threads {threads} --log {log:q}"


rule fit_pi:
    input:
        settings="<results>/jobs/fit_pi.yaml",
        scores=lambda wildcards: input_results(plan.scores_file(settings, settings.scores_prior.scores)),
    output:
        pi="<results>/fit/seed{seed}/pi.parquet",
        fit="<results>/fit/seed{seed}/fit.json",
    log:
        "<results>/logs/fit/seed{seed}.log",
    localrule: True
    conda:
        CPU_ENVIRONMENT
    params:
        folder=subpath(output.pi, parent=True),
    message:
        "Fitting π to the best of the scored architectures, seed {wildcards.seed}"
    shell:
        "python -m parsec fit-pi --settings {input.settings:q} --scores {input.scores:q} --output {params.folder:q}"
        " --threads {threads} --log {log:q}"


rule ablate:
    input:
        **input_dataset(lambda wildcards: settings.ablation.dataset, "train"),
        settings="<results>/jobs/ablate.yaml",
    output:
        "<results>/ablation/seed{seed}/ablation.parquet",
    log:
        "<results>/logs/ablation/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/ablation/seed{seed}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SIGNAL,
        mem_mb=scale_by_attempt(8000),
        runtime=scale_by_attempt(240),
        gpu=GPUS,
    params:
        data=subpath(input.dataset, parent=True),
        folder=subpath(output[0], parent=True),
        state=state_dir("ablation/seed{seed}"),
    message:
        "Scoring the same networks under several conditions, seed {wildcards.seed}"
    shell:
        "python -m parsec ablate --settings {input.settings:q} --data {params.data:q} --seed {wildcards.seed}"
        " --output {params.folder:q} --state {params.state:q} --threads {threads} --log {log:q}"


rule kernels:
    input:
        **input_dataset(lambda wildcards: settings.kernels.dataset, "train"),
        settings="<results>/jobs/kernels.yaml",
        benchmark=lambda wildcards: input_source(BenchmarkTable("nasbench201")),
    output:
        "<results>/kernels/seed{seed}/kernels.parquet",
    log:
        "<results>/logs/kernels/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/kernels/seed{seed}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=scale_by_attempt(8000),
        gpu=GPUS,
    params:
        data=subpath(input.dataset, parent=True),
    message:
        "Kernel matrices of networks of all accuracies, seed {wildcards.seed}"
    shell:
        "python -m parsec kernels --settings {input.settings:q} --data {params.data:q} --seed {wildcards.seed}"
        " --benchmark {input.benchmark:q} --output {output:q} --threads {threads} --log {log:q}"


rule simulate:
    input:
        settings="<results>/jobs/simulate/{name}.yaml",
        benchmark=lambda wildcards: input_source(BenchmarkTable(settings.simulations[wildcards.name].search.space)),
        scores=lambda wildcards: input_results(plan.scores_file(settings, settings.simulations[wildcards.name].scores)),
    output:
        "<results>/simulate/{name}/seed{seed}/simulations.parquet",
    log:
        "<results>/logs/simulate/{name}/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/simulate/{name}/seed{seed}.tsv"
    conda:
        CPU_ENVIRONMENT
    params:
        scores=params_option("--scores", "scores"),
        folder=subpath(output[0], parent=True),
    message:
        "Simulating searches on a table: {wildcards.name}, seed {wildcards.seed}"
    shell:
        "python -m parsec simulate --settings {input.settings:q} --benchmark {input.benchmark:q} {params.scores:q}"
        " --seed {wildcards.seed} --output {params.folder:q} --threads {threads} --log {log:q}"


rule predictor:
    input:
        settings="<results>/jobs/predictor/{name}.yaml",
        benchmark=lambda wildcards: input_source(report_items.predictor_problem(settings, wildcards.name)),
        data=input_predictor_data,
        pi=lambda wildcards: input_results(plan.predictor_pi(settings, wildcards.name)),
    output:
        trained="<results>/predictor/{name}/seed{seed}/trained.parquet",
        run="<results>/predictor/{name}/seed{seed}/predictor.json",
    log:
        "<results>/logs/predictor/{name}/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/predictor/{name}/seed{seed}.tsv"
    conda:
        CPU_ENVIRONMENT
    resources:
        **SIGNAL,
        mem_mb=scale_by_attempt(8000),
        runtime=scale_by_attempt(240),
    params:
        folder=subpath(output.run, parent=True),
        state=state_dir("predictor/{name}/seed{seed}"),
        data=lambda wildcards, input: ["--data", Path(input.data[0]).parent] if input.data else [],
        pi=params_option("--pi", "pi"),
    message:
        "Searching with a predictor of accuracy: {wildcards.name}, seed {wildcards.seed}"
    shell:
        "python -m parsec predictor --settings {input.settings:q} --benchmark {input.benchmark:q}"
        " {params.data:q} {params.pi:q}"
        " --seed {wildcards.seed} --output {params.folder:q} --state {params.state:q} --threads {threads} --log {log:q}"


rule propose:
    input:
        settings="<results>/jobs/propose.yaml",
        benchmark=lambda wildcards: input_source(BenchmarkTable("nasbench201")),
        pi=lambda wildcards: input_results(*plan.proposal_pis(settings)),
    output:
        "<results>/proposal/seed{seed}/proposal.parquet",
    log:
        "<results>/logs/proposal/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/proposal/seed{seed}.tsv"
    conda:
        CPU_ENVIRONMENT
    resources:
        **SIGNAL,
        runtime=scale_by_attempt(120),
    params:
        folder=subpath(output[0], parent=True),
        state=state_dir("proposal/seed{seed}"),
    message:
        "Weighting architectures that a predictor proposes, seed {wildcards.seed}"
    shell:
        "python -m parsec propose --settings {input.settings:q} --benchmark {input.benchmark:q} {input.pi:q}"
        " --seed {wildcards.seed} --output {params.folder:q} --state {params.state:q} --threads {threads} --log {log:q}"


rule lookup:
    input:
        benchmark=lambda wildcards: input_source(BenchmarkTable("nasbench201")),
        runs=lambda wildcards: input_runs(plan.searches(settings), "result.json", "trajectory.parquet", "genotype.json"),
    output:
        json="<results>/lookup/nasbench201.json",
        parquet="<results>/lookup/nasbench201.parquet",
    log:
        "<results>/logs/lookup.log",
    localrule: True
    conda:
        CPU_ENVIRONMENT
    params:
        code=params_code("parsec.report.lookup"),
        prefix=subpath(output.json, strip_suffix=".json"),
        runs=params_folders,
    message:
        "Looking up the true accuracies of the searched architectures"
    shell:
        "python -m parsec lookup --benchmark {input.benchmark:q} --output {params.prefix:q} --log {log:q} {params.runs:q}"


rule ranking:
    input:
        benchmark=lambda wildcards: (
            input_source(BenchmarkTable("nasbench201")) if report_items.looks_up(settings) else []
        ),
        # Searches whose shared weights are compared with a truth, and the trainings that may be that truth.
        runs=lambda wildcards: input_runs(
            [run for run in plan.searches(settings) if run.stage == "search"], "result.json", "ranking.parquet"
        ),
    output:
        "<results>/ranking/ranking.json",
    log:
        "<results>/logs/ranking.log",
    localrule: True
    conda:
        CPU_ENVIRONMENT
    params:
        code=params_code("parsec.report.ranking"),
        benchmark=params_option("--benchmark", "benchmark"),
        runs=params_folders,
    message:
        "Comparing how shared weights rank architectures with the truth"
    shell:
        "python -m parsec ranking {params.benchmark:q} --output {output:q} --log {log:q} {params.runs:q}"


rule experiment_table:
    input:
        input_item("tables"),
    output:
        **report_files("tables", "{item}", "experiments", "6 Tabular benchmarks", table="{item}"),
    log:
        "<results>/logs/tables/{item}.log",
    wildcard_constraints:
        item=regex_any(name for kind, name in REPORT_ITEMS if kind == "tables"),
    localrule: True
    conda:
        CPU_ENVIRONMENT
    params:
        code=params_page_code("tables"),
        prefix=subpath(output.csv, strip_suffix=".csv"),
        sources=params_item("tables"),
    message:
        "Table {wildcards.item}"
    shell:
        "python -m parsec table {wildcards.item:q} --output {params.prefix:q} --log {log:q} {params.sources:q}"


rule experiment_figure:
    input:
        input_item("figures"),
    output:
        **report_files("figures", "{item}", "experiments", "6 Tabular benchmarks", figure="{item}"),
    log:
        "<results>/logs/figures/{item}.log",
    wildcard_constraints:
        item=regex_any(name for kind, name in REPORT_ITEMS if kind == "figures"),
    localrule: True
    conda:
        CPU_ENVIRONMENT
    params:
        code=params_page_code("figures"),
        prefix=subpath(output.csv, strip_suffix=".csv"),
        sources=params_item("figures"),
    message:
        "Figure {wildcards.item}"
    shell:
        "python -m parsec figure {wildcards.item:q} --output {params.prefix:q} --log {log:q} {params.sources:q}"
