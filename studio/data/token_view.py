"""A dataset's tokens as the page draws them: figures, histogram, one conversation token by token. Pure functions."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from core.data.tokenize.statistics import percentile
from core.planner import packed_rows

if TYPE_CHECKING:
    from core.data import CheckedDataset

COUNTED = 2000  # conversations; of a larger dataset as many are drawn, and the page says so
SHOWN = 4000  # tokens that the page shows of one conversation
BARS = 28
WIDTH, HEIGHT = 640, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 22, 26


@dataclass(frozen=True)
class Measured:
    """Of each counted training row, before anything is cut: the number of its conversation in the dataset (from 1), its
    tokens, how many of them are trained, and where the first of these stands (from 0). A conversation is one row, or
    several where the base's template writes earlier answers anew. `refused`: numbers that the template refuses."""

    conversations: int
    numbers: list[int]
    lengths: list[int]
    trained: list[int]
    first: list[int]
    refused: list[int]

    @property
    def unit(self) -> str:
        """What a length is one of."""
        return "conversation" if len(set(self.numbers)) == len(self.numbers) else "training row"

    def over(self, max_length: int) -> list[tuple[int, int, bool]]:
        """(number, tokens, whether anything is left to train) of those that are cut, the longest first."""
        each = zip(self.numbers, self.lengths, self.first, strict=True)
        cut = [(number, length, first < max_length) for number, length, first in each if length > max_length]
        return sorted(cut, key=lambda entry: -entry[1])


def measured(
    conversations: int, numbers: Sequence[int], rows: Sequence[Sequence[tuple[int, int, int]] | None]
) -> Measured:
    """From what the tokenizer's process counted of the conversations `numbers`, row by row."""
    counted = [(number, *row) for number, each in zip(numbers, rows, strict=True) for row in each or ()]
    refused = [number for number, each in zip(numbers, rows, strict=True) if each is None]
    columns = [list(column) for column in zip(*counted, strict=True)] or [[], [], [], []]
    return Measured(conversations, columns[0], columns[1], columns[2], columns[3], refused)


def drawn(conversations: int) -> list[int]:
    """Numbers (from 1) of the conversations to count: all, or COUNTED of them, always the same ones."""
    if conversations <= COUNTED:
        return list(range(1, conversations + 1))
    return sorted(random.Random(0).sample(range(1, conversations + 1), COUNTED))


def figures(measured: Measured, max_length: int) -> str:
    """Lengths, trained share, what is cut, how full packing makes its rows, and what cannot be trained."""
    lengths = sorted(measured.lengths)
    if not lengths:
        return '<p class="error">The base\'s chat template takes none of these conversations.</p>'
    over = measured.over(max_length)
    lost = sum(length - max_length for _, length, _ in over)
    rows = packed_rows(lengths, max_length)
    full = (sum(lengths) - lost) / (rows * max_length)
    packed = f"{rows} {'row' if rows == 1 else 'rows'} of {max_length}"
    facts = {
        f"Tokens per {measured.unit}": f"mean {sum(lengths) / len(lengths):.0f}, p50 {percentile(lengths, 50)}, "
        f"p95 {percentile(lengths, 95)}, max {lengths[-1]}",
        "Trained": f"{sum(measured.trained) / sum(lengths):.0%} of all tokens",
        f"Over max_length {max_length}": f"{len(over)} of {len(lengths)}"
        + (f" ({lost / sum(lengths):.1%} of all tokens are cut)" if over else ""),
        "Packing": f"{packed} instead of {len(lengths)}, {full:.0%} full",
    }
    text = f'<div class="facts">{"".join(f"<span><b>{name}</b> {value}</span>" for name, value in facts.items())}</div>'
    if nothing := list(dict.fromkeys(number for number, _, left in over if not left)):
        text += (
            f'<p class="error">Nothing of {count_of(nothing)} would be trained: no answer begins within max_length. '
            f"{links(nothing)}</p>"
        )
    if measured.refused:
        text += (
            f'<p class="error">The base\'s chat template refuses {count_of(measured.refused)}. '
            f"{links(measured.refused)}</p>"
        )
    counted = len(set(measured.numbers)) + len(measured.refused)
    if counted < measured.conversations:
        text += f"<p>Counted over {counted} of the {measured.conversations} conversations, drawn at random.</p>"
    bars = histogram(lengths, max_length, measured.unit)
    drawn_in = f'<div class="scroll" tabindex="0" role="region" aria-label="Lengths">{bars}</div>'
    return text + drawn_in + cut_list(over, max_length)


def count_of(numbers: Sequence[int]) -> str:
    return f"{len(numbers)} conversation{'' if len(numbers) == 1 else 's'}"


def links(numbers: Sequence[int], most: int = 10) -> str:
    """Buttons that go to these conversations; the first `most`."""
    buttons = " ".join(link(number) for number in numbers[:most])
    return f"{buttons} …" if len(numbers) > most else buttons


def link(number: int) -> str:
    called = f'aria-label="Conversation {number}"'
    return f'<button class="small" data-look="conversation" data-value="{number}" {called}>{number}</button>'


