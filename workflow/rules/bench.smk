rule measure_executor:
    input:
        **input_dataset(lambda wildcards: getattr(settings, wildcards.stage).dataset, "train"),
        settings="<results>/jobs/measure_executor/{stage}.yaml",
    output:
        "<results>/measure/{stage}/executor.json",
    log:
        "<results>/logs/measure/{stage}.log",
    benchmark:
        "<results>/benchmarks/measure/{stage}.tsv"
    priority: 1
    conda:
        ENVIRONMENT
    # First in line and with all cores that Snakemake was given, so that no other job disturbs the clock.
    threads: os.cpu_count()
    resources:
        mem_mb=scale_by_attempt(16000),
        gpu=GPUS,
    params:
        data=subpath(input.dataset, parent=True),
    message:
        "Measuring memory and time of a step of {wildcards.stage}"
    shell:
        "python -m parsec measure step --settings {input.settings:q} --data {params.data:q} --output {output:q}"
        " --threads 1 --log {log:q}"


rule measure_depths:
    input:
        **input_dataset(settings.search.dataset, "train"),
        settings="<results>/jobs/measure_depths.yaml",
    output:
        "<results>/measure/depths.json",
    log:
        "<results>/logs/measure/depths.log",
    benchmark:
        "<results>/benchmarks/measure/depths.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=scale_by_attempt(16000),
        gpu=GPUS,
    params:
        data=subpath(input.dataset, parent=True),
    message:
        "Measuring the memory of every method against depth"
    shell:
        "python -m parsec measure depths --settings {input.settings:q} --data {params.data:q} --output {output:q}"
        " --threads {threads} --log {log:q}"
