# What one job reads of the settings: its command's --settings, and an input, so that no other key re-runs the job.
rule job_settings:
    output:
        "<results>/jobs/{job}.yaml",
    log:
        "<results>/logs/jobs/{job}.log",
    localrule: True
    conda:
        CPU_ENVIRONMENT
    params:
        text=lambda wildcards: job_text(wildcards.job),
        # Of an output, so that where results are re-runs nothing.
        results=lambda wildcards, output: settings.results,
    message:
        "Settings of {wildcards.job}"
    # The first of all jobs, and so the one that makes the results folder ours.
    shell:
        "mkdir -p {params.results:q};"
        ' test -s {params.results:q}/.parsec.json || echo \'{{"folder": "results"}}\' > {params.results:q}/.parsec.json;'
        " printf %s {params.text:q} > {output:q} 2> {log:q}"


rule prepare_dataset:
    input:
        settings="<results>/jobs/prepare_dataset/{dataset}.yaml",
    output:
        dataset="<results>/data/{dataset}/dataset.json",
        splits="<results>/data/{dataset}/splits.json",
        source="<results>/data/{dataset}/source.json",
        train=directory("<results>/data/{dataset}/train"),
        validation=directory("<results>/data/{dataset}/validation"),
        test=directory("<results>/data/{dataset}/test"),
    log:
        "<results>/logs/prepare_dataset/{dataset}.log",
    benchmark:
        "<results>/benchmarks/prepare_dataset/{dataset}.tsv"
    conda:
        ENVIRONMENT
    # Threads that decode an image folder.
    threads: 8
    resources:
        mem_mb=scale_by_attempt(8000),
        runtime=scale_by_attempt(240),
    params:
        folder=subpath(output.dataset, parent=True),
        source=params_image_source,
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "python -m parsec prepare --settings {input.settings:q} {params.source:q} --output {params.folder:q}"
        " --threads {threads} --log {log:q}"
