# `snakemake` without options finds this file; catalogues and modules look for the workflow itself, one folder down.
include: "workflow/Snakefile"


# An included file sets no default target.
workflow.default_target = "all"
