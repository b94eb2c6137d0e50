"""The page of the documentation that lists the criteria, written from their files."""

from aegle.response.criterion import Criterion, load, names

ORDER = (
    "recist-1.1",
    "irecist",
    "mrecist",
    "rano-2.0",
    "rano-2.0-volume",
    "lugano-2014",
    "percist-1.0",
    "volumetric",
)
_HEAD = """# Response criteria

Written by `tools/write_criteria.py` from the files in `src/aegle/response/criteria`. Each criterion
is judged in exact decimals: 30 % less than 14.0 mm is 9.8 mm. Every category names the rule that
fired; the policies that were chosen are recorded with it. How to use them:
[Judge response from measurements](../how-to/judge-response.md).

Where a criterion judges a sum, the probability of each category is reported as well. It assumes the
error stated under *measurement error*: a change has the errors of two sizes, so that the logarithm
of one size has the standard deviation ln((1 + high) / (1 + low)) / (2 · 1.96 · √2). A change within
those limits is called smaller than the measurement error.
"""


def page() -> str:
    """Return all criteria as a page in Markdown."""
    assert set(ORDER) == set(names())
    return _HEAD + "".join(_section(load(name)) for name in ORDER)


def _section(criterion: Criterion) -> str:
    thresholds = "".join(
        f"| `{name}` | {t.value} {t.unit} | {t.meaning} | {t.source} |\n"
        for name, t in criterion.thresholds.items()
    )
    policies = "".join(
        f"| `{name}` | {p.meaning} | "
        + "; ".join(
            f"`{value}`{' (default)' if value == p.default else ''}: {meaning}"
            for value, meaning in p.values.items()
        )
        + f" | {p.source} |\n"
        for name, p in criterion.policies.items()
    )
    rules = "".join(f"| `{n}` | {r.text} | {r.source} |\n" for n, r in criterion.rules.items())
    error = criterion.error
    return (
        f"\n## {criterion.title}: `{criterion.id}`\n\n"
        f"Measures: {criterion.measure} [{criterion.unit}].\n\n"
        f"Confirmed: {criterion.confirmation}.\n\n"
        f"Source: {criterion.citation}.\n\n"
        f"Measurement error: {100 * error.low:+.4g} to {100 * error.high:+.4g} %, {error.meaning} "
        f"({error.source}).\n\n"
        f"| Threshold | Value | Meaning | Source |\n|---|---|---|---|\n{thresholds}\n"
        f"| Policy | Question | Choices | Source |\n|---|---|---|---|\n{policies}\n"
        f"| Rule | Says | Source |\n|---|---|---|\n{rules}"
    )
