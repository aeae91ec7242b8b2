"""What the rules of the studies share: their inputs, and the tables of benchmarks, which lie outside of the results."""

from parsec.config import job_parts, studies
from parsec.report.figures.registry import figure_module
from parsec.report.tables.registry import table_module

STUDY_CODE = {"tables": table_module, "figures": figure_module}


def table_file(name):
    """Input: a benchmark's table, wherever the settings say that it is."""
    return local(studies.table_of(settings, name))


def scored_data(part):
    """Input: a part of the data set of a scoring."""
    return lambda wildcards: f"<results>/data/{settings.scores[wildcards.name].dataset}/{part}"


def ablated_data(part):
    """Input: a part of the data set of the ablation."""
    return lambda wildcards: f"<results>/data/{settings.ablation.dataset}/{part}"


def scored_table(wildcards):
    """Input: the table whose architectures are scored; none where all or drawn ones are."""
    return table_file("nasbench101") if settings.scores[wildcards.name].space == "nasbench101" else []


def fitted_scores(wildcards):
    """Input: the scores that π is fitted to."""
    return f"<results>/{studies.folder(settings, 'score', settings.scores_prior.scores)}/scores.parquet"


def predicted_data(wildcards):
    """Input: the data set that architectures of darts are scored on; none where a table is searched."""
    made = settings.predictors[wildcards.name]
    if made.problem != "darts":
        return []
    dataset = settings.scores[made.scores].dataset
    return [f"<results>/data/{dataset}/dataset.json", ancient(f"<results>/data/{dataset}/train")]


def drawn_pi(wildcards):
    """Input: the π that a pool draws from, if any."""
    found = studies.drawn_from(settings, wildcards.name)
    return f"<results>/{found}" if found else []


def assisting_scores(wildcards):
    """Input: the scores that assisted evolution begins with, if any."""
    name = settings.simulations[wildcards.name].scores
    return f"<results>/{studies.folder(settings, 'score', name)}/scores.parquet" if name else []


def option(name, key):
    """Param: an option with an input file; nothing without the file."""
    return lambda wildcards, input: [name, input.get(key)] if input.get(key) else []


def study_file(argument):
    """Input: what an argument of a table or figure stands for."""
    kind, _, name = argument.partition(":")
    if kind == "benchmark":
        return table_file(name)
    return cited_file(name) if kind == "published" else argument


def study_inputs(made):
    """Input: files of a table or figure; a folder stands for the files in it."""
    files = []
    for argument in made.arguments:
        inside = ["trained.parquet", "predictor.json"] if "/predictor/" in argument else []
        files += [f"{argument}/{name}" for name in inside] or [study_file(argument)]
    return list(dict.fromkeys(files))


def study_arguments(made):
    """Param: the arguments of the verb, with results and tables in their places."""

    def arguments(wildcards, input):
        given = {str(file): str(file) for file in input}
        return [place_of(argument, given) for argument in made.arguments]

    return arguments


def place_of(argument, given):
    """The path that an argument stands for among the inputs of a job; a folder is that of its first file."""
    if argument.startswith(studies.RESULTS):
        ending = argument.removeprefix(studies.RESULTS)
        found = next(path for path in given if ending in path)
        return found[: found.index(ending) + len(ending)]
    return str(study_file(argument))


def study_outputs(made):
    """Output: the files of a table or figure; one of them is shown in the report."""
    kinds = {"tables": ("csv", "md", "tex"), "figures": ("csv", "svg", "pdf", "png")}[made.kind]
    files = {kind: f"<results>/{made.kind}/{made.name}.{kind}" for kind in kinds}
    shown = {"tables": "md", "figures": "svg"}[made.kind]
    labels = {made.kind.removesuffix("s"): made.name}
    files[shown] = report(
        files[shown], caption="../report/studies.rst", category="6 Studies on benchmarks", labels=labels
    )
    return files
