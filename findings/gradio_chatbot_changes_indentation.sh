#!/usr/bin/env bash
# gradio 6.31.0: gr.Chatbot runs inspect.cleandoc on a message whose content is a str. It takes out the indentation that
# all lines but the first share, strips the first line, and makes eight blanks of a tab. A content of the form
# [{"type": "text", "text": …}] is left alone.
# Seen: 'def f():\n    return 1' becomes 'def f():\nreturn 1'; the tab of a makefile within a code fence becomes blanks.
# It matters to every chat whose history comes back from the page: the model is asked again with other code than it wrote.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet gradio==6.31.0
cat > "$folder/show.py" <<'PYTHON'
import sys

import gradio as gr

TEXTS = {
    "def f():\n    return 1": "def f():\nreturn 1",
    "```make\nall:\n\techo hi\n```": "```make\nall:\n        echo hi\n```",
}


def comes_back(content: object) -> str:
    bot = gr.Chatbot()
    [message] = bot.preprocess(bot.postprocess([{"role": "assistant", "content": content}]))
    return message["content"][0]["text"]


changed = False
for text, otherwise in TEXTS.items():
    as_str, in_parts = comes_back(text), comes_back([{"type": "text", "text": text}])
    print(f"gradio {gr.__version__}: {text!r} comes back as {as_str!r}, in parts as {in_parts!r}")
    changed |= as_str != otherwise or in_parts != text
sys.exit(changed)
PYTHON
GRADIO_ANALYTICS_ENABLED=False "$folder/env/bin/python" "$folder/show.py"
