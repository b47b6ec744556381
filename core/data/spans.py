"""Where in a rendered conversation the assistant speaks, for any chat template."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from core.data.records import Message
from core.data.template import Template, refused
from core.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Stands for an answer while the template is probed. One word without white space, so that no template trims it.
PLACEHOLDER = "⟦answer{}⟧"


def trained_spans(template: Template, messages: list[Message], text: str) -> list[tuple[int, int]]:
    """Character spans in `text` of what is trained: what the assistant says, but for turns of weight 0.

    Raises UserError if they cannot be told.
    """
    from jinja2 import TemplateError

    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    try:
        spans = answer_spans(template, messages, text, answers)
    except TemplateError as error:
        raise refused(error) from error
    return [span for span, index in zip(spans, answers, strict=True) if messages[index].get("weight") != 0]


def answer_spans(template: Template, messages: list[Message], text: str, answers: list[int]) -> list[tuple[int, int]]:
    """Character spans in `text` of the messages `answers`, in order."""
    calls = any(message.get("tool_calls") for message in messages)
    contents = None if calls else locate_contents(template, messages, text, answers)
    if contents is None:
        return spans_by_prefix(template, messages, text, answers)
    ends_of_turn = end_of_turn(template.tokenizer)
    spans = []
    for index, (start, end) in zip(answers, contents, strict=True):
        said_before = after_prompt(template, messages, index)
        if text.endswith(said_before, 0, start):
            start -= len(said_before)
        closing = ends_of_turn.match(text, end)
        if closing:
            end = closing.end()
        elif text.startswith(whole := template.render(messages[: index + 1])):
            end = max(end, len(whole))
        spans.append((start, end))
    return spans


def after_prompt(template: Template, messages: list[Message], index: int) -> str:
    """What stands between the generation prompt and the answer `index`, so that the model must say it itself: nothing,
    a space (Llama 2), an empty <think> block (Qwen 3)."""
    prompt = template.render(messages[:index], prompt=True)
    placeholder = PLACEHOLDER.format(index)
    upto = template.render([*messages[:index], Message(role="assistant", content=placeholder)])
    return upto[len(prompt) : upto.find(placeholder)] if upto.startswith(prompt) else ""


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str]:
    """A special token, with the white space that templates put before it (Llama 2)."""
    specials = {token.content for token in tokenizer.added_tokens_decoder.values()} | set(tokenizer.all_special_tokens)
    return re.compile(rf"\s*(?:{'|'.join(map(re.escape, sorted(specials, key=len, reverse=True)))})")


def locate_contents(
    template: Template, messages: list[Message], text: str, answers: list[int]
) -> list[tuple[int, int]] | None:
    """Where each answer's text stands: render with placeholders in their stead, and walk along what is between them.

    Unlike comparing renderings of the first n messages, this works where a template treats the last turn apart
    (Qwen 3) or moves the system prompt to it (Mistral). None where the template depends on the answers' texts.
    """
    probe = list(messages)
    for index in answers:
        probe[index] = Message(role="assistant", content=PLACEHOLDER.format(index))
    between = re.split("|".join(re.escape(PLACEHOLDER.format(index)) for index in answers), template.render(probe))
    if len(between) != len(answers) + 1 or not text.startswith(between[0]):
        return None
    spans, position = [], len(between[0])
    for index, after in zip(answers, between[1:], strict=True):
        content = messages[index]["content"]
        for candidate in (content, content.rstrip(), content.lstrip(), content.strip()):
            if text.startswith(candidate + after, position):
                break
        else:
            return None
        spans.append((position, position + len(candidate)))
        position += len(candidate) + len(after)
    return spans if position == len(text) else None


def spans_by_prefix(
    template: Template, messages: list[Message], text: str, answers: list[int]
) -> list[tuple[int, int]]:
    """For templates that rewrite answers: what each adds to the rendering of the messages before it."""
    spans = []
    for index in answers:
        before, upto = template.render(messages[:index], prompt=True), template.render(messages[: index + 1])
        if not (text.startswith(upto) and upto.startswith(before)):
            raise UserError(
                f"The base's chat template rewrites the answer in message {index + 1}, so that it cannot be trained.",
                "Remove what it treats specially (such as <think> blocks in earlier answers), or choose another base.",
            )
        kept = upto.rstrip() if re.search(rf"{end_of_turn(template.tokenizer).pattern}\s*\Z", upto) else upto
        spans.append((len(before), len(kept)))
    return spans
