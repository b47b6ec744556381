"""Bodies of requests in which anything may stand anywhere."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
CHAT: dict[str, Any] = {"model": "base", "messages": HELLO}
PLAIN: dict[str, Any] = {"model": "base", "prompt": "Once"}


def written(body: Any) -> bytes:
    """As a client may write it; json.dumps has no number for what is beyond all of them."""
    return json.dumps(body).replace("Infinity", "1e999").encode()


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 2**63, 1e-320, 1e308, 5e-324, -0.0, float("inf"), float("nan")])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\ud83d", "\0", "user", "assistant", "text", "5", "-1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
SHARED = [
    *("model", "stream", "stream_options", "n", "seed", "temperature", "top_p", "top_k", "min_p", "repetition_penalty"),
    *(
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "stop",
        "stop_token_ids",
        "ignore_eos",
        "user",
        "metadata",
    ),
    *("logprobs", "max_tokens", "response_format", "nonsense"),
]
OF_CHAT = [
    *("messages", "tools", "tool_choice", "functions", "function_call", "modalities", "audio", "reasoning_effort"),
    *("top_logprobs", "max_completion_tokens", "add_generation_prompt", "continue_final_message"),
    "chat_template_kwargs",
]
OF_COMPLETIONS = ["prompt", "suffix", "echo", "best_of"]
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "developer", "tool"]) | ANYTHING,
        "content": st.text(max_size=20)
        | st.lists(st.fixed_dictionaries({"type": ANYTHING, "text": ANYTHING}))
        | ANYTHING,
        "tool_calls": ANYTHING,
    },
)


def strange(base: dict[str, Any], names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies in which some fields are anything at all."""
    changes = st.dictionaries(st.sampled_from(names), ANYTHING, max_size=4)
    near = st.fixed_dictionaries({}, optional={"messages": st.lists(MESSAGE, max_size=4)} if "messages" in base else {})
    return st.builds(lambda change, others: base | others | change, changes, near)
