"""How a completion is sampled, and one sampled token: plain values, without torch."""

from __future__ import annotations

from dataclasses import dataclass

# A temperature below this is 0: in single precision the most likely token has all of the probability there, and a
# smaller one would divide by nothing.
GREEDY_BELOW = 1e-5


@dataclass(frozen=True)
class SamplingParams:
    """How one completion is sampled. Names and meanings are OpenAI's, and vLLM's for what OpenAI does not have."""

    max_tokens: int = 16
    temperature: float = 1.0
    """0 is greedy; then top_p, top_k, min_p and the seed have no effect."""
    top_p: float = 1.0
    top_k: int = 0
    """0: no limit."""
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    """Over prompt and output; > 1 makes tokens less likely that have occurred (CTRL, arXiv:1909.05858)."""
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    """Both over the output alone, as OpenAI defines them."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    """None: no log-probabilities; n: those of the sampled token and of the n most likely tokens."""

    @property
    def adjusts_logits(self) -> bool:
        return bool(
            self.logit_bias or self.repetition_penalty != 1.0 or self.frequency_penalty or self.presence_penalty
        )

    @property
    def truncates(self) -> bool:
        return self.top_p < 1.0 or self.top_k > 0 or self.min_p > 0.0


@dataclass(frozen=True)
class SampledToken:
    """One sampled token; `logprob` and `top` ((token, logprob), most likely first) only where they are requested.

    Log-probabilities are those of the model's own distribution, before temperature and penalties.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
