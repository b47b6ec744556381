"""A dataset's tokens as the page draws them: statistics, one conversation token by token. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from core.data.tokenize.statistics import percentile
from core.planner import count_packed_rows
from studio.data.histogram import histogram
from studio.data.token_counts import TokenCounts

SHOWN = 4000  # tokens that the page shows of one conversation


def token_statistics(counts: TokenCounts, max_length: int) -> str:
    """Lengths, trained share, what is cut, how full packing makes its rows, and what cannot be trained."""
    lengths = sorted(counts.lengths)
    if not lengths:
        return '<p class="error">The base\'s chat template takes none of these conversations.</p>'
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
    text = f'<div class="facts">{"".join(f"<span><b>{name}</b> {value}</span>" for name, value in facts.items())}</div>'
    if nothing := list(dict.fromkeys(number for number, _, left in over if not left)):
        text += (
            f'<p class="error">Nothing of {count_of(nothing)} would be trained: no answer begins within max_length. '
            f"{links(nothing)}</p>"
        )
    if counts.refused:
        text += (
            f'<p class="error">The base\'s chat template refuses {count_of(counts.refused)}. '
            f"{links(counts.refused)}</p>"
        )
    counted = len(set(counts.numbers)) + len(counts.refused)
    if counted < counts.conversations:
        text += f"<p>Counted over {counted} of the {counts.conversations} conversations, drawn at random.</p>"
    bars = histogram(lengths, max_length, counts.unit)
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
