"""What stands between HTTP and the engine: the base, its adapters and its tokenizer, loaded and ready to answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from adapters.common.errors import UserError, shortened, without_paths
from adapters.compat import BaseFacts
from core.common.home import Home
from core.coordination.chat_activity import ChatActivity
from core.models.base import BaseSource, fingerprint, load_tokenizer
from core.models.device import Choice
from core.models.shared_weights.shared_base import open_base
from core.serving.api.errors import ApiError
from core.serving.api.prompts import Prompts
from core.serving.api.requests import ChatCompletionRequest, CompletionRequest, GenerationRequest, parse_request
from core.serving.api.response_builder import ResponseBuilder
from core.serving.engine.build import build_engine
from core.serving.engine.scheduler import QueueFull
from core.serving.engine.sequence import RequestOutput, Sequence
from core.serving.engine.start_record import StartFile, StartRecord
from core.serving.engine.stats import EngineStats
from core.serving.lora.cache import AdapterCache
from core.serving.lora.layers import linear_shapes
from core.serving.lora.slots import HostAdapter
from core.serving.settings import EngineSettings

BASE_NAME = "base"
# Sampling settings that a base's generation_config.json may recommend.
_RECOMMENDED = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


class Service:
    """Built on the engine's thread; its methods may then be called from any other."""

    def __init__(
        self,
        source: BaseSource,
        home: Home,
        settings: EngineSettings,
        *,
        on_outputs: Callable[[list[tuple[Sequence, RequestOutput]]], None],
        on_phase: Callable[[str], None],
    ) -> None:
        self.base_name = source.name
        self.default_max_tokens = settings.default_max_tokens
        tokenizer = load_tokenizer(source)
        base = open_base(source, home, publish=True, progress=on_phase)
        model = base.model
        facts = BaseFacts(source.id, fingerprint(source), linear_shapes(model))
        file = StartFile(home.cache, source.id, base.identity, settings) if base.identity else None
        built = build_engine(
            model,
            tokenizer,
            settings,
            record=StartRecord(file),
            on_phase=on_phase,
            on_outputs=on_outputs,
            on_step=ChatActivity(home).report,
        )
        self.engine, self.choices = built.engine, built.choices
        self.choices["base"] = base.how
        self.prompts = Prompts(tokenizer, model.get_input_embeddings().num_embeddings, self.engine.max_length)
        self.defaults: Mapping[str, float]
        self.defaults, unusable = usable_sampling_defaults(_recommended(model.generation_config))
        if unusable:
            reason = f"its generation_config.json recommends what cannot be: {' '.join(unusable)}"
            self.choices["sampling"] = Choice("this engine's own", reason)
        self.adapters = AdapterCache(
            home,
            facts,
            max_rank=settings.max_rank,
            dtype=model.dtype,
            max_bytes=settings.host_cache_mb << 20,
            retire=self.engine.retire,
        )

    def prepare(
        self, request: GenerationRequest, client: str, on_output: Callable[[int, RequestOutput], None]
    ) -> ResponseBuilder:
        """Find the adapter, encode the prompts, make the sequences. Reads files, so it must not run on an event loop.

        on_output: called with (choice, output). Raises ApiError when the request cannot be answered.
        """
        adapter = self._adapter(request.model)
        prompts = self.prompts.encode(request)
        count, most = len(prompts) * request.n, self.engine.waiting.client_limit
        if count > most:
            raise ApiError(400, f"{count} completions are asked for at once; at most {most}.", param="n")
        sequences: list[Sequence] = []
        for prompt in prompts:
            max_tokens = request.length_limit or self._default_length(len(prompt))
            self._check_length(len(prompt), max_tokens, request)
            params = request.sampling_params(self.defaults, max_tokens)
            for choice in range(request.n):
                own = params if params.seed is None else replace(params, seed=params.seed + choice)
                sequences.append(Sequence(prompt, own, partial(on_output, len(sequences)), adapter, client))
        name = adapter.name if adapter else self.base_name
        return ResponseBuilder(request, name, sequences, sum(map(len, prompts)), self.prompts.token_text)

    def submit(self, sequences: list[Sequence]) -> None:
        """Queue the sequences of one client. Raises ApiError 429 when too many wait."""
        try:
            self.engine.submit(sequences)
        except QueueFull as full:
            whose = "of yours " if full.own else ""
            raise ApiError(
                429,
                f"Too many requests {whose}are waiting ({full.waiting} in all). Try again shortly.",
                code="queue_full",
                retry_after=self._retry_after(),
            ) from full

    def cancel(self, sequences: list[Sequence]) -> None:
        self.engine.cancel(sequences)

    def stats(self) -> EngineStats:
        return self.engine.stats()

    def models(self) -> dict[str, Any]:
        """The list of /v1/models: the base, and every adapter that can be asked for. Reads files."""
        base = {"id": self.base_name, "object": "model", "created": 0, "owned_by": "guanaco-studio", "parent": None}
        base |= {"root": self.base_name, "max_model_len": self.engine.max_length}
        found = []
        for name, folder in sorted(self.adapters.names().items()):
            with suppress(FileNotFoundError):  # a checkpoint that its run has just replaced by a newer one
                created = int(folder.stat().st_mtime)
                known = {"id": name, "object": "model", "created": created, "owned_by": "guanaco-studio"}
                found.append(known | {"parent": self.base_name, "root": name})
        return {"object": "list", "data": [base, *found]}

    def model(self, name: str) -> dict[str, Any]:
        """One entry of `models`. Raises ApiError 404 when there is none of that name."""
        for each in self.models()["data"]:
            if each["id"] == name or (name == BASE_NAME and each["parent"] is None):
                return dict(each)
        raise self._unknown(name)

    def load(self, name: str, folder: Path, replace_present: bool) -> str:
        """Load an adapter and install it; the result says where it is: "slot", or "host" while all slots are in use."""
        try:
            adapter = self.adapters.load(name, folder, replace=replace_present)
        except UserError as error:
            raise ApiError(400, str(error), param="lora_path") from error
        return "host" if self.engine.install(adapter).result() is None else "slot"

    def unload(self, name: str) -> None:
        if not self.adapters.unload(name):
            raise self._unknown(name)

    def close(self) -> None:
        """Let the engine's loop return after the step in progress."""
        self.engine.close()

    def resident(self) -> list[dict[str, str]]:
        in_slots = {adapter.name for adapter in self.engine.slots.resident()}
        names = sorted(in_slots | set(self.adapters.in_memory()))
        return [{"name": name, "where": "slot" if name in in_slots else "host"} for name in names]

    def _adapter(self, model: str) -> HostAdapter | None:
        if model == self.base_name and model in self.adapters.names():
            raise ApiError(
                400,
                f"Both the base and an adapter are called {model}. For the base, ask for {BASE_NAME}; give the adapter "
                "another name.",
                param="model",
            )
        if model in (BASE_NAME, self.base_name):
            return None
        try:
            adapter = self.adapters.get(model)
        except UserError as error:
            raise ApiError(400, without_paths(str(error)), param="model", code="adapter_unusable") from error
        if adapter is None:
            raise self._unknown(model)
        return adapter

    def _unknown(self, name: str) -> ApiError:
        known = ", ".join([self.base_name, *sorted(self.adapters.names())])
        return ApiError(
            404, f"There is no model {shortened(name)}. Known: {known}.", param="model", code="model_not_found"
        )

    def _check_length(self, prompt: int, max_tokens: int, request: GenerationRequest) -> None:
        try:
            self.engine.check_length(prompt, max_tokens)
        except UserError as error:
            param = "messages" if isinstance(request, ChatCompletionRequest) else "prompt"
            raise ApiError(400, str(error), param=param, code="context_length_exceeded") from error

    def _default_length(self, prompt: int) -> int:
        return max(1, min(self.default_max_tokens, self.engine.max_length - prompt))

    def _retry_after(self) -> int:
        """Seconds until about a quarter of what waits has been served, as fast as it goes now; 1 to 60."""
        counters = self.engine.counters
        if not counters.steps or not counters.output_tokens:
            return 1
        seconds_per_token = counters.step_seconds / counters.output_tokens
        return int(min(60, max(1, seconds_per_token * self.default_max_tokens * len(self.engine.waiting) / 4)))


def usable_sampling_defaults(recommended: dict[str, Any]) -> tuple[dict[str, float], list[str]]:
    """The recommended settings that a request may have, and why the others cannot be used."""
    wrong = []
    for name, value in list(recommended.items()):
        try:
            parse_request(CompletionRequest, {"model": BASE_NAME, name: value})
        except ApiError as error:
            wrong.append(error.message)
            del recommended[name]
    return recommended, wrong


def _recommended(config: Any) -> dict[str, Any]:
    found = {name: getattr(config, name, None) for name in _RECOMMENDED}
    return {name: value for name, value in found.items() if value is not None}
