"""From a recipe's dataset to tensors: read, refuse or leave out bad rows, split, tokenise, and pack if asked to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from trl import pack_dataset

from adapters.common.errors import UserError
from core.data import CheckedDataset, Conversation, Problem, encode, split, subsample
from core.data.tokenize.encode import IGNORED, Encoded, count_trained
from core.data.tokenize.statistics import EncodingNotes
from core.recipes.dataset import read_recipe_dataset
from core.recipes.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LISTED_PROBLEMS = 20


@dataclass
class TrainingData:
    """Tokenised halves with the columns input_ids and labels (and seq_lengths where packed), and what to tell.

    longest: tokens of the longest row, as it is trained.
    """

    checked: CheckedDataset
    train: Dataset
    held_out: Dataset | None
    held_out_conversations: list[Conversation]
    longest: int
    notes: list[str] = field(default_factory=list)


def prepare_data(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, known: int | None = None) -> TrainingData:
    """`known`: how many tokens the base knows, where that may be fewer than its tokenizer has.

    Raises UserError when the dataset can't be read, has rows that don't convert, or leaves nothing to learn.
    """
    checked = read_recipe_dataset(recipe)
    encoded, refused = _tokenise(checked.conversations, tokenizer, len(tokenizer) if known is None else known)
    problems = checked.problems + refused
    if problems and not recipe.skip_bad_rows:
        raise _refusal(checked, problems)
    notes = [f"Learning from {len(checked.conversations):,} conversations of {checked.provenance}."]
    if problems:
        notes.append(f"{len(problems)} of {checked.rows} rows could not be used and were left out.")
    convertible = [talk for talk in checked.conversations if talk.row in encoded]
    usable = subsample(convertible, recipe.max_samples, recipe.seed)
    if len(usable) < len(convertible):
        notes.append(f"Of {len(convertible)} conversations {len(usable)} were drawn at random (max_samples).")
    encoding = EncodingNotes(tokenizer)
    for talk in usable:
        encoding.add(encoded[talk.row])
    notes += encoding.sentences()
    unit = "conversations" if encoding.rows == len(usable) else "training rows"
    halves = split(usable, recipe.eval_fraction, recipe.seed)
    train, held_out = (_cut([encoded[talk.row] for talk in half], recipe.max_length) for half in halves)
    if not train.rows:
        raise UserError(
            f"Nothing in {recipe.dataset_name} can be learnt: no assistant answer begins within "
            f"max_length = {recipe.max_length} tokens.",
            "Raise max_length, or choose another dataset.",
        )
    if train.cut or held_out.cut:
        notes.append(
            f"{train.cut + held_out.cut} of {encoding.rows} {unit} are longer than max_length = "
            f"{recipe.max_length} tokens and were cut."
        )
    if train.emptied or held_out.emptied:
        notes.append(f"{train.emptied + held_out.emptied} of these were left out: nothing of an answer remained.")
    train_set = _dataset(train.rows, recipe)
    if recipe.packing:
        notes.append(f"Packed {len(train.rows)} {unit} into {len(train_set)} rows of {recipe.max_length} tokens.")
    held_out_set = _dataset(held_out.rows, recipe) if held_out.rows else None
    longest = max(len(row["input_ids"]) for row in train.rows + held_out.rows)
    return TrainingData(checked, train_set, held_out_set, halves[1], longest, notes)


def _tokenise(
    conversations: list[Conversation], tokenizer: PreTrainedTokenizerBase, known: int
) -> tuple[dict[int, Encoded], list[Problem]]:
    """What each conversation becomes, uncut, and the rows that the base's template or its embedding refuses."""
    encoded, problems = {}, []
    for talk in conversations:
        try:
            found = encode(tokenizer, talk.messages, talk.tools)
        except UserError as error:
            problems.append(Problem(talk.row, error.message, error.remedy))
            continue
        highest = max(token for example in found.examples for token in example["input_ids"])
        if highest < known:
            encoded[talk.row] = found
        else:
            token = tokenizer.convert_ids_to_tokens(highest)
            problems.append(Problem(talk.row, f"The base does not know its token {token}.", "Write it otherwise."))
    return encoded, problems


@dataclass
class _Cut:
    rows: list[dict[str, Any]]
    cut: int
    emptied: int


def _cut(conversations: list[Encoded], max_length: int) -> _Cut:
    examples = [example for talk in conversations for example in talk.examples]
    shortened = [{"input_ids": row["input_ids"][:max_length], "labels": row["labels"][:max_length]} for row in examples]
    rows = [row for row in shortened if count_trained(row["labels"])]
    cut = sum(len(row["input_ids"]) > max_length for row in examples)
    return _Cut(rows, cut, len(shortened) - len(rows))


def _dataset(rows: list[dict[str, Any]], recipe: Recipe) -> Dataset:
    dataset = Dataset.from_list(rows)
    if recipe.packing:
        return pack_dataset(dataset.shuffle(seed=recipe.seed), recipe.max_length, "bfd")
    return dataset


def _refusal(checked: CheckedDataset, problems: list[Problem]) -> UserError:
    lines = [
        (f"- row {problem.row}: " if problem.row is not None else "- ") + f"{problem.what} {problem.remedy}"
        for problem in problems[:LISTED_PROBLEMS]
    ]
    if len(problems) > LISTED_PROBLEMS:
        lines.append(f"- and {len(problems) - LISTED_PROBLEMS} more")
    listing = "\n".join(lines)
    return UserError(
        f"{len(problems)} of {checked.rows} rows of {checked.name} can't be used:\n{listing}\n",
        "Correct them, or set skip_bad_rows: true to leave them out.",
    )


@dataclass
class PackedCollator:
    """Collates packed rows into [rows, length] tensors whose position_ids begin at 0 with each conversation.

    Without an attention mask, transformers keeps conversations apart by these positions. TRL's own collator puts all
    rows of a batch into one, whose attention costs the square of the whole batch's length unless flash attention runs.
    """

    pad_token_id: int

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        length = max(len(row["input_ids"]) for row in rows)
        positions = [[at for span in row["seq_lengths"] for at in range(span)] for row in rows]
        labels = [
            [IGNORED if at == 0 else label for at, label in zip(places, row["labels"], strict=True)]
            for places, row in zip(positions, rows, strict=True)
        ]
        return {
            "input_ids": _padded([row["input_ids"] for row in rows], length, self.pad_token_id),
            "labels": _padded(labels, length, IGNORED),
            "position_ids": _padded(positions, length, 0),
        }


@dataclass
class EndToEndCollator:
    """Collates conversations, or packed rows of them, into one row [1, tokens] without padding.

    cu_seq_lens_q [conversations + 1] says where each begins, for core.training.packed_attention.
    """

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        lengths = [length for row in rows for length in row.get("seq_lengths", [len(row["input_ids"])])]
        labels = torch.tensor([label for row in rows for label in row["labels"]])
        begins = torch.tensor([0, *lengths]).cumsum(0)
        labels[begins[:-1]] = IGNORED  # nothing comes before a conversation's first token that could say it
        return {
            "input_ids": torch.tensor([[token for row in rows for token in row["input_ids"]]]),
            "labels": labels[None],
            "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
            "cu_seq_lens_q": begins,
        }


def _padded(rows: list[list[int]], length: int, value: int) -> torch.Tensor:
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])
