"""How far loading is: told by percent, once each, and never more than that."""

from __future__ import annotations

import re

from transformers.utils import logging

from core.models.base import load_model, resolve


def test_loading_is_told_in_percent() -> None:
    phase = "loading and quantising the weights"
    told: list[str] = []
    load_model(resolve("builtin"), progress=told.append)
    shares = [int(found[1]) for text in told if (found := re.fullmatch(rf"{phase}: (\d+) %", text))]
    assert phase in told
    assert len(shares) > 20, "the built-in base has more tensors than that"
    assert shares == sorted(set(shares))
    assert shares[0] == 0
    assert shares[-1] < 100, "what is told comes before the tensor it is about"
    assert logging.set_tqdm_hook(None) is None, "transformers' own bars are as they were"
