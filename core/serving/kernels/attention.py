"""Attention over the cache, of blocks of tokens that follow one another in a row.

Sums are in the same order for a block of any size, so that a token's result does not depend on which others were read
together with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from core.serving.kernels.layout import LENGTH, OFFSET, START, TOKENS
from core.serving.kernels.numbers import F32, FAST, clear, exp, floats_at
from core.serving.kernels.row_times_matrix import FLOAT_BYTES, add_row_times_matrix
from core.serving.kernels.transpose import WIDTH, transpose

_uintp = np.uintp
TILE = 64  # tokens whose keys, or values, are read together for all queries of a block


@njit(fastmath=FAST, cache=True)
def _softmax(scores: Any) -> None:
    largest = F32(-np.inf)
    for i in range(len(scores)):
        largest = max(largest, scores[i])
    total = F32(0)
    for i in range(len(scores)):
        scores[i] = exp(scores[i] - largest)
        total += scores[i]
    for i in range(len(scores)):
        scores[i] /= total


@njit(fastmath=FAST, cache=True)
def _turn(keys: Any, turned: Any) -> None:
    """turned [dim, TILE] = keys [tokens, dim] transposed, as far as there are tokens."""
    tokens, dim = keys.shape
    whole = tokens - tokens % WIDTH if dim % WIDTH == 0 else 0
    row_bytes, column_bytes = _uintp(FLOAT_BYTES * dim), _uintp(FLOAT_BYTES * TILE)
    for token in range(0, whole, WIDTH):
        for i in range(0, dim, WIDTH):
            source = _uintp(keys.ctypes.data + FLOAT_BYTES * (token * dim + i))
            target = _uintp(turned.ctypes.data + FLOAT_BYTES * (i * TILE + token))
            transpose(source, row_bytes, target, column_bytes)
    for token in range(whole, tokens):
        for i in range(dim):
            turned[i, token] = keys[token, i]


@njit(fastmath=FAST, cache=True)
def _attend_block(block: Any, key_head: int, layer: int, model: Any, queries: Any, attended: Any) -> None:
    """The tokens of a block, for all heads that read one head of keys and values."""
    heads, key_heads, dim, budget = model.sizes[0], model.sizes[1], model.sizes[2], model.sizes[3]
    group, window = heads // key_heads, model.windows[layer]
    start, count, length = block[START], block[TOKENS], block[LENGTH]
    first = max(0, length - window) if window else 0  # the first token that any of the block sees
    seen = length + count - 1 - first
    at = (key_head * budget + block[OFFSET] + first) * dim * 4
    keys = floats_at(model.cache[layer, 0] + at, (seen, dim))
    values = model.cache[layer, 1] + at
    scores = np.empty((count * group, -(-seen // WIDTH) * WIDTH), np.float32)  # in whole vectors; nobody reads the rest
    turned = np.empty((dim, TILE), np.float32)
    for tile in range(0, seen, TILE):
        tokens = min(TILE, seen - tile)
        _turn(keys[tile : tile + tokens], turned)
        width = -(-tokens // WIDTH) * WIDTH
        for query in range(count * group):
            row, head = start + query // group, key_head * group + query % group
            part = scores[query, tile : tile + width]
            clear(part)
            x = queries[row, head * dim : (head + 1) * dim]
            add_row_times_matrix(x.ctypes.data, dim, turned.ctypes.data, FLOAT_BYTES, TILE, part.ctypes.data, width)
    for query in range(count * group):
        end = length + query // group - first  # what lies behind is later than the token
        begin = max(0, end - window) if window else 0
        part = scores[query]
        for i in range(begin, end):
            part[i] *= model.scaling
        _softmax(part[begin:end])
        clear(part[:begin])
        clear(part[end:])
        row, head = start + query // group, key_head * group + query % group
        clear(attended[row, head * dim : (head + 1) * dim])
    for tile in range(0, seen, TILE):
        width = min(TILE, seen - tile)
        for query in range(count * group):
            row, head = start + query // group, key_head * group + query % group
            part, out = scores[query, tile:], attended[row, head * dim :]
            at = values + FLOAT_BYTES * tile * dim
            add_row_times_matrix(part.ctypes.data, width, at, FLOAT_BYTES, dim, out.ctypes.data, dim)


@njit(parallel=True, nogil=True, fastmath=FAST, cache=True)
def attend(layer: int, model: Any, inputs: Any, queries: Any, attended: Any) -> None:
    """queries: float32 [tokens, heads * dim, or more], attended: float32 [tokens, heads * dim]. A thread per block and
    head of keys."""
    blocks, key_heads = inputs.blocks, model.sizes[1]
    for number in prange(len(blocks) * key_heads):
        pair = np.int64(number)
        _attend_block(blocks[pair // key_heads], pair % key_heads, layer, model, queries, attended)
