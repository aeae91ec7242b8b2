# Studies on tabular benchmarks: training-free scores, simulated searches, searches with a predictor, true accuracies.


rule score:
    input:
        dataset=scored_data("dataset.json"),
        train=ancient(scored_data("train")),
        benchmark=scored_table,
    output:
        "<results>/score/{name}/seed{seed}/scores.parquet",
    log:
        "<results>/logs/score/{name}/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/score/{name}/seed{seed}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **SIGNAL,
        mem_mb=growing(8000),
        runtime=growing(720),
        gpu=GPUS,
    params:
        settings=json_of(job_parts.score_job, "{name}"),
        code=code("parsec.zero_cost.score", "score/{name}/seed{seed}/scores.parquet"),
        data=subpath(input.dataset, parent=True),
        benchmark=option("--benchmark", "benchmark"),
        folder=subpath(output[0], parent=True),
        state=state("score/{name}/seed{seed}"),
    message:
        "Scoring architectures without training them: {wildcards.name}, seed {wildcards.seed}"
    shell:
        "python -m parsec score --settings {params.settings:q} --data {params.data:q} --seed {wildcards.seed}"
        " {params.benchmark:q} --output {params.folder:q} --state {params.state:q} --threads {threads} --log {log:q}"


rule fit_pi:
    input:
        scores=fitted_scores,
    output:
        pi="<results>/fit/seed{seed}/pi.parquet",
        fit="<results>/fit/seed{seed}/fit.json",
    log:
        "<results>/logs/fit/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/fit/seed{seed}.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        settings=json_of(job_parts.fit_pi_job),
        code=code("parsec.zero_cost.fit_prior", "fit/seed{seed}/pi.parquet"),
        folder=subpath(output.pi, parent=True),
    message:
        "Fitting π to the best of the scored architectures, seed {wildcards.seed}"
    shell:
        "python -m parsec fit-pi --settings {params.settings:q} --scores {input.scores:q} --output {params.folder:q}"
        " --threads {threads} --log {log:q}"


rule ablate:
    input:
        dataset=ablated_data("dataset.json"),
        train=ancient(ablated_data("train")),
    output:
        "<results>/ablation/seed{seed}/ablation.parquet",
    log:
        "<results>/logs/ablation/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/ablation/seed{seed}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **SIGNAL,
        mem_mb=growing(8000),
        runtime=growing(240),
        gpu=GPUS,
    params:
        settings=json_of(job_parts.ablation_job),
        code=code("parsec.zero_cost.ablation", "ablation/seed{seed}/ablation.parquet"),
        data=subpath(input.dataset, parent=True),
        folder=subpath(output[0], parent=True),
        state=state("ablation/seed{seed}"),
    message:
        "Scoring the same networks under several conditions, seed {wildcards.seed}"
    shell:
        "python -m parsec ablate --settings {params.settings:q} --data {params.data:q} --seed {wildcards.seed}"
        " --output {params.folder:q} --state {params.state:q} --threads {threads} --log {log:q}"


rule kernels:
    input:
        dataset=lambda wildcards: f"<results>/data/{settings.kernels.dataset}/dataset.json",
        train=lambda wildcards: ancient(f"<results>/data/{settings.kernels.dataset}/train"),
        benchmark=lambda wildcards: table_file("nasbench201"),
    output:
        "<results>/kernels/seed{seed}/kernels.parquet",
    log:
        "<results>/logs/kernels/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/kernels/seed{seed}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
        gpu=GPUS,
    params:
        settings=json_of(job_parts.kernels_job),
        code=code("parsec.zero_cost.kernel_matrices", "kernels/seed{seed}/kernels.parquet"),
        data=subpath(input.dataset, parent=True),
    message:
        "Kernels of networks of every accuracy, seed {wildcards.seed}"
    shell:
        "python -m parsec kernels --settings {params.settings:q} --data {params.data:q} --seed {wildcards.seed}"
        " --benchmark {input.benchmark:q} --output {output:q} --threads {threads} --log {log:q}"


rule simulate:
    input:
        benchmark=lambda wildcards: table_file(settings.simulations[wildcards.name].search.space),
        scores=assisting_scores,
    output:
        "<results>/simulate/{name}/seed{seed}/simulations.parquet",
    log:
        "<results>/logs/simulate/{name}/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/simulate/{name}/seed{seed}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        settings=json_of(job_parts.simulate_job, "{name}"),
        code=code("parsec.tabular.simulate", "simulate/{name}/seed{seed}/simulations.parquet"),
        scores=option("--scores", "scores"),
        folder=subpath(output[0], parent=True),
    message:
        "Replaying searches on a table: {wildcards.name}, seed {wildcards.seed}"
    shell:
        "python -m parsec simulate --settings {params.settings:q} --benchmark {input.benchmark:q} {params.scores:q}"
        " --seed {wildcards.seed} --output {params.folder:q} --threads {threads} --log {log:q}"


