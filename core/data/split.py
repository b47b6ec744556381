"""Train and eval halves that share no conversation, not even the beginning of one."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Hashable, Sequence

from adapters.common.errors import UserError
from core.data.dataset import Conversation


def split(
    conversations: Sequence[Conversation], eval_fraction: float, seed: int
) -> tuple[list[Conversation], list[Conversation]]:
    """(train, eval), each in the order given; the same seed gives the same split.

    Conversations with the same first question and answer (up to case and white space) stay together: conversation trees
    such as OpenAssistant's come as many rows that share their beginnings. Where more than half begin alike (all with
    the same greeting, say), only whole conversations that are equal stay together. eval has about `eval_fraction` of
    all, at least one if there are two groups, and none where eval_fraction is 0. Raises UserError for a fraction
    outside [0, 1).
    """
    if not 0 <= eval_fraction < 1:
        raise UserError(f"eval_fraction is {eval_fraction}.", "Give a number from 0 to below 1, such as 0.05.")
    groups = group_indices(conversations, first_exchange)
    if max(map(len, groups), default=0) > len(conversations) / 2:
        groups = group_indices(conversations, normalised_turns)
    if not eval_fraction or len(groups) < 2:
        return list(conversations), []
    random.Random(seed).shuffle(groups)
    wanted = min(max(1, round(len(conversations) * eval_fraction)), len(conversations) - 1)
    chosen: set[int] = set()
    for members in groups:
        if len(chosen) + len(members) <= wanted:
            chosen.update(members)
    if not chosen:
        smallest: list[int] = min(groups, key=len)
        chosen.update(smallest)
    train = [conversation for index, conversation in enumerate(conversations) if index not in chosen]
    return train, [conversation for index, conversation in enumerate(conversations) if index in chosen]


def subsample(conversations: Sequence[Conversation], max_samples: int | None, seed: int) -> list[Conversation]:
    """`max_samples` of them, drawn with the seed, in the order given; all if there are no more, or for None or 0."""
    if not max_samples or len(conversations) <= max_samples:
        return list(conversations)
    chosen = set(random.Random(seed).sample(range(len(conversations)), max_samples))
    return [conversation for index, conversation in enumerate(conversations) if index in chosen]


def group_indices(conversations: Sequence[Conversation], key: Callable[[Conversation], Hashable]) -> list[list[int]]:
    """Indices of conversations, those of one key together, in order of first appearance."""
    groups: dict[Hashable, list[int]] = {}
    for index, conversation in enumerate(conversations):
        groups.setdefault(key(conversation), []).append(index)
    return list(groups.values())


def normalised_turns(conversation: Conversation) -> tuple[str, ...]:
    """What makes two conversations the same: their turns, up to case and white space, and the calls of tools in them.
    System prompts do not count."""
    return tuple(
        " ".join(message["content"].casefold().split()) + json.dumps(message.get("tool_calls", ""), sort_keys=True)
        for message in conversation.messages
        if message["role"] != "system"
    )


def first_exchange(conversation: Conversation) -> tuple[str, ...]:
    return normalised_turns(conversation)[:2]
