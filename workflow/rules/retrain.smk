rule retrain:
    input:
        dataset="<results>/data/{dataset}/dataset.json",
        train=ancient("<results>/data/{dataset}/train"),
        validation=ancient("<results>/data/{dataset}/validation"),
        test=ancient("<results>/data/{dataset}/test"),
        genotype=found_genotype,
    output:
        **files_of_run("retrain/{dataset}/{origin}/{method}/seed{seed}/run{run}", outputs.RETRAIN_FILES),
    log:
        "<results>/logs/retrain/{dataset}/{origin}/{method}/seed{seed}/run{run}.log",
    benchmark:
        "<results>/benchmarks/retrain/{dataset}/{origin}/{method}/seed{seed}/run{run}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        **SIGNAL,
        # Processes that share every batch out, and the nodes they run on: workflow/docs/many-gpus.md.
        mem_mb=growing(16000),
        runtime=growing(2880),
        gpu=GPUS,
        ranks=1,
        nodes=1,
    params:
        settings=json_of(job_parts.retrain_job, "{dataset}"),
        code=code(
            "parsec.retrain.run",
            "retrain/{dataset}/{origin}/{method}/seed{seed}/run{run}/result.json",
        ),
        data=subpath(input.dataset, parent=True),
        genotype=lambda wildcards, input: input.genotype or wildcards.method,
        folder=subpath(output.result, parent=True),
        state=state("retrain/{dataset}/{origin}/{method}/seed{seed}/run{run}"),
    message:
        "Retraining {wildcards.method} ({wildcards.origin}, seed {wildcards.seed}) on {wildcards.dataset}, run {wildcards.run}"
    shell:
        "python -m parsec retrain --settings {params.settings:q} --data {params.data:q} --genotype {params.genotype:q}"
        " --origin {wildcards.origin} --method {wildcards.method:q} --seed {wildcards.seed} --run {wildcards.run}"
        " --output {params.folder:q} --state {params.state:q} --keep-finished --ranks {resources.ranks} --threads {threads}"
        " --log {log:q}"
