"""How the kernels' weights and inputs lie in memory. No Numba is needed to know it."""

from __future__ import annotations

BLOCK = 64  # numbers that share a scale; bitsandbytes' own block size
INPUT_LEVELS = 32_767
# With 8 products in each of a vector's sums, 8 * LEVELS * INPUT_LEVELS must stay below 2^31.
LEVELS = 8_191
# The levels of NF4 (Dettmers et al. 2023, QLoRA, appendix E), as in bitsandbytes.
NF4_LEVELS = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
# Which number of a block is at each place of the inputs. A byte has an even number in its high half and the next one in
# its low half, and bytes are widened to 16 bits within each half of a vector.
PLACES = tuple(
    2 * (lane + half + byte) + parity for parity in (0, 1) for half in (0, 8) for lane in (0, 16) for byte in range(8)
)
NF4, INT8 = 0, 1  # kinds of weights
OUTPUTS = 32  # of one task, which is what one thread calculates at a time

# The columns of the tables, which are of int64. Biases are float32, LoRA's matrices float16; both are
# given by their addresses.
# Tasks: where the codes, scales and biases of its first output are (no bias: 0), its first column and how many there
# are, and which of the members it belongs to (none: below 0).
CODES, SCALES, BIAS, KIND, COLUMN, COUNT, MEMBER, TASK_FIELDS = *range(7), 7
# Members, which are the layers that a LoRA may change: its matrices B of all slots, [slots, rank, outputs] (none: 0),
# the first column of A x that is its own, its first column in the product, and its outputs.
LORA_B, B_STRIDE, RANK, HIDDEN, FIRST, WIDTH, MEMBER_FIELDS = *range(6), 6
# Products: which tasks are its own, LoRA's first matrices A of all slots, [slots, in, width] (none: 0), whether its
# input is gate and up side by side, and whether it is added to what is there.
FIRST_TASK, LAST_TASK, LORA_A, A_STRIDE, A_WIDTH, IS_GATED, IS_ADDED, PRODUCT_FIELDS = *range(7), 7
# Blocks of tokens that follow one another: the first one's number in the forward and how many there are, where their
# row's range of the cache begins, and how many tokens the row has up to the first one.
START, TOKENS, OFFSET, LENGTH, BLOCK_FIELDS = *range(4), 4
