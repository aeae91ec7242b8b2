rule retrain:
    input:
        **input_dataset("{dataset}", "train", "validation", "test"),
        settings="<results>/jobs/retrain/{dataset}.yaml",
        genotype=input_genotype,
    output:
        **output_files("retrain/{dataset}/{origin}/{method}/seed{seed}/run{run}", RETRAIN_FILES),
    log:
        "<results>/logs/retrain/{dataset}/{origin}/{method}/seed{seed}/run{run}.log",
    benchmark:
        "<results>/benchmarks/retrain/{dataset}/{origin}/{method}/seed{seed}/run{run}.tsv"
    conda:
        ENVIRONMENT
    resources:
        **SIGNAL,
        mem_mb=scale_by_attempt(16000),
        runtime=scale_by_attempt(2880),
        gpu=GPUS,
        # Processes that share every batch, and their nodes: workflow/docs/many-gpus.md.
        ranks=1,
        nodes=1,
    params:
        data=subpath(input.dataset, parent=True),
        genotype=lambda wildcards, input: input.genotype or wildcards.method,
        folder=subpath(output.result, parent=True),
        state=state_dir("retrain/{dataset}/{origin}/{method}/seed{seed}/run{run}"),
    message:
        "Retraining {wildcards.method} ({wildcards.origin}, seed {wildcards.seed}) on {wildcards.dataset}, run {wildcards.run}"
    shell:
        "python -m parsec retrain --settings {input.settings:q} --data {params.data:q} --genotype {params.genotype:q}"
        " --origin {wildcards.origin} --method {wildcards.method:q} --seed {wildcards.seed} --run {wildcards.run}"
        " --output {params.folder:q} --state {params.state:q} --cache-outputs --ranks {resources.ranks} --threads {threads}"
        " --log {log:q}"
