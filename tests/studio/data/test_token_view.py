"""A conversation token by token."""

from __future__ import annotations

from studio.data.token_view import render_tokens


def test_tokens_are_escaped_marked_and_cut() -> None:
    tokens = [("<|user|>", 1, False, True), ("<b>", 2, False, False), ("\n", 3, True, False), ("late", 4, True, False)]
    text = render_tokens([tokens], 3)
    assert "4 tokens, 1 of them trained; the last 1 are cut at max_length 3" in text
    assert '<span class="t special" title="token 1, id 1, special">&lt;|user|&gt;</span>' in text
    assert '<span class="t trained" title="token 3, id 3, trained">↵\n</span>' in text
    assert text.index("cutline") < text.index('<span class="t cut" title="token 4, id 4, cut">late</span>')
    assert "<b>" not in text


def test_a_conversation_of_several_rows_is_shown_row_by_row() -> None:
    row = [("a", 1, False, False), ("b", 2, True, False)]
    shown = render_tokens([row, row * 2], 3)
    assert "Row 1 of 2: 2 tokens, 1 of them trained." in shown
    assert "Row 2 of 2: 4 tokens, 1 of them trained; the last 1 are cut" in shown
    assert shown.count('role="region"') == 2