rule predictor:
    input:
        benchmark=lambda wildcards: study_file(studies.searched_by(settings, wildcards.name)),
        data=predicted_data,
        pi=drawn_pi,
    output:
        trained="<results>/predictor/{name}/seed{seed}/trained.parquet",
        run="<results>/predictor/{name}/seed{seed}/predictor.json",
    log:
        "<results>/logs/predictor/{name}/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/predictor/{name}/seed{seed}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        **SIGNAL,
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        settings=json_of(job_parts.predictor_job, "{name}"),
        code=code("parsec.predictor.search", "predictor/{name}/seed{seed}/predictor.json"),
        folder=subpath(output.run, parent=True),
        state=state("predictor/{name}/seed{seed}"),
        data=lambda wildcards, input: ["--data", Path(input.data[0]).parent] if input.data else [],
        pi=option("--pi", "pi"),
    message:
        "Searching with a predictor of accuracy: {wildcards.name}, seed {wildcards.seed}"
    shell:
        "python -m parsec predictor --settings {params.settings:q} --benchmark {input.benchmark:q}"
        " {params.data:q} {params.pi:q}"
        " --seed {wildcards.seed} --output {params.folder:q} --state {params.state:q} --threads {threads} --log {log:q}"


rule propose:
    input:
        benchmark=lambda wildcards: table_file("nasbench201"),
        pi=lambda wildcards: [f"<results>/{file}" for file in studies.proposed(settings)],
    output:
        "<results>/proposal/seed{seed}/proposal.parquet",
    log:
        "<results>/logs/proposal/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/proposal/seed{seed}.tsv"
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        **SIGNAL,
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        settings=json_of(job_parts.proposal_job),
        code=code("parsec.predictor.proposal", "proposal/seed{seed}/proposal.parquet"),
        folder=subpath(output[0], parent=True),
        state=state("proposal/seed{seed}"),
    message:
        "Weighing children that a predictor proposes, seed {wildcards.seed}"
    shell:
        "python -m parsec propose --settings {params.settings:q} --benchmark {input.benchmark:q} {input.pi:q}"
        " --seed {wildcards.seed} --output {params.folder:q} --state {params.state:q} --threads {threads} --log {log:q}"


rule lookup:
    input:
        benchmark=lambda wildcards: table_file("nasbench201"),
        runs=files_of_runs(studies.searched(settings), "result.json", "trajectory.parquet", "genotype.json"),
    output:
        json="<results>/lookup/nasbench201.json",
        parquet="<results>/lookup/nasbench201.parquet",
    log:
        "<results>/logs/lookup.log",
    benchmark:
        "<results>/benchmarks/lookup.tsv"
    localrule: True
    conda:
        "../../envs/cpu.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code("parsec.report.lookup", "lookup/nasbench201.json"),
        prefix=subpath(output.json, strip_suffix=".json"),
        runs=lambda wildcards, input: folders(wildcards, input.runs),
    message:
        "Looking up the true accuracies of what the searches found"
    shell:
        "python -m parsec lookup --benchmark {input.benchmark:q} --output {params.prefix:q} --log {log:q} {params.runs:q}"


# Names are complete, without wildcards, because every table and figure has inputs of its own.
for made in studies.shown(settings):

    rule:
        name:
            f"{made.kind}_{made.name}".replace("-", "_")
        input:
            study_inputs(made),
        output:
            **study_outputs(made),
        log:
            f"<results>/logs/{made.kind}/{made.name}.log",
        benchmark:
            f"<results>/benchmarks/{made.kind}/{made.name}.tsv"
        localrule: True
        conda:
            "../../envs/cpu.yaml"
        threads: 1
        resources:
            mem_mb=4000,
            runtime=30,
        params:
            code=code(STUDY_CODE[made.kind](made.name), f"{made.kind}/{made.name}.csv"),
            verb={"tables": "table", "figures": "figure"}[made.kind],
            study=made.name,
            prefix=subpath(output.csv, strip_suffix=".csv"),
            arguments=study_arguments(made),
        message:
            f"{made.name} ({made.kind})"
        shell:
            "python -m parsec {params.verb:q} {params.study:q} --output {params.prefix:q} --log {log:q}"
            " {params.arguments:q}"
