"""A dataset's lengths in tokens as the page shows them: figures, a histogram, and what is cut."""

from __future__ import annotations

from markupsafe import Markup

from core.data.tokenize.statistics import percentile
from core.planner import count_packed_rows
from studio.data.histogram import render_histogram
from studio.data.token_counts import TokenCounts
from studio.html.templating import render


def render_statistics(counts: TokenCounts, max_length: int) -> Markup:
    """Lengths, trained share, what is cut, how full packing makes its rows, and what cannot be trained."""
    lengths = sorted(counts.lengths)
    if not lengths:
        return render("data/no_statistics.html")
    over = counts.over(max_length)
    lost = sum(length - max_length for _, length, _ in over)
    rows = count_packed_rows(lengths, max_length)
    full = (sum(lengths) - lost) / (rows * max_length)
    packed = f"{rows} {'row' if rows == 1 else 'rows'} of {max_length}"
    facts = {
        f"Tokens per {counts.unit}": f"mean {sum(lengths) / len(lengths):.0f}, p50 {percentile(lengths, 50)}, "
        f"p95 {percentile(lengths, 95)}, max {lengths[-1]}",
        "Trained": f"{sum(counts.trained) / sum(lengths):.0%} of all tokens",
        f"Over max_length {max_length}": f"{len(over)} of {len(lengths)}"
        + (f" ({lost / sum(lengths):.1%} of all tokens are cut)" if over else ""),
        "Packing": f"{packed} instead of {len(lengths)}, {full:.0%} full",
    }
    return render(
        "data/statistics.html",
        facts=facts,
        counts=counts,
        counted=len(set(counts.numbers)) + len(counts.refused),
        untrained=list(dict.fromkeys(number for number, _, is_trained in over if not is_trained)),
        over=over,
        max_length=max_length,
        histogram=render_histogram(lengths, max_length, counts.unit),
    )
