"""Conversations by their length in tokens, as an inline SVG."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

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
    for each in lengths:
        counts[max(0, bisect_left(edges, each) - 1)] += 1
    return edges, counts


def equal_edges(first: int, last: int, parts: int) -> list[int]:
    """The edges of about so many whole parts of like size; `first` alone where there is nothing to divide."""
    parts = min(max(1, parts), max(0, last - first))
    return [first + index * (last - first) // parts for index in range(parts + 1)] if parts else [first]


def bin_label(edges: Sequence[int], index: int) -> str:
    """The lengths that a bar holds, such as "11 to 20"."""
    first, last = edges[index] + 1, edges[index + 1]
    return f"{first:,} to {last:,}" if first < last else f"{last:,}"


def histogram(lengths: Sequence[int], max_length: int, unit: str = "conversation") -> str:
    """Conversations, or the rows that they become, by their length in tokens as an inline SVG, max_length drawn in, or
    an arrow that points to it."""
    longest = max(lengths)
    edges, counts = bins(lengths, max_length)
    end, most = edges[-1], max(counts)

    def x(tokens: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * tokens / end

    floor = HEIGHT - BOTTOM
    bars = []
    for index, count in enumerate(counts):
        height = (floor - TOP) * count / most
        left, right = x(edges[index]), x(edges[index + 1])
        bars.append(
            f'<rect class="{"over" if edges[index] >= max_length else "within"}" x="{left + 0.5:.1f}" '
            f'y="{floor - height:.1f}" width="{right - left - 1:.1f}" height="{height:.1f}">'
            f"<title>{bin_label(edges, index)} tokens: {count} {unit}s</title></rect>"
        )
    over = sum(each > max_length for each in lengths)
    title = (
        f"Tokens per {unit}: {len(lengths)} {unit}s of {min(lengths)} to {longest} tokens, "
        f"{over} of them over max_length {max_length}"
    )
    if max_length <= end:
        at = x(max_length)
        side, shift = ("end", -5) if at > WIDTH * 0.6 else ("start", 5)
        limit = (
            f'<line class="limit" x1="{at:.1f}" x2="{at:.1f}" y1="6" y2="{floor}"/>'
            f'<text x="{at + shift:.1f}" y="15" text-anchor="{side}">max_length {max_length}</text>'
        )
    else:
        limit = f'<text x="{WIDTH - RIGHT}" y="15" text-anchor="end">max_length {max_length} →</text>'
    return (
        f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}"><title>{title}</title>'
        f'{"".join(bars)}<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{floor}" y2="{floor}"/>{limit}'
        f'<text x="{LEFT - 6}" y="{TOP + 5}" text-anchor="end">{most}</text>'
        f'<text x="{LEFT - 6}" y="{floor}" text-anchor="end">0</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 8}">0</text>'
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle">tokens per {unit}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{end}</text></svg>'
    )
