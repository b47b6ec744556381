"""Whether a base's parts belong together: its tokenizer, its chat template, its configuration and its weights.

Each of these comes from a file of its own. Where they don't fit each other, no chat could be answered, or answers would
mean nothing; one sentence says so when the base is loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from adapters.common.errors import UserError, shortened
from core.data.dataset import Message
from core.data.tokenize.chat_template import ChatTemplate, TemplateRefused

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

QUESTION = Message(role="user", content="What is the capital of Cuba?")
ONE_PLACE = "Take the tokenizer and the weights from one and the same model, as its makers published it."
WHOLE = "Fetch the model anew, as its makers published it."


def check_tokenizer(name: str, tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> None:
    """Refuse a tokenizer that can't be chatted with on this base. `name`: what the base is called.

    Where only the pad token has no embedding, the end-of-text token takes its place: padding is never read. Single
    added tokens without one are let be as long as no plain question needs them. Raises UserError.
    """
    rows = vocabulary(config)
    if len(tokenizer) > rows and (beyond := _ordinary_beyond(tokenizer, rows)):
        raise UserError(
            f"The tokenizer of {name} has {rows + beyond:,} tokens, and the base knows {rows:,} only.", ONE_PLACE
        )
    for what, token, number in (
        ("end-of-text", tokenizer.eos_token, tokenizer.eos_token_id),
        ("begin-of-text", tokenizer.bos_token, tokenizer.bos_token_id),
    ):
        if number is not None and number >= rows:
            raise UserError(
                f"The {what} token of {name}, {token}, is number {number:,}, and the base knows {rows:,} tokens only.",
                ONE_PLACE,
            )
    text = plain_question(name, tokenizer)
    ids = tokenizer.encode(text, add_special_tokens=False)
    if (highest := max(ids)) >= rows:
        raise UserError(
            f"The chat template of {name} writes {tokenizer.convert_ids_to_tokens(highest)}, token {highest:,}, and "
            f"the base knows {rows:,} tokens only.",
            f"{ONE_PLACE} For tokens of your own, call resize_token_embeddings, train them, and save the base anew.",
        )
    if tokenizer.pad_token is None or tokenizer.pad_token_id >= rows:
        tokenizer.pad_token = tokenizer.eos_token


def _ordinary_beyond(tokenizer: PreTrainedTokenizerBase, rows: int) -> int:
    """How many tokens that any text may hold have a number of `rows` or more: all but the added ones."""
    added = tokenizer.added_tokens_decoder
    return sum(number >= rows and number not in added for number in tokenizer.get_vocab().values())


def plain_question(name: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """What the chat template makes of one short question. Raises UserError when that is nothing, or fails."""
    if not tokenizer.chat_template:
        raise UserError(
            f"The base {name} has no chat template, so it cannot be chatted with.",
            "Choose its instruct or chat variant.",
        )
    remedy = "Correct the template (chat_template.jinja or tokenizer_config.json), or choose another base."
    try:
        text = ChatTemplate.of(tokenizer).render([QUESTION], prompt=True)
    except TemplateRefused as error:
        raise UserError(f"The chat template of {name} fails on a plain question: {error.reason}.", remedy) from error
    if QUESTION["content"] not in text:
        raise UserError(
            f"The chat template of {name} leaves a plain question out: it writes {shortened(text)}.", remedy
        )
    return text


def vocabulary(config: PretrainedConfig) -> int:
    """How many tokens the base knows: the rows of its embedding."""
    return int(config.get_text_config().vocab_size)


def context_length(config: PretrainedConfig) -> int | None:
    """Tokens that the base was made for; None where its configuration does not say."""
    length = getattr(config.get_text_config(), "max_position_embeddings", None)
    return length if type(length) is int and length > 0 else None


def check_loaded(name: str, missing: Collection[str], mismatched: Mapping[str, Any]) -> None:
    """Refuse weights that are not those of the configuration: transformers would fill in random numbers.

    missing: names of weights that the files lack. mismatched: name -> (shape in the file, shape by the configuration).
    Raises UserError.
    """
    if mismatched:
        key, (there, wanted) = min(mismatched.items())
        raise misfit(name, f"{key} is {_shape(there)}, and by the configuration {_shape(wanted)}{_more(mismatched)}")
    if missing:
        raise UserError(f"The files of {name} lack weights: {min(missing)}{_more(missing)}.", WHOLE)


def misfit(name: str, how: str) -> UserError:
    return UserError(f"The weights of {name} do not fit its config.json: {how}.", WHOLE)


def _shape(sizes: Any) -> str:
    return " x ".join(map(str, sizes))


def _more(found: Collection[str]) -> str:
    return f", and {len(found) - 1} more" if len(found) > 1 else ""
