rule measure_executor:
    input:
        dataset=measured_data("dataset.json"),
        train=ancient(measured_data("train")),
    output:
        "<results>/measure/{stage}/executor.json",
    log:
        "<results>/logs/measure/{stage}.log",
    benchmark:
        "<results>/benchmarks/measure/{stage}.tsv"
    priority: 1
    conda:
        ENVIRONMENT
    # All cores that Snakemake was given, and first in line, so that no other job disturbs the clock.
    threads: os.cpu_count()
    resources:
        mem_mb=growing(16000),
        runtime=growing(60),
        gpu=GPUS,
    params:
        settings=json_of(job_parts.measure_job, "{stage}"),
        code=code("parsec.bench.memory", "measure/{stage}/executor.json"),
        data=subpath(input.dataset, parent=True),
    message:
        "Measuring memory and time of a step of {wildcards.stage}"
    shell:
        "python -m parsec measure step --settings {params.settings:q} --data {params.data:q} --output {output:q}"
        " --threads 1 --log {log:q}"
