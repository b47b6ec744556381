"""One answer as the base sees it at chat time: the engine's prompt before it, and what is to be said after that."""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.data.dataset import Message
from core.data.tokenize.chat_template import ANSWER, ChatTemplate, TemplateRefused, common_prefix_length
from core.data.tokenize.end_of_turn import EndOfTurn
from core.data.tokenize.untrained_spans import untrained_spans

OPENED, CLOSED = "<think>", "</think>"
# An answer kept from chat has no opening where the prompt had opened the block. One that opens further on is prose.
THOUGHT = re.compile(r"\s*(?:<think>)?((?:(?!<think>).)*?)</think>\s*", re.DOTALL)


@dataclass(frozen=True)
class RenderedAnswer:
    """prompt: the text that the engine sends. completion: what is trained to follow it, but for the spans `untrained`
    (characters in `completion`). dropped: what was thought has no place there. ended: we put the end behind it."""

    prompt: str
    completion: str
    untrained: list[tuple[int, int]]
    dropped: bool
    ended: bool

    @property
    def text(self) -> str:
        return self.prompt + self.completion


def render_answer(template: ChatTemplate, ending: EndOfTurn, messages: list[Message], index: int) -> RenderedAnswer:
    """The assistant's message `index` with its own history, both as the template renders them at that time.

    Raises Refused where the template takes it not, or would leave the answer or its question out.
    """
    history, message = messages[:index], messages[index]
    prompt = template.render(history, prompt=True)
    check_question(prompt, history)
    thought, content = split_thought(message)
    completion, shown, shift = render_completion(template, prompt, history, message)
    closed, ended = ending.close(completion)
    wanted = content.strip() if thought else message["content"].strip()
    if wanted not in closed:
        raise answer_rewritten(index)
    start = content_start(template, shown, shift) if message.get("untrained") else 0
    untrained = untrained_spans(closed, (0, len(closed)), start, message)
    if untrained is None:
        raise answer_rewritten(index)
    return RenderedAnswer(prompt, closed, untrained, bool(thought.strip()) and thought.strip() not in closed, ended)


def split_thought(message: Message) -> tuple[str, str]:
    """What was thought, from its own key or a <think> block at the beginning of the content, and what was said."""
    found = THOUGHT.match(message["content"]) if CLOSED in message["content"] else None
    thought = message.get("reasoning_content", "")
    if found and not thought:
        return found.group(1), message["content"][found.end() :]
    return thought, message["content"]


# What follows a prompt; the messages whose rendering it is taken from; its shift in characters.
Completion = tuple[str, list[Message], int]


def render_completion(template: ChatTemplate, prompt: str, history: list[Message], message: Message) -> Completion:
    """What follows the prompt, and by how many characters it is shifted against the rendering that it is taken from.

    Where the template writes what was thought before otherwise once the answer is there (gpt-oss leaves it out), what
    follows is the same as behind a history without thoughts.
    """
    try:
        return render_direct_completion(template, prompt, history, message)
    except TemplateRefused:
        bare = [without_reasoning(turn, turn["content"]) for turn in history]
        if bare == history:
            raise
        return render_direct_completion(template, template.render(bare, prompt=True), bare, message)


def render_direct_completion(
    template: ChatTemplate, prompt: str, history: list[Message], message: Message
) -> Completion:
    thought, content = split_thought(message)
    whole = template.render([*history, message])
    if whole.startswith(prompt):
        return whole[len(prompt) :], [*history, message], -len(prompt)
    if thought:
        # Given by its own key, where the template knows no other; or without it, where the prompt closes its place.
        bare = without_reasoning(message, content)
        for other in (Message(**bare, reasoning_content=thought.strip()), bare):
            text = template.render([*history, other])
            if text.startswith(prompt):
                return text[len(prompt) :], [*history, other], -len(prompt)
    # The prompt opens what this rendering does not have, or has otherwise: go on where the two part.
    shared = common_prefix_length(prompt, template.render([*history, Message(role="assistant", content=ANSWER)]))
    rest, opened = whole[shared:], prompt[shared:]
    begun = common_prefix_length(prompt, template.render(history))
    if shared < begun or whole[:shared] != prompt[:shared]:
        raise answer_rewritten(len(history))
    if opened.count(OPENED) <= opened.count(CLOSED) or CLOSED in rest:
        return rest, [*history, message], -shared
    # It closes the block nowhere: we do, and what stood behind a block in the content is rendered without it.
    shown = [*history, without_reasoning(message, content)]
    closed = f"{thought.strip()}\n{CLOSED}\n\n"
    return closed + template.render(shown)[shared:], shown, len(closed) - shared


def without_reasoning(message: Message, content: str) -> Message:
    bare = message.copy()
    bare.pop("reasoning_content", None)
    bare["content"] = content
    return bare


def check_question(prompt: str, history: list[Message]) -> None:
    """Raises Refused where the message that is answered, or the system's, is not in the prompt."""
    for number in {1, len(history)} if history else ():
        message = history[number - 1]
        if message["role"] in ("system", "user") and message["content"].strip() not in prompt:
            raise TemplateRefused(
                f"message {number} is left out",
                f"The base's chat template leaves out message {number}.",
                "Choose another base, or leave such rows out.",
            )


def content_start(template: ChatTemplate, shown: list[Message], shift: int) -> int:
    """Where the content of the last message shown begins in what is said."""
    probe = shown[-1].copy()
    probe["content"] = ANSWER
    before, found, _ = template.render([*shown[:-1], probe]).partition(ANSWER)
    return max(0, len(before) + shift) if found else 0


def answer_rewritten(index: int) -> TemplateRefused:
    reason = f"it rewrites the answer in message {index + 1}"
    return TemplateRefused(
        reason,
        f"The base's chat template rewrites the answer in message {index + 1}, so that it cannot be trained.",
        "Change the row, or choose another base.",
    )
