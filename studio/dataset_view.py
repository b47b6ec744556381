"""A dataset's tokens as the page draws them: figures, histogram, one conversation token by token. Pure functions."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil
from typing import TYPE_CHECKING

from core.data.tokens import percentile
from core.plan import packed_rows

if TYPE_CHECKING:
    from core.data import CheckedDataset, Conversation

COUNTED = 2000  # conversations; of a larger dataset as many are drawn, and the page says so
SHOWN = 4000  # tokens that the page shows of one conversation
BARS = 28
WIDTH, HEIGHT = 640, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 22, 26


@dataclass(frozen=True)
class Measured:
    """Tokens and trained tokens of each counted conversation, before anything is cut; `refused` by the template."""

    conversations: int
    lengths: list[int]
    trained: list[int]
    refused: int = 0


def drawn(dataset: CheckedDataset) -> list[Conversation]:
    """The conversations to count: all, or COUNTED of them, always the same ones."""
    if len(dataset.conversations) <= COUNTED:
        return dataset.conversations
    return random.Random(0).sample(dataset.conversations, COUNTED)


def figures(measured: Measured, max_length: int) -> str:
    """Lengths, trained share, what is cut, and how full packing makes its rows."""
    lengths = sorted(measured.lengths)
    if not lengths:
        return '<p class="error">The base\'s chat template takes none of these conversations.</p>'
    over = sum(each > max_length for each in lengths)
    lost = sum(max(0, each - max_length) for each in lengths)
    rows = packed_rows(lengths, max_length)
    full = (sum(lengths) - lost) / (rows * max_length)
    packed = f"{rows} {'row' if rows == 1 else 'rows'} of {max_length}"
    facts = {
        "Tokens per conversation": f"mean {sum(lengths) / len(lengths):.0f}, p50 {percentile(lengths, 50)}, "
        f"p95 {percentile(lengths, 95)}, max {lengths[-1]}",
        "Trained": f"{sum(measured.trained) / sum(lengths):.0%} of all tokens",
        f"Over max_length {max_length}": f"{over} of {len(lengths)}"
        + (f" ({lost / sum(lengths):.1%} of all tokens are cut)" if over else ""),
        "Packing": f"{packed} instead of {len(lengths)}, {full:.0%} full",
    }
    text = f'<div class="facts">{"".join(f"<span><b>{name}</b> {value}</span>" for name, value in facts.items())}</div>'
    if measured.refused:
        text += f'<p class="error">The base\'s chat template refuses {measured.refused} conversations.</p>'
    counted = len(lengths) + measured.refused
    if counted < measured.conversations:
        text += f"<p>Counted over {counted} of the {measured.conversations} conversations, drawn at random.</p>"
    return text + histogram(lengths, max_length)


def histogram(lengths: Sequence[int], max_length: int) -> str:
    """Conversations by their length in tokens as an inline SVG, max_length drawn in.

    max_length is always the edge of a bar, so that none is half over it. Where it is far beyond the longest, the axis
    ends earlier and an arrow points to it.
    """
    longest = max(lengths)
    reach = max(longest, max_length) if max_length <= 3 * longest else longest
    step = max_length / max(1, round(BARS * max_length / reach)) if max_length <= reach else reach / BARS
    counts = [0] * ceil(reach / step)
    for each in lengths:
        counts[min(len(counts), max(1, ceil(each / step))) - 1] += 1
    end, most = len(counts) * step, max(counts)

    def x(tokens: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * tokens / end

    floor = HEIGHT - BOTTOM
    bars = []
    for index, count in enumerate(counts):
        height = (floor - TOP) * count / most
        kind = "over" if index * step >= max_length - step / 2 else "within"
        span = f"{int(index * step) + 1} to {int((index + 1) * step)} tokens: {count} conversations"
        bars.append(
            f'<rect class="{kind}" x="{x(index * step) + 0.5:.1f}" y="{floor - height:.1f}" '
            f'width="{x(step) - x(0) - 1:.1f}" height="{height:.1f}"><title>{span}</title></rect>'
        )
    over = sum(each > max_length for each in lengths)
    title = (
        f"Tokens per conversation: {len(lengths)} conversations of {min(lengths)} to {longest} tokens, "
        f"{over} of them over max_length {max_length}"
    )
    if max_length <= reach:
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
        f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle">tokens per conversation</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{end:.0f}</text></svg>'
    )


LEGEND = (
    '<p class="legend"><span class="t trained">trained</span> what the model learns to say '
    '<span class="t">context</span> what it reads '
    '<span class="t special">&lt;special&gt;</span> a special token '
    '<span class="t cut">cut</span> beyond max_length. Point at a token for its id.</p>'
)


def token_view(tokens: Sequence[tuple[str, int, bool, bool]], max_length: int) -> str:
    """(text, id, trained, special) of each token of one conversation, as it is trained under the base's template."""
    trained = sum(each[2] for each in tokens[:max_length])
    said = f"{len(tokens)} tokens, {trained} of them trained"
    if len(tokens) > max_length:
        said += f"; the last {len(tokens) - max_length} are cut at max_length {max_length}"
    parts = []
    for index, (text, number, is_trained, is_special) in enumerate(tokens[:SHOWN]):
        if index == max_length:
            parts.append(f'<span class="cutline">✂ max_length {max_length}</span>')
        is_cut = index >= max_length
        kinds = {"trained": is_trained and not is_cut, "special": is_special, "cut": is_cut}
        words = [word for word, holds in kinds.items() if holds]
        title = ", ".join([f"token {index + 1}, id {number}", *words, *(["part of a character"] if not text else [])])
        parts.append(f'<span class="{" ".join(["t", *words])}" title="{title}">{visible(text)}</span>')
    rest = f"<p>… and {len(tokens) - SHOWN} tokens more, not shown here.</p>" if len(tokens) > SHOWN else ""
    return f'<p class="said">{said}.</p>{LEGEND}<div class="tokens" tabindex="0" role="region" ' + (
        f'aria-label="Tokens of this conversation">{"".join(parts)}</div>{rest}'
    )


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
