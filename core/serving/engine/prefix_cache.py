"""Prefixes that need not be read again: ended sequences keep their keys and values until the room is needed.

Only a sequence of the same client on the same version of the same adapter takes anything from another one: other
weights give other keys, and how fast an answer begins must not tell what somebody else has asked.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from core.serving.engine.kv_cache import KVCache
from core.serving.engine.sequence import Sequence
from core.serving.engine.token_ranges import TokenRange
from core.serving.kv_budget import aligned

MIN_REUSED = 16  # tokens: fewer are read again, so that columns with one short prompt stay one group
MIN_SHARED = 64  # tokens: as many in common with a sequence that is about to read them are worth waiting for
Owner: TypeAlias = tuple[str, int | None]
"""Client and number of the adapter, None for the base."""


@dataclass(eq=False)
class KeptPrefix:
    """The tokens whose keys and values a range holds, of a sequence that has ended."""

    owner: Owner
    tokens: list[int]
    kv_range: TokenRange


@dataclass(frozen=True)
class ReusablePrefix:
    """The first `length` tokens of a range, of a kept prefix or (kept: None) of a running sequence."""

    length: int = 0
    kv_range: TokenRange | None = None
    kept: KeptPrefix | None = None


class PrefixCache:
    """Gives sequences their ranges of the cache, with what can be reused in them. For the engine's thread only."""

    def __init__(self, cache: KVCache) -> None:
        self.cache = cache
        self.kept_tokens = 0
        """Tokens that ranges of ended sequences hold."""
        self._kept: OrderedDict[KeptPrefix, None] = OrderedDict()  # least recently used first

    def has_room(self, length: int) -> bool:
        """Whether a sequence of up to `length` tokens fits beside the running ones, if nothing else is kept."""
        kept = sum(prefix.kv_range.capacity for prefix in self._kept)
        return aligned(length) <= self.cache.ranges.free_tokens + kept

    def longest(self, sequence: Sequence, running: Iterable[Sequence]) -> ReusablePrefix:
        """The longest prefix of a prompt that is in the cache. The last token of it is always left to be read."""
        wanted, owner = sequence.prompt_ids[:-1], owner_of(sequence)
        found = [
            ReusablePrefix(common_length(wanted, prefix.tokens), prefix.kv_range, prefix)
            for prefix in self._kept
            if prefix.owner == owner
        ]
        found += [
            ReusablePrefix(common_length(wanted, cached_tokens(other)), other.kv_range)
            for other in running
            if owner_of(other) == owner
        ]
        best = max(found, key=lambda prefix: prefix.length, default=ReusablePrefix())
        return best if best.length >= MIN_REUSED else ReusablePrefix()

    def reserve(self, sequence: Sequence, prefix: ReusablePrefix) -> None:
        """Give a sequence its range, with `prefix` in it; there must be room (`has_room`).

        A kept prefix that the sequence goes on from, all or nearly all of it, becomes its range, where that can grow;
        else its tokens are copied. The least recently used of the others make room.
        """
        capacity, kept = aligned(sequence.reserved), prefix.kept
        sequence.cached = sequence.reused = prefix.length
        goes_on = kept is not None and len(kept.tokens) - prefix.length < MIN_REUSED
        if kept is not None and goes_on and self.cache.ranges.resize(kept.kv_range, capacity):
            sequence.kv_range = self._release(kept)
            return
        kv_range = self.cache.ranges.allocate(capacity)
        while kv_range is None and (oldest := next((other for other in self._kept if other is not kept), None)):
            self.cache.ranges.free(self._release(oldest))
            kv_range = self.cache.ranges.allocate(capacity)
        if kv_range is None and kept is not None and capacity > self.cache.ranges.free_tokens:
            self.cache.compact(last=kept.kv_range)  # both do not fit: it becomes the sequence's range after all
            fits = self.cache.ranges.resize(kept.kv_range, capacity)
            assert fits, "there was no room"
            sequence.kv_range = self._release(kept)
            return
        sequence.kv_range = kv_range or self.cache.allocate(sequence.reserved)
        if prefix.kv_range is not None:
            self.cache.copy(prefix.kv_range, sequence.kv_range, prefix.length)
        if kept is not None and goes_on:
            self.cache.ranges.free(self._release(kept))
        elif kept is not None:
            self._kept.move_to_end(kept)

    def keep(self, sequence: Sequence) -> None:
        """Keep what an ended sequence has in the cache, unless another prefix begins with all of it."""
        tokens, owner = cached_tokens(sequence), owner_of(sequence)
        others = [prefix for prefix in self._kept if prefix.owner == owner]
        if len(tokens) < MIN_REUSED or any(prefix.tokens[: len(tokens)] == tokens for prefix in others):
            self.cache.ranges.free(sequence.kv_range)
            return
        for prefix in others:
            if tokens[: len(prefix.tokens)] == prefix.tokens:
                self.cache.ranges.free(self._release(prefix))
        self.cache.ranges.resize(sequence.kv_range, aligned(len(tokens)))
        self._kept[KeptPrefix(owner, tokens, sequence.kv_range)] = None
        self.kept_tokens += len(tokens)

    def _release(self, kept: KeptPrefix) -> TokenRange:
        """Forget a prefix; its range is the caller's."""
        del self._kept[kept]
        self.kept_tokens -= len(kept.tokens)
        return kept.kv_range


def will_share(sequence: Sequence, members: Iterable[Sequence]) -> bool:
    """Whether one of `members`, which are yet to be read, will have much of this sequence's prompt in the cache."""
    owner, wanted = owner_of(sequence), sequence.prompt_ids[:-1]
    return any(
        owner_of(member) == owner and common_length(wanted, member.prompt_ids) - member.cached >= MIN_SHARED
        for member in members
    )


def owner_of(sequence: Sequence) -> Owner:
    return sequence.client, sequence.adapter.number if sequence.adapter is not None else None


def cached_tokens(sequence: Sequence) -> list[int]:
    """The tokens whose keys and values are in the cache."""
    return (sequence.prompt_ids + sequence.output_ids)[: sequence.cached]


def common_length(first: list[int], second: list[int]) -> int:
    """How many tokens two lists begin with in common."""
    shorter = min(len(first), len(second))
    if first[:shorter] == second[:shorter]:
        return shorter
    return next(i for i in range(shorter) if first[i] != second[i])
