rule prepare_dataset:
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
    # An image folder is decoded by so many threads at once.
    threads: 8
    resources:
        mem_mb=growing(8000),
        runtime=growing(240),
    params:
        settings=json_of(job_parts.prepare_job, "{dataset}"),
        code=code("parsec.data.prepare", "data/{dataset}/dataset.json"),
        # Not for the command: a folder whose images changed is prepared anew.
        images=images,
        folder=subpath(output.dataset, parent=True),
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "python -m parsec prepare --settings {params.settings:q} --output {params.folder:q}"
        " --threads {threads} --log {log:q}"
