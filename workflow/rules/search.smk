rule search:
    input:
        **input_dataset("{dataset}", "train", "validation"),
        settings="<results>/jobs/{stage}/{method}.yaml",
        pi=input_init_pi,
    output:
        **output_files("{stage}/{dataset}/{method}/seed{seed}", SEARCH_FILES),
    log:
        "<results>/logs/{stage}/{dataset}/{method}/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/{stage}/{dataset}/{method}/seed{seed}.tsv"
    wildcard_constraints:
        stage="search",
        dataset=regex_any(plan.stage_datasets(settings, "search")),
    conda:
        ENVIRONMENT
    resources:
        **SIGNAL,
        mem_mb=scale_by_attempt(16000),
        runtime=scale_by_attempt(1440),
        gpu=GPUS,
        # Processes that share the K architectures of a step, and their nodes: workflow/docs/many-gpus.md.
        ranks=1,
        nodes=1,
    params:
        data=subpath(input.dataset, parent=True),
        start=params_option("--init-pi", "pi"),
        folder=subpath(output.pi, parent=True),
        state=state_dir("{stage}/{dataset}/{method}/seed{seed}"),
    message:
        "{wildcards.stage}: {wildcards.method} on {wildcards.dataset}, seed {wildcards.seed}"
    shell:
        "python -m parsec search --settings {input.settings:q} --data {params.data:q} --seed {wildcards.seed}"
        " {params.start:q} --output {params.folder:q} --state {params.state:q} --cache-outputs"
        " --ranks {resources.ranks} --threads {threads} --log {log:q}"


use rule search as finetune with:
    wildcard_constraints:
        stage="finetune",
        dataset=regex_any(plan.stage_datasets(settings, "finetune")),


use rule search as transfer with:
    wildcard_constraints:
        stage="transfer",
        dataset=regex_any(plan.stage_datasets(settings, "transfer")),
