"""Chat: one to four columns, each with the base or an adapter, and one composer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from core.base import BUILTIN
from studio import learning
from studio.context import Studio
from studio.engine_client import Delta, Message
from studio.pages import keeping
from studio.pages.telling import told
from studio.people import person_of
from studio.present import badge
from studio.published import check_may_use
from studio.side_by_side import Answer, stream_columns

COLUMNS = 4
BASE = "base"  # the engine knows its base under this name whatever its real id is
EXAMPLES = ("What is the capital of Cuba?", "What is 7 + 5?", "Who are you?", "Tell me a short story.")
EMPTY = "### Ask something\nEnter sends, Shift+Enter breaks the line, Esc stops."


@dataclass(frozen=True)
class ChatPage:
    """The components that other parts of the page keep current."""

    adapters: list[gr.Dropdown]
    keep_buttons: list[gr.Button]  # shown to those who may
    kept: Any  # the event of keeping an answer as a training example


def build(studio: Studio) -> ChatPage:
    columns, adapters, bots, badges, keep_buttons = [], [], [], [], []
    with gr.Row():
        for index in range(COLUMNS):
            with gr.Column(visible=index == 0, min_width=240) as column:
                adapters.append(
                    gr.Dropdown(
                        [BASE],
                        value=BASE,
                        label=f"Column {index + 1} answers with",
                        container=False,
                        elem_id=f"adapter-{index}",
                    )
                )
                bots.append(
                    gr.Chatbot(
                        label=f"Column {index + 1}",
                        show_label=False,
                        height="calc(100vh - 390px)",
                        min_height=260,
                        placeholder=EMPTY,
                        buttons=["copy", "copy_all"],
                        layout="bubble",
                        feedback_options=None,
                        elem_id=f"bot-{index}",
                    )
                )
                with gr.Row(elem_classes="beneath"):
                    badges.append(gr.HTML(badge(None, BASE), elem_id=f"badge-{index}"))
                    keep_buttons.append(
                        gr.Button(
                            "Keep answer", size="sm", scale=0, min_width=110, visible=False, elem_id=f"keep-{index}"
                        )
                    )
            columns.append(column)
    with gr.Row(elem_classes="examples"):
        count = gr.Radio(
            [("1 column", 1), ("2", 2), ("3", 3), ("4", 4)],
            value=1,
            label="Columns",
            show_label=False,
            container=False,
            elem_id="columns",
            scale=0,
        )
        examples = [gr.Button(text, size="sm", variant="secondary") for text in EXAMPLES]
    with gr.Row(equal_height=True):
        composer = gr.Textbox(
            placeholder="Message …",
            show_label=False,
            container=False,
            lines=1,
            max_lines=8,
            autofocus=True,
            scale=8,
            elem_id="composer",
            label="Message",
        )
        send_button = gr.Button("Send", variant="primary", scale=0, min_width=90, elem_id="send")
        stop_button = gr.Button("Stop", scale=0, min_width=80, elem_id="stop-answers")
        clear_button = gr.Button("Clear", scale=0, min_width=80, elem_id="clear-chat")
    with gr.Accordion("Settings", open=False):
        system = gr.Textbox(label="System prompt", lines=2, placeholder="Optional: who should answer, and how?")
        with gr.Row():
            temperature = gr.Slider(
                0, 2, 0.0 if studio.base == BUILTIN else 0.7, step=0.05, label="temperature", info="0 is greedy"
            )
            top_p = gr.Slider(0.05, 1, 0.95, step=0.05, label="top_p")
            max_tokens = gr.Slider(16, 2048, 256, step=16, label="max_tokens")
            seed = gr.Number(None, label="seed", info="empty for a new one each time", precision=0)

    kept = keeping.build(studio, keep_buttons, [[bot, system] for bot in bots], conversation)

    settings = [system, temperature, top_p, max_tokens, seed]

    async def send(request: gr.Request, text: str | None, shown: int, *rest: Any) -> AsyncIterator[list[Any]]:
        settings_now, names, histories = rest[:5], rest[5 : 5 + COLUMNS], rest[5 + COLUMNS :]
        if not text or not text.strip():
            gr.Info("Write a message first.")
            return
        for name in names[:shown]:
            check_may_use(studio, person_of(request), name or BASE)
        asked = [add_user(history, text) if i < shown else history or [] for i, history in enumerate(histories)]
        yield ["", *asked, *[badge(Answer(), names[i]) if i < shown else "" for i in range(COLUMNS)]]
        streams = [
            answer(studio, names[i] or BASE, conversation(asked[i], settings_now[0]), settings_now[1:])
            for i in range(shown)
        ]
        async for answers in stream_columns(streams):
            texts = [with_answer(asked[i], answers[i].text) if i < shown else gr.skip() for i in range(COLUMNS)]
            badges_now = [badge(answers[i], names[i]) if i < shown else gr.skip() for i in range(COLUMNS)]
            yield [gr.skip(), *texts, *badges_now]

    def show(n: int) -> list[Any]:
        return [gr.Column(visible=i < n) for i in range(COLUMNS)]

    def clear() -> list[Any]:
        return [[] for _ in range(COLUMNS)] + [badge(None, BASE)] * COLUMNS

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    sending = gr.on(
        [composer.submit, send_button.click],
        told(send),
        [composer, count, *settings, *adapters, *bots],
        [composer, *bots, *badges],
        concurrency_limit=16,
        **quiet,
    )
    # Cancelling closes the handler's iterator, which closes the requests, which frees the engine's rows.
    stop_button.click(None, None, None, cancels=[sending], api_visibility="private")
    clear_button.click(clear, None, [*bots, *badges], cancels=[sending], queue=False, **quiet)
    count.change(show, count, columns, queue=False, **quiet)
    for button in examples:
        button.click(filling_in(button.value), None, composer, queue=False, **quiet)
    return ChatPage(adapters, keep_buttons, kept)


def filling_in(example: str) -> Callable[[], str]:
    def fill_in() -> str:
        return example

    return fill_in


async def answer(
    studio: Studio, chosen: str, messages: list[Message], settings: tuple[Any, ...]
) -> AsyncIterator[Delta]:
    """One column's answer. While the engine is still loading, says so in the column and goes on once it is there."""
    temperature, top_p, max_tokens, seed = settings
    await studio.engine.wait_until_ready()
    model = await asyncio.to_thread(learning.resident, studio.client, studio.home, chosen)
    body = {"temperature": temperature, "top_p": top_p, "max_tokens": int(max_tokens)}
    if seed is not None:
        body["seed"] = int(seed)
    async for delta in studio.client.chat(model, messages, **body):
        yield delta


def text_of(content: Any) -> str:
    """The words of a chatbot message: Gradio hands them over as text or as a list of typed parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return str(content.get("text", ""))
    return "".join(text_of(part) for part in content or [])


def add_user(history: list[dict[str, Any]] | None, text: str) -> list[dict[str, Any]]:
    return [*(history or []), {"role": "user", "content": text}]


def with_answer(history: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    return [*history, {"role": "assistant", "content": text}]


def conversation(history: list[dict[str, Any]], system: str | None) -> list[Message]:
    """The chatbot's history as OpenAI messages. A turn that never got an answer (stopped, failed) is left out."""
    messages: list[Message] = [{"role": "system", "content": system.strip()}] if system and system.strip() else []
    for message in history:
        content = text_of(message["content"])
        if message["role"] == "user":
            if messages and messages[-1]["role"] == "user":
                messages.pop()
            messages.append({"role": "user", "content": content})
        elif content:
            messages.append({"role": "assistant", "content": content})
    return messages
