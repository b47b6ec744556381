"""Buttons inside drawn HTML: what has data-action or data-look triggers an event that carries what was clicked."""

from __future__ import annotations

import gradio as gr

# data-look changes what this browser shows ("select"), data-action changes the studio ("click"). A button with
# data-confirm asks first. Delegated from the component's own element, which outlives what is drawn inside.
ON_LOAD = """
element.addEventListener("click", (event) => {
  const at = event.target.closest("[data-action], [data-look]");
  if (!at || !element.contains(at)) return;
  if (at.dataset.confirm && !confirm(at.dataset.confirm)) return;
  const kind = at.dataset.look ? "select" : "click";
  trigger(kind, { action: at.dataset.look || at.dataset.action, value: at.dataset.value || "" });
});
"""


def clickable_html(value: str, elem_id: str) -> gr.HTML:
    """An HTML component whose buttons act."""
    return gr.HTML(value, elem_id=elem_id, js_on_load=ON_LOAD)


def clicked_action(event: gr.EventData) -> tuple[str, str]:
    """(action, value) of what was clicked; it comes from a browser, so it is text and nothing else is known of it."""
    data = event._data if isinstance(event._data, dict) else {}
    return str(data.get("action", "")), str(data.get("value", ""))
