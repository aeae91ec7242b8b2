rule search:
    input:
        # Whether images changed shows in the hashes that dataset.json holds, not in the age of the folders.
        dataset="<results>/data/{dataset}/dataset.json",
        train=ancient("<results>/data/{dataset}/train"),
        validation=ancient("<results>/data/{dataset}/validation"),
        pi=parent_pi("search"),
    output:
        **files_of_run("search/{dataset}/{method}/seed{seed}", outputs.SEARCH_FILES),
    log:
        "<results>/logs/search/{dataset}/{method}/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/search/{dataset}/{method}/seed{seed}.tsv"
    wildcard_constraints:
        dataset=dataset_of("search"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **SIGNAL,
        # Processes that share the children of a step out, and the nodes they run on: workflow/docs/many-gpus.md.
        mem_mb=growing(16000),
        runtime=growing(1440),
        gpu=GPUS,
        ranks=1,
        nodes=1,
    params:
        settings=json_of(job_parts.search_job, "search", "{method}"),
        code=code("parsec.search.run", "search/{dataset}/{method}/seed{seed}/pi.parquet"),
        data=subpath(input.dataset, parent=True),
        start=initial_pi,
        folder=subpath(output.pi, parent=True),
        state=state("search/{dataset}/{method}/seed{seed}"),
    message:
        "Searching on {wildcards.dataset} with {wildcards.method}, seed {wildcards.seed}"
    shell:
        "python -m parsec search --settings {params.settings:q} --data {params.data:q} --seed {wildcards.seed}"
        " {params.start:q} --output {params.folder:q} --state {params.state:q} --keep-finished"
        " --ranks {resources.ranks} --threads {threads} --log {log:q}"


use rule search as finetune with:
    input:
        dataset="<results>/data/{dataset}/dataset.json",
        train=ancient("<results>/data/{dataset}/train"),
        validation=ancient("<results>/data/{dataset}/validation"),
        pi=parent_pi("finetune"),
    output:
        **files_of_run("finetune/{dataset}/{method}/seed{seed}", outputs.SEARCH_FILES),
    log:
        "<results>/logs/finetune/{dataset}/{method}/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/finetune/{dataset}/{method}/seed{seed}.tsv"
    wildcard_constraints:
        dataset=dataset_of("finetune"),
    params:
        settings=json_of(job_parts.search_job, "finetune", "{method}"),
        code=code("parsec.search.run", "finetune/{dataset}/{method}/seed{seed}/pi.parquet"),
        state=state("finetune/{dataset}/{method}/seed{seed}"),
    message:
        "Fine-tuning π on {wildcards.dataset} with {wildcards.method}, seed {wildcards.seed}"


use rule search as transfer with:
    input:
        dataset="<results>/data/{dataset}/dataset.json",
        train=ancient("<results>/data/{dataset}/train"),
        validation=ancient("<results>/data/{dataset}/validation"),
        pi=parent_pi("transfer"),
    output:
        **files_of_run("transfer/{dataset}/{method}/seed{seed}", outputs.SEARCH_FILES),
    log:
        "<results>/logs/transfer/{dataset}/{method}/seed{seed}.log",
    benchmark:
        "<results>/benchmarks/transfer/{dataset}/{method}/seed{seed}.tsv"
    wildcard_constraints:
        dataset=dataset_of("transfer"),
    params:
        settings=json_of(job_parts.search_job, "transfer", "{method}"),
        code=code("parsec.search.run", "transfer/{dataset}/{method}/seed{seed}/pi.parquet"),
        state=state("transfer/{dataset}/{method}/seed{seed}"),
    message:
        "Transferring π to {wildcards.dataset} with {wildcards.method}, seed {wildcards.seed}"
