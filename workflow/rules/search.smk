rule search:
    input:
        # Whether images changed shows in the hashes that dataset.json holds, not in the age of the folders.
        dataset="<results>/data/{dataset}/dataset.json",
        train=ancient("<results>/data/{dataset}/train"),
        validation=ancient("<results>/data/{dataset}/validation"),
    output:
        pi="<results>/<run>/pi.parquet",
        trajectory="<results>/<run>/trajectory.parquet",
        genotype="<results>/<run>/genotype.json",
        metrics="<results>/<run>/metrics.jsonl",
        result="<results>/<run>/result.json",
    log:
        "<results>/logs/<run>.log",
    benchmark:
        "<results>/benchmarks/<run>.tsv"
    pathvars:
        run="search/{dataset}/{method}/seed{seed}",
    wildcard_constraints:
        dataset=dataset_of("search"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(16000),
        runtime=growing(1440),
        gpu=GPUS,
        # Processes that share the children of a step out among them; with more than one set gpu and threads as well.
        ranks=1,
    params:
        settings=json_of(jobs.search_job, "search", "{method}"),
        code=code("parsec.search.run", "search/{dataset}/{method}/seed{seed}/pi.parquet"),
        data=subpath(input.dataset, parent=True),
        start=initial_pi,
        folder=subpath(output.pi, parent=True),
        state=state,
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
    pathvars:
        run="finetune/{dataset}/{method}/seed{seed}",
    wildcard_constraints:
        dataset=dataset_of("finetune"),
    params:
        settings=json_of(jobs.search_job, "finetune", "{method}"),
        code=code("parsec.search.run", "finetune/{dataset}/{method}/seed{seed}/pi.parquet"),
    message:
        "Fine-tuning π on {wildcards.dataset} with {wildcards.method}, seed {wildcards.seed}"


use rule search as transfer with:
    input:
        dataset="<results>/data/{dataset}/dataset.json",
        train=ancient("<results>/data/{dataset}/train"),
        validation=ancient("<results>/data/{dataset}/validation"),
        pi=parent_pi("transfer"),
    pathvars:
        run="transfer/{dataset}/{method}/seed{seed}",
    wildcard_constraints:
        dataset=dataset_of("transfer"),
    params:
        settings=json_of(jobs.search_job, "transfer", "{method}"),
        code=code("parsec.search.run", "transfer/{dataset}/{method}/seed{seed}/pi.parquet"),
    message:
        "Transferring π to {wildcards.dataset} with {wildcards.method}, seed {wildcards.seed}"
