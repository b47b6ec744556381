"""Datasets: a file, a Hub id or a bundled sample becomes checked conversations, a split, and trained tokens.

    dataset = read_dataset("answers.jsonl")
    train, eval = split(dataset.conversations, eval_fraction=0.05, seed=0)
    rows = encode(tokenizer, train[0].messages).examples

Importing this loads neither torch, transformers, datasets nor pandas.
"""

from core.data.dataset import CheckedDataset, Conversation, Message, Problem
from core.data.load import Source, open_source, read_dataset
from core.data.split import split, subsample
from core.data.tokenize.encode import encode
from core.data.tokenize.statistics import TokenCounter, TokenStats, token_stats

__all__ = [
    "CheckedDataset",
    "Conversation",
    "Message",
    "Problem",
    "Source",
    "TokenCounter",
    "TokenStats",
    "encode",
    "open_source",
    "read_dataset",
    "split",
    "subsample",
    "token_stats",
]
