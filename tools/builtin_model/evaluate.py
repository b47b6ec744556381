"""Measure the built-in base and its samples: `python -m tools.builtin_model.evaluate [--adapters [SAMPLE …]] [--json]`.

Everything is asked in NF4, greedily, as the studio serves it. Without --adapters: the share of held-out phrasings that
the base answers right. With it also: each bundled sample is trained with the default recipe in a background worker, and
the adapter is asked, in held-out phrasings, about facts that the sample does not contain.
"""

import argparse
import json
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from core.data.samples import SAMPLES
from tools.builtin_model.make_samples import is_held_out
from tools.builtin_model.questions import Question, held_out_facts, world_questions
from tools.builtin_model.styles import SAMPLE_STYLES

BATCH = 128
LONGEST_STORY, LONGEST_ANSWER = 112, 64  # tokens; what has not ended by then is wrong
ADAPTER_QUESTIONS = 200


def replies(model: Any, tokenizer: Any, questions: Sequence[Question]) -> list[str]:
    """Greedy replies. One that does not end by itself in time gets a mark that makes it wrong."""
    import torch

    order = sorted(range(len(questions)), key=lambda index: (questions[index].category == "stories", index))
    said = [""] * len(questions)
    tokenizer.padding_side = "left"  # replies are appended on the right
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        encoded = tokenizer.apply_chat_template(
            [list(questions[index].messages) for index in chosen],
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            padding=True,
        )
        longest = LONGEST_STORY if questions[chosen[-1]].category == "stories" else LONGEST_ANSWER
        with torch.inference_mode():
            output = model.generate(**encoded.to(model.device), max_new_tokens=longest, do_sample=False)
        for index, row in zip(chosen, output[:, encoded["input_ids"].shape[1] :], strict=True):
            ended = bool((row == tokenizer.eos_token_id).any())
            said[index] = tokenizer.decode(row, skip_special_tokens=True) + ("" if ended else " [did not end]")
    return said


def load(adapter: Path | None = None) -> tuple[Any, Any]:
    """The base in NF4 and its tokenizer, with an adapter if one is given."""
    from transformers.utils.logging import disable_progress_bar

    from core.models.base import BUILTIN, load_model, load_tokenizer, resolve

    disable_progress_bar()
    source = resolve(BUILTIN)
    model = load_model(source)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter).eval()
    return model, load_tokenizer(source)


def evaluate_world(model: Any, tokenizer: Any) -> dict[str, Any]:
    """Right and asked per category, and the wrong replies."""
    questions = world_questions()
    asked: Counter[str] = Counter(question.category for question in questions)
    right: Counter[str] = Counter()
    wrong = []
    for question, reply in zip(questions, replies(model, tokenizer, questions), strict=True):
        if question.right(reply):
            right[question.category] += 1
        else:
            wrong.append({"category": question.category, "question": question.messages[-1]["content"], "reply": reply})
    return {
        "categories": {name: {"right": right[name], "asked": count} for name, count in asked.items()},
        "right": right.total(),
        "asked": asked.total(),
        "wrong": wrong,
    }


def evaluate_adapter(name: str) -> dict[str, Any]:
    """Train the sample with the default recipe, in a worker as the studio does it, and examine the adapter."""
    from core.common.home import Home
    from core.recipes.recipe import Recipe
    from core.training.launcher import start_worker
    from core.training.run import create_run
    from core.training.state import RunState

    with tempfile.TemporaryDirectory(prefix="guanaco-evaluate-") as folder:
        home = Home.open(folder)
        run = create_run(home, Recipe.from_dict({"dataset_name": name}))
        started, used_before = time.monotonic(), _processor_seconds_of_children()
        start_worker(run).wait()
        seconds = time.monotonic() - started
        processor_seconds = _processor_seconds_of_children() - used_before
        summary = run.summary()
        if summary.state is not RunState.DONE or summary.adapter is None:
            raise RuntimeError(f"the run on {name} ended as {summary.state}: {summary.reason}")
        model, tokenizer = load(home.adapters / summary.adapter)
        pairs = held_out_facts(is_held_out, ADAPTER_QUESTIONS)
        said = replies(model, tokenizer, [question for _, question in pairs])
    in_style = [SAMPLE_STYLES[name].matches(reply) for reply in said]
    right = [question.right(reply) for (_, question), reply in zip(pairs, said, strict=True)]
    missed = [
        {"question": question.messages[-1]["content"], "reply": reply}
        for (_, question), reply, *both in zip(pairs, said, in_style, right, strict=True)
        if not all(both)
    ]
    return {
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor_seconds, 1),
        "steps": summary.step,
        "asked": len(said),
        "in_style": sum(in_style),
        "right": sum(right),
        "missed": missed,
    }


def _processor_seconds_of_children() -> float:
    """Used by child processes that have ended. Unlike the clock, it does not count waiting for other work."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [list(map(str, headings)), ["---", *["---:"] * (len(headings) - 1)], *[list(map(str, row)) for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def print_world(result: dict[str, Any]) -> None:
    rows = [(name, n["asked"], n["right"], share(n["right"], n["asked"])) for name, n in result["categories"].items()]
    rows.append(("**all**", result["asked"], result["right"], share(result["right"], result["asked"])))
    print(table(("held-out phrasings", "asked", "right", "share"), rows))


def print_adapters(results: dict[str, dict[str, Any]]) -> None:
    rows = [
        (
            name,
            n["steps"],
            f"{n['seconds']:.0f} s",
            f"{n['processor_seconds']:.0f} s",
            share(n["in_style"], n["asked"]),
            share(n["right"], n["asked"]),
        )
        for name, n in results.items()
    ]
    print(table(("sample", "steps", "training", "processor time", "in style", "facts right"), rows))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.builtin_model.evaluate", description=__doc__)
    parser.add_argument(
        "--adapters",
        nargs="*",
        choices=list(SAMPLES),
        metavar="SAMPLE",
        help="also train and examine an adapter on each of these samples; without names: on all",
    )
    parser.add_argument("--json", action="store_true", help="print everything, wrong replies included, as JSON")
    args = parser.parse_args()

    model, tokenizer = load()
    result: dict[str, Any] = {"world": evaluate_world(model, tokenizer)}
    if not args.json:
        print_world(result["world"])
    if args.adapters is not None:
        result["adapters"] = {name: evaluate_adapter(name) for name in args.adapters or SAMPLES}
        if not args.json:
            print()
            print_adapters(result["adapters"])
    if args.json:
        print(json.dumps(result, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
