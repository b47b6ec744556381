"""Conversations by their length in tokens, as an inline SVG."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from studio.html.templating import render

BARS = 28
WIDTH, HEIGHT = 640, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 22, 26


def bins(lengths: Sequence[int], max_length: int, bars: int = BARS) -> tuple[list[int], list[int]]:
    """(edges in tokens, conversations between each two): a bar holds what is longer than its first edge, up to its
    second. About `bars` of them, fewer where there are not so many different lengths.

    max_length is always an edge, so that no bar is half over it. Where it is far beyond the longest, the bars end
    earlier.
    """
    longest = max(1, *lengths)
    if max_length > 3 * longest:
        edges = equal_edges(0, longest, bars)
    else:
        within = round(bars * max_length / max(longest, max_length))
        edges = equal_edges(0, max_length, within) + equal_edges(max_length, longest, bars - within)[1:]
    counts = [0] * (len(edges) - 1)
    for length in lengths:
        counts[max(0, bisect_left(edges, length) - 1)] += 1
    return edges, counts


def equal_edges(first: int, last: int, parts: int) -> list[int]:
    """The edges of about so many whole parts of like size; `first` alone where there is nothing to divide."""
    parts = min(max(1, parts), max(0, last - first))
    return [first + index * (last - first) // parts for index in range(parts + 1)] if parts else [first]


def bin_label(edges: Sequence[int], index: int) -> str:
    """The lengths that a bar holds, such as "11 to 20"."""
    first, last = edges[index] + 1, edges[index + 1]
    return f"{first:,} to {last:,}" if first < last else f"{last:,}"


@dataclass(frozen=True)
class Bar:
    """A bar in the drawing's units. `label` says which lengths it holds."""

    x: float
    y: float
    width: float
    height: float
    label: str
    count: int
    is_over: bool


def render_histogram(lengths: Sequence[int], max_length: int, unit: str = "conversation") -> Markup:
    """Conversations, or the rows that they become, by their length in tokens, with max_length or an arrow to it."""
    edges, counts = bins(lengths, max_length)
    end, most, floor = edges[-1], max(counts), HEIGHT - BOTTOM

    def x(tokens: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * tokens / end

    bars = []
    for index, count in enumerate(counts):
        height = (floor - TOP) * count / most
        left, right = x(edges[index]), x(edges[index + 1])
        is_over = edges[index] >= max_length
        label = bin_label(edges, index)
        bars.append(Bar(left + 0.5, floor - height, right - left - 1, height, label, count, is_over))
    over = sum(length > max_length for length in lengths)
    title = (
        f"Tokens per {unit}: {len(lengths)} {unit}s of {min(lengths)} to {max(lengths)} tokens, "
        f"{over} of them over max_length {max_length}"
    )
    return render(
        "data/histogram.html",
        title=title,
        unit=unit,
        bars=bars,
        most=most,
        end=end,
        max_length=max_length,
        limit_x=x(max_length) if max_length <= end else None,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        floor=floor,
    )
