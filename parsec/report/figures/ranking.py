"""Figure: how well shared weights rank architectures, over the images that have trained them."""

from pathlib import Path

from parsec.report.figures.style import DOUBLE, Drawing, legend_below, new_figure
from parsec.report.methods import GREY, described
from parsec.report.tables.ranking import TAUS, read_rankings

TITLES = {"truth": "with the truth", "weightless": "with edges without weights"}


def plot_ranking(inputs: list[Path]) -> Drawing:
    """Documents of `parsec ranking` → τ of the shared weights over images passed forward.

    A dot per search at its end, a cross after its warm-up, and a marker at the mean of the ends.
    """
    rows, _ = read_rankings(inputs)
    methods = described(dict(zip(rows["method"], rows["base"], strict=True)))
    figure = new_figure(DOUBLE, 2.6)
    panels = figure.subplots(1, len(TITLES), sharey=True, sharex=True)
    for axes, (name, title) in zip(panels, TITLES.items(), strict=True):
        for method, look in methods.items():
            members = rows[rows["method"] == method].dropna(subset=name)
            ends = members[members["moment"] == "end"]
            warm = members[members["moment"] == "warmup"]
            axes.plot(ends["forward_images"] / 1e3, ends[name], ".", color=look.line.colour, markersize=3, alpha=0.6)
            axes.plot(warm["forward_images"] / 1e3, warm[name], "+", color=look.line.colour, markersize=4, alpha=0.6)
            mean = ends[["forward_images", name]].mean()
            axes.plot(mean["forward_images"] / 1e3, mean[name], **(look.line.plot() | {"label": look.name}))
        axes.axhline(0.0, color=GREY, linewidth=0.8)
        axes.set_title(title)
        axes.set_xlabel("Images passed forward (thousands)")
    panels[0].set_xlim(left=0.0)
    panels[0].set_ylabel(TAUS["truth"].split()[0] + " of −loss")
    legend_below(figure, [panels[0]], "dots: searches, markers: their means; crosses: after the warm-up")
    return Drawing(figure, rows)
