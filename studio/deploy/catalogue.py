"""Bases that a Space can be started with: small, with a chat template, and known to fit a T4 with chat and training."""

from __future__ import annotations

from dataclasses import dataclass

NF4_BYTES = 0.5 + 0.0159  # per weight of a linear layer: 4 bits, and double-quantised block scales (0.127 bits)
FP16_BYTES = 2
T4_BYTES = int(14.5 * 2**30)  # what of a T4's 16 GB a process can have
# The CUDA contexts of two processes, the key-value cache, and a training step's activations and optimiser.
WORKING_BYTES = 5 * 2**30


@dataclass(frozen=True)
class CatalogueBase:
    """A base model, with the figures of its public config.json from which its size follows.

    reason: why one would choose it. gated: its authors want to be asked first.
    """

    id: str
    reason: str
    license: str
    hidden_size: int
    layers: int
    intermediate_size: int
    heads: int
    kv_heads: int
    vocab_size: int
    tied: bool
    head_dim: int = 0  # 0: hidden_size / heads
    biases: bool = False  # on q, k and v
    gated: bool = False

    @property
    def linear_parameters(self) -> int:
        """Weights of the layers that are quantised: attention and MLP of a Llama-like model."""
        head = self.head_dim or self.hidden_size // self.heads
        attention = self.hidden_size * head * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden_size * self.intermediate_size)

    @property
    def other_parameters(self) -> int:
        """Embeddings, head, norms and biases: these stay in 16 bit."""
        head = self.head_dim or self.hidden_size // self.heads
        biases = self.layers * head * (self.heads + 2 * self.kv_heads) if self.biases else 0
        embeddings = self.vocab_size * self.hidden_size * (1 if self.tied else 2)
        # Qwen3 normalises queries and keys too; it is the one here with a head_dim of its own.
        norms = self.hidden_size * (2 * self.layers + 1) + (2 * head * self.layers if self.head_dim else 0)
        return embeddings + norms + biases

    @property
    def parameters(self) -> int:
        return self.linear_parameters + self.other_parameters

    @property
    def four_bit_bytes(self) -> int:
        """Its weights on the GPU as NF4 with double quantisation."""
        return int(self.linear_parameters * NF4_BYTES + self.other_parameters * FP16_BYTES)

    @property
    def fits_t4(self) -> bool:
        """Even when chat and training each need a copy of their own."""
        return 2 * self.four_bit_bytes + WORKING_BYTES <= T4_BYTES


CATALOGUE = (
    CatalogueBase("Qwen/Qwen2.5-1.5B-Instruct", "a good balance of speed, quality and memory", "apache-2.0",
         1536, 28, 8960, 12, 2, 151936, tied=True, biases=True),
    CatalogueBase("Qwen/Qwen2.5-0.5B-Instruct", "the quickest to load, to answer and to train", "apache-2.0",
         896, 24, 4864, 14, 2, 151936, tied=True, biases=True),
    CatalogueBase("HuggingFaceTB/SmolLM2-1.7B-Instruct", "data and training recipe are public too", "apache-2.0",
         2048, 24, 8192, 32, 32, 49152, tied=True),
    CatalogueBase("TinyLlama/TinyLlama-1.1B-Chat-v1.0", "Llama 2's architecture and tokenizer, ungated", "apache-2.0",
         2048, 22, 5632, 32, 4, 32000, tied=False),
    CatalogueBase("Qwen/Qwen3-4B-Instruct-2507", "the best answers of the ungated ones here, the slowest to train",
         "apache-2.0",
         2560, 36, 9728, 32, 8, 151936, tied=True, head_dim=128),
    CatalogueBase("meta-llama/Llama-2-7b-chat-hf", "the base of the original Guanaco's family", "llama2",
         4096, 32, 11008, 32, 32, 32000, tied=False, gated=True),
)  # fmt: skip

DEFAULT = CATALOGUE[0].id


def find_base(base_id: str) -> CatalogueBase | None:
    """Only the very repository, in whatever letters: a copy has other terms, and may be open where this is gated."""
    return next((base for base in CATALOGUE if base.id.casefold() == base_id.casefold()), None)