def cut_list(over: Sequence[tuple[int, int, bool]], max_length: int, most: int = 20) -> str:
    """Which conversations are cut, and how much of them: the longest first."""
    if not over:
        return ""
    rows = "".join(
        f"<tr><td>{link(number)}</td><td>{length:,}</td>"
        f"<td>{length - max_length:,} tokens after token {max_length}"
        f"{'' if left else ', and no answer begins before'}</td></tr>"
        for number, length, left in over[:most]
    )
    more = f"<p>… and {len(over) - most} more.</p>" if len(over) > most else ""
    return (
        f"<details><summary>{len(over)} over max_length: which, and how much is cut</summary>"
        '<div class="scroll"><table class="plain"><thead><tr><th scope="col">Conversation</th>'
        '<th scope="col">Tokens</th><th scope="col">What is cut</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{more}</details>"
    )


def bins(lengths: Sequence[int], max_length: int, bars: int = BARS) -> tuple[list[int], list[int]]:
    """(edges in tokens, conversations between each two): a bar holds what is longer than its first edge, up to its
    second. About `bars` of them, fewer where there are not so many different lengths.

    max_length is always an edge, so that no bar is half over it. Where it is far beyond the longest, the bars end
    earlier.
    """
    longest = max(1, *lengths)
    if max_length > 3 * longest:
        edges = divided(0, longest, bars)
    else:
        within = round(bars * max_length / max(longest, max_length))
        edges = divided(0, max_length, within) + divided(max_length, longest, bars - within)[1:]
    counts = [0] * (len(edges) - 1)
    for each in lengths:
        counts[max(0, bisect_left(edges, each) - 1)] += 1
    return edges, counts


def divided(first: int, last: int, parts: int) -> list[int]:
    """The edges of about so many whole parts of like size; `first` alone where there is nothing to divide."""
    parts = min(max(1, parts), max(0, last - first))
    return [first + index * (last - first) // parts for index in range(parts + 1)] if parts else [first]


def span(edges: Sequence[int], index: int) -> str:
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
            f"<title>{span(edges, index)} tokens: {count} {unit}s</title></rect>"
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


LEGEND = (
    '<p class="legend"><span class="t trained">trained</span> what the model learns to say '
    '<span class="t">context</span> what it reads '
    '<span class="t special">&lt;special&gt;</span> a special token '
    '<span class="t cut">cut</span> beyond max_length. Point at a token for its id.</p>'
)


def token_view(rows: Sequence[Sequence[tuple[str, int, bool, bool]]], max_length: int) -> str:
    """(text, id, trained, special) of each token of one conversation, as it is trained under the base's template: in
    one row, or in one for each answer with the history that chat would send."""
    left, blocks = SHOWN, []
    for number, tokens in enumerate(rows, start=1):
        row = f"Row {number} of {len(rows)}: " if len(rows) > 1 else ""
        blocks.append(f'<p class="said">{row}{row_in_words(tokens, max_length)}.</p>' + (LEGEND if number == 1 else ""))
        if left > 0:
            blocks.append(
                '<div class="tokens" tabindex="0" role="region" aria-label="Tokens of this conversation'
                f'{f", row {number}" if row else ""}">{tokens_drawn(tokens[:left], max_length)}</div>'
            )
        left -= len(tokens)
    rest = f"<p>… and {-left} tokens more, not shown here.</p>" if left < 0 else ""
    return "".join(blocks) + rest


def row_in_words(tokens: Sequence[tuple[str, int, bool, bool]], max_length: int) -> str:
    trained = sum(each[2] for each in tokens[:max_length])
    said = f"{len(tokens)} tokens, {trained} of them trained"
    if len(tokens) > max_length:
        said += f"; the last {len(tokens) - max_length} are cut at max_length {max_length}"
    return said


def tokens_drawn(tokens: Sequence[tuple[str, int, bool, bool]], max_length: int) -> str:
    parts = []
    for index, (text, number, is_trained, is_special) in enumerate(tokens):
        if index == max_length:
            parts.append(f'<span class="cutline">✂ max_length {max_length}</span>')
        is_cut = index >= max_length
        kinds = {"trained": is_trained and not is_cut, "special": is_special, "cut": is_cut}
        words = [word for word, holds in kinds.items() if holds]
        title = ", ".join([f"token {index + 1}, id {number}", *words, *(["part of a character"] if not text else [])])
        parts.append(f'<span class="{" ".join(["t", *words])}" title="{title}">{visible(text)}</span>')
    return "".join(parts)


def visible(text: str) -> str:
    """A token's text as HTML, with line ends and tabs to be seen, and a mark for what shows no character of its own."""
    return escape(text or "◌").replace("\n", "↵\n").replace("\t", "→")


def found(dataset: CheckedDataset, words: str | None) -> list[int]:
    """Numbers (from 1) of the conversations in which some message holds `words`, in any case; all if there are none."""
    wanted = " ".join((words or "").casefold().split())
    return [
        number
        for number, conversation in enumerate(dataset.conversations, start=1)
        if not wanted or any(wanted in " ".join(each["content"].casefold().split()) for each in conversation.messages)
    ]


def neighbour(numbers: Sequence[int], at: int, step: int) -> int:
    """The next (step 1) or previous (-1) of ascending `numbers` as seen from `at`, around the end."""
    if step > 0:
        return next((each for each in numbers if each > at), numbers[0])
    return next((each for each in reversed(numbers) if each < at), numbers[-1])
