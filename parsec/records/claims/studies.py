"""What records show of the claims of NASWOT and of predictor-based NAS with efficient sampling."""

from pathlib import Path

from parsec.records.claims.claim import FAILS, HOLDS, OPEN, Claim, Evidence, numbers, with_std

NEAR = 0.05
"""A correlation as near as this to the published one reproduces it."""
FULL = "full: the benchmark's own networks"
REPLAYED = "full: replayed on the table"
BY_SCORE = "DARTS space, a score in the place of accuracy"
WORDS = {
    "predictor-all": "scoring the whole space trains fewer",
    "predictor-uniform": "trains more than the whole space",
    "predictor-smart": "recovers what|trains fewer than uniform",
}
"""What tells the rows of a claim in the table of the predictor's claims."""


def kendall(record: Path, claim: Claim) -> Evidence | None:
    """τ of the ICML score and the accuracy after training on half of the images, as in the paper's figure."""
    table = numbers(record, "naswot-correlation")
    if table.empty:
        return None
    rows = table.query(
        "score == 'relu_log_determinant' and dataset == 'cifar10' and trained_on == 'half' and above > 0"
    )
    if rows.empty:
        return None
    row = rows.iloc[0]
    ours = f"{row['tau']:.3f} [{row['low']:.3f}, {row['high']:.3f}], {row['n']:.0f} architectures"
    return Evidence(ours, FULL, HOLDS if abs(row["tau"] - float(claim.value)) <= NEAR else FAILS)


def searched(record: Path, claim: Claim) -> Evidence | None:
    """The mean of NASWOT's search within the published deviation of the published mean."""
    table = numbers(record, "naswot-search")
    if table.empty:
        return None
    rows = table.query(
        "score == 'relu_log_determinant' and method == 'NASWOT' and reached_on == 'cifar10' and split == 'test'"
        f" and candidates == {claim.claim.removeprefix('search-')}"
    )
    if rows.empty:
        return None
    row = rows.iloc[0]
    near = abs(row["mean"] - float(claim.value)) <= float(claim.deviation)
    return Evidence(f"{with_std(row['mean'], row['std'])}, {row['n']:.0f} repeats", FULL, HOLDS if near else FAILS)


def assisted(record: Path, claim: Claim) -> Evidence | None:
    """Intervals of assisted and of plain evolution, at every budget of the table."""
    table = numbers(record, "naswot-evolution")
    if table.empty:
        return None
    rows = table.query("test_of == 'cifar10' and searched_on == 'cifar10'").set_index(["method", "spent"])
    if not {"assisted_evolution", "evolution"} <= set(rows.index.unique("method")):
        return None
    helped, plain = rows.loc["assisted_evolution"], rows.loc["evolution"]
    apart = helped["low"] > plain["high"]
    parts = [f"{s:.0f} trainings: {helped['mean'][s]:.2f} against {plain['mean'][s]:.2f} %" for s in helped.index]
    ours = f"{'; '.join(parts)}; {helped['n'].iloc[0]:.0f} repeats"
    return Evidence(ours, REPLAYED, HOLDS if apart.all() else OPEN if apart.any() else FAILS)


def predictor(record: Path, claim: Claim) -> Evidence | None:
    """How often the claim holds over problems, qualities and pools."""
    table = numbers(record, "predictor-claims")
    if table.empty:
        return None
    rows = table[table["claim"].str.contains(WORDS[claim.claim])].drop_duplicates(["problem", "quality", "claim"])
    if rows.empty:
        return None
    held = rows["verdict"].eq(HOLDS)
    parts = [f"on {name} {held[found.index].sum()} of {len(found)}" for name, found in rows.groupby("problem")]
    verdict = HOLDS if held.all() else "holds in part" if held.any() else FAILS
    scale = BY_SCORE if rows["problem"].eq("darts").any() else REPLAYED
    return Evidence(f"qualities and pools for which it holds: {', '.join(parts)}", scale, verdict)
