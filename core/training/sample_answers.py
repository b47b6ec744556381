"""The same few questions at every checkpoint, so that one sees an adapter learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import StoppingCriteriaList

from core.data import Conversation, Message
from core.data.samples import SAMPLES
from core.data.tokenize.chat_template import ChatTemplate
from core.data.tokenize.end_of_turn import stop_ids
from core.recipes.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HOW_MANY = 3
LONGEST_PROMPT = 500  # characters
LONGEST_ANSWER = 48  # tokens


def choose_prompts(recipe: Recipe, held_out: Sequence[Conversation]) -> list[str]:
    """The recipe's own, else the bundled sample's, else the first questions that were held out."""
    if recipe.sample_prompts is not None:
        return recipe.sample_prompts
    if recipe.dataset_name in SAMPLES:
        return list(SAMPLES[recipe.dataset_name].prompts)
    asked = [[turn["content"] for turn in talk.messages if turn["role"] == "user"] for talk in held_out]
    first = [questions[0] for questions in asked if questions]  # plain text asks nothing
    return [text for text in dict.fromkeys(first) if len(text) <= LONGEST_PROMPT][:HOW_MANY]


@torch.no_grad()
def generate_answers(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    on_token: Callable[[], None] = lambda: None,
) -> list[str]:
    """What the model says to each prompt, greedily, all in one batch. Leaves mode and random state as they were.

    on_token: called after each of at most LONGEST_ANSWER tokens.
    """
    if not prompts:
        return []

    def tell(input_ids: torch.Tensor, scores: Any, **settings: Any) -> torch.Tensor:
        on_token()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)

    was_training, side = model.training, tokenizer.padding_side
    model.eval()
    tokenizer.padding_side = "left"
    try:
        with torch.random.fork_rng(devices=[]):
            template = ChatTemplate.of(tokenizer)
            texts = [template.render([Message(role="user", content=prompt)], prompt=True) for prompt in prompts]
            asked = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt").to(model.device)
            generated = model.generate(
                **asked,
                do_sample=False,
                max_new_tokens=LONGEST_ANSWER,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=sorted(stop_ids(tokenizer, model.generation_config)),
                stopping_criteria=StoppingCriteriaList([tell]),
            )
    finally:
        tokenizer.padding_side = side
        model.train(was_training)
    new = generated[:, asked["input_ids"].shape[1] :]
    return [text.strip() for text in tokenizer.batch_decode(new, skip_special_tokens=True)]
