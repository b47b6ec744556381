"""How a program speaks to /v1: the same request in three languages, to be copied."""

from __future__ import annotations

KEY = "YOUR_KEY"


def snippets(origin: str, model: str) -> dict[str, str]:
    """By language, for a studio that is reached at `origin` (without a slash at the end)."""
    return {
        "curl": f"""\
curl {origin}/v1/chat/completions \\
  -H "Authorization: Bearer {KEY}" -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Who are you?"}}]}}'
""",
        "Python": f"""\
from openai import OpenAI

client = OpenAI(base_url="{origin}/v1", api_key="{KEY}")
answer = client.chat.completions.create(
    model="{model}", messages=[{{"role": "user", "content": "Who are you?"}}]
)
print(answer.choices[0].message.content)
""",
        "JavaScript": f"""\
const answer = await fetch("{origin}/v1/chat/completions", {{
  method: "POST",
  headers: {{ Authorization: "Bearer {KEY}", "Content-Type": "application/json" }},
  body: JSON.stringify({{ model: "{model}", messages: [{{ role: "user", content: "Who are you?" }}] }}),
}});
console.log((await answer.json()).choices[0].message.content);
""",
    }
