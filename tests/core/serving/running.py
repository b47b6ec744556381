"""An engine on its own thread, and readers of what its rows say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from adapters.compat import BaseFacts
from core.serving.engine.build import build_engine
from core.serving.engine.sampling_params import SamplingParams
from core.serving.engine.sequence import RequestOutput, Sequence
from core.serving.lora.cache import read_adapter
from core.serving.lora.layers import linear_shapes
from core.serving.lora.slots import HostAdapter
from core.serving.settings import EngineSettings
from tests.core.serving import tiny

WAIT_SECONDS = 60.0


class Reader:
    """One row and what it has said."""

    def __init__(self, prompt: list[int], adapter: HostAdapter | None, client: str, params: SamplingParams) -> None:
        self.outputs: list[RequestOutput] = []
        self._ended, self._begun = threading.Event(), threading.Event()
        self.sequence = Sequence(prompt, params, self._take, adapter, client)

    def _take(self, output: RequestOutput) -> None:
        self.outputs.append(output)
        self._begun.set()
        if output.is_last:
            self._ended.set()

    def begun(self) -> Reader:
        assert self._begun.wait(WAIT_SECONDS), "the row has said nothing"
        return self

    def ended(self) -> Reader:
        assert self._ended.wait(WAIT_SECONDS), "the row has not ended"
        return self

    @property
    def tokens(self) -> list[int]:
        """The tokens of the whole answer."""
        return self.ended().sequence.output_ids

    @property
    def text(self) -> str:
        return "".join(output.text for output in self.ended().outputs)

    @property
    def end(self) -> str | None:
        return self.ended().outputs[-1].finish_reason

    @property
    def error(self) -> str | None:
        return self.ended().outputs[-1].error


class Running:
    """Builds an engine around `model` and runs it until the block ends."""

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None = None, **settings: Any
    ) -> None:
        self.base = BaseFacts("tiny", None, linear_shapes(model))
        self.settings = EngineSettings(**settings)
        self.engine = build_engine(model, tokenizer or tiny.tokenizer(), self.settings).engine
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.engine.run()
        except BaseException as error:
            self.failure = error

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.engine.close()
        self.joined()

    def joined(self) -> None:
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()

    def read(self, folder: Path, name: str = "") -> HostAdapter:
        return read_adapter(name or folder.name, folder, self.base, self.settings.max_rank, torch.float32)

    def ask(self, prompt: list[int], adapter: HostAdapter | None = None, *, client: str = "", **params: Any) -> Reader:
        """Submit one greedy row (unless `params` say otherwise)."""
        reader = reader_for(prompt, adapter, client=client, **params)
        self.engine.submit([reader.sequence])
        return reader

    def between_steps(self, function: Callable[[], Any]) -> Any:
        """What `function` returns on the engine's thread."""
        return self.engine.call(function).result(WAIT_SECONDS)


def reader_for(prompt: list[int], adapter: HostAdapter | None = None, *, client: str = "", **params: Any) -> Reader:
    return Reader(prompt, adapter, client, SamplingParams(**({"max_tokens": 16, "temperature": 0.0} | params)))


@torch.inference_mode()
def greedy(model: PreTrainedModel | PeftModel, prompt: list[int], max_tokens: int) -> list[int]:
    """transformers' own greedy answer, end token included."""
    out = model.generate(
        input_ids=torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=max_tokens,
        do_sample=False,
        eos_token_id=2,
        pad_token_id=0,
    )
    tokens: list[int] = out[0, len(prompt) :].tolist()
    return tokens
