"""One conversation token by token, as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from studio.html.templating import render

MAX_SHOWN = 4000  # tokens that the page shows of one conversation
Token = tuple[str, int, bool, bool]  # text, id, trained, special


@dataclass(frozen=True)
class ShownToken:
    index: int
    text: str
    classes: str
    title: str


@dataclass(frozen=True)
class ShownRow:
    """`tokens` is None where the rows before have used up MAX_SHOWN."""

    description: str
    label: str
    tokens: list[ShownToken] | None


def render_tokens(rows: Sequence[Sequence[Token]], max_length: int) -> Markup:
    """The tokens of one conversation, as it is trained under the base's template: in one row, or in one for each
    answer with the history that chat would send."""
    left, shown_rows = MAX_SHOWN, []
    for number, tokens in enumerate(rows, start=1):
        description, label = describe_row(tokens, max_length), "Tokens of this conversation"
        if len(rows) > 1:
            description, label = f"Row {number} of {len(rows)}: {description}", f"{label}, row {number}"
        shown = (
            [show_token(index, token, max_length) for index, token in enumerate(tokens[:left])] if left > 0 else None
        )
        shown_rows.append(ShownRow(description, label, shown))
        left -= len(tokens)
    return render("data/tokens.html", rows=shown_rows, max_length=max_length, hidden=-left)


def describe_row(tokens: Sequence[Token], max_length: int) -> str:
    trained = sum(is_trained for _, _, is_trained, _ in tokens[:max_length])
    description = f"{len(tokens)} tokens, {trained} of them trained"
    if len(tokens) > max_length:
        description += f"; the last {len(tokens) - max_length} are cut at max_length {max_length}"
    return description


def show_token(index: int, token: Token, max_length: int) -> ShownToken:
    text, token_id, is_trained, is_special = token
    is_cut = index >= max_length
    kinds = {"trained": is_trained and not is_cut, "special": is_special, "cut": is_cut}
    names = [name for name, holds in kinds.items() if holds]
    title = ", ".join([f"token {index + 1}, id {token_id}", *names, *(["part of a character"] if not text else [])])
    return ShownToken(index, visible(text), " ".join(["t", *names]), title)


def visible(text: str) -> str:
    """With line ends and tabs to be seen, and a mark for what shows no character of its own."""
    return (text or "◌").replace("\n", "↵\n").replace("\t", "→")
