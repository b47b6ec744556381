"""`python -m studio check-data FILE`: what a dataset holds, what is wrong with it, and how many tokens it has."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from core.data.formats import FORMATS
from studio.cli.options import Subparsers, add_json_option

if TYPE_CHECKING:
    from core.data.dataset import Problem
    from core.data.load import Source
    from core.data.report import Report

WIDEST = 40  # characters of the histogram's longest bar
SHOWN = 100  # problems listed on the terminal; --json has them all


def add_parser(subparsers: Subparsers) -> None:
    parser = subparsers.add_parser(
        "check-data",
        help="read a dataset and report its format, problems and token counts",
        description="Read a dataset from end to end. Exit 0: every row converts; 1: some do not; 2: it can't be read.",
    )
    parser.add_argument(
        "dataset",
        metavar="FILE",
        nargs="+",
        help="a file, plain, gzipped or zipped; several; a folder; a Hub id (owner/name); a bundled sample's name",
    )
    parser.add_argument("--format", choices=sorted(FORMATS), help="read every row so, instead of detecting the format")
    parser.add_argument(
        "--columns",
        metavar="A=B,…",
        help="which columns stand for the known ones, such as question=Frage,answer=Antwort",
    )
    parser.add_argument("--config", help="config of a Hub dataset")
    parser.add_argument("--split", default="train", help="split of a Hub dataset (default: train)")
    parser.add_argument("--revision", help="branch, tag or commit of a Hub dataset")
    parser.add_argument("--base", default="builtin", help="base model whose template and tokenizer count the tokens")
    parser.add_argument(
        "--max-length", type=int, metavar="N", help="count conversations over N tokens (default: base's)"
    )
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from adapters.common.errors import UserError
    from core.data.load import files_source, open_source
    from core.data.report import build_report
    from core.models.base import load_tokenizer, resolve
    from core.recipes.recipe import Recipe, defaults_for
    from studio.cli.output import print_json

    max_length = args.max_length
    if max_length is None:
        max_length = defaults_for(args.base).get("max_length", Recipe.max_length)
    if max_length < 1:
        raise UserError(f"--max-length is {max_length}.", "Give a number of tokens above 0, such as 512.")
    if len(args.dataset) > 1:
        source = files_source([Path(name) for name in args.dataset], args.split)
    else:
        source = open_source(args.dataset[0], config=args.config, split=args.split, revision=args.revision)
    tokenizer = load_tokenizer(resolve(args.base))
    with row_counter() as progress:
        report = build_report(source, tokenizer, max_length, args.format, args.columns, progress)
    if args.json:
        for note in report.notes:
            print(problem_line(note), file=sys.stderr)
        print_json(report.to_dict())
    else:
        print_report(report, source, args.base, max_length)
    return 1 if report.problems else 0


@contextmanager
def row_counter() -> Iterator[Callable[[int], None]]:
    """The rows so far, on stderr; nothing where that is no terminal."""
    from rich.console import Console

    with Console(stderr=True).status("Reading …") as status:

        def show_count(rows: int) -> None:
            if rows % 100 == 0:
                status.update(f"{rows:,} rows …")

        yield show_count


def describe_packing(lengths: Sequence[int], max_length: int) -> str:
    from core.planner import count_packed_rows

    if not lengths:
        return "–"
    rows = count_packed_rows(list(lengths), max_length)
    full = sum(min(length, max_length) for length in lengths) / (rows * max_length)
    return f"{rows:,} rows of {max_length} instead of {len(lengths):,}, {full:.0%} full"


def histogram_lines(lengths: Sequence[int], max_length: int) -> Iterator[tuple[str, bool]]:
    """A histogram line by line, and whether the line is over max_length."""
    from studio.data.histogram import bin_label, bins

    edges, counts = bins(lengths, max_length, bars=10)
    for index, count in enumerate(counts):
        bar = "█" * round(WIDEST * count / max(counts))
        yield f"{bin_label(edges, index):>18} {bar:<{WIDEST}} {count:,}", edges[index] >= max_length


def problem_line(problem: Problem) -> str:
    where = f"row {problem.row}: " if problem.row else ""
    return f"{where}{problem.what} {problem.remedy}".strip()


def print_report(report: Report, source: Source, base: str, max_length: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    facts = Table(title=Text(source.name), show_header=False, title_justify="left")
    tokens = report.tokens
    unit = "conversation" if len(report.lengths) <= report.conversations else "training row"
    where = f"{source.kind}, revision {source.revision}" if source.revision else source.kind
    for label, value in (
        ("source", f"{where}; licence {source.license or 'not stated'}"),
        ("format", f"{report.format} ({report.evidence})"),
        ("rows", f"{report.rows:,}"),
        ("conversations", f"{report.conversations:,}"),
        ("turns", f"{report.turns:,}"),
        ("languages", f"{report.languages} (a guess)" if report.languages else "–"),
        ("problems", f"{len(report.problems):,}"),
        ("notes", f"{len(report.notes):,}"),
        (
            f"tokens ({base})",
            f"mean {tokens.mean:.1f}, median {tokens.p50}, 95 % up to {tokens.p95}, longest {tokens.max}",
        ),
        ("trained share", f"{tokens.trained_share:.0%} of the tokens"),
        (f"over {max_length}", f"{tokens.over_max_length:,} {unit}s, cut there"),
        ("packing", describe_packing(report.lengths, max_length)),
    ):
        facts.add_row(label, Text(value))
    console.print(facts)
    if report.lengths:
        console.print(Text(f"Tokens per {unit}; beyond {max_length} they are cut:"))
        for line, over in histogram_lines(report.lengths, max_length):
            console.print(Text(line, style="yellow" if over else "green"))
    for title, problems in (("Problems", report.problems), ("Notes", report.notes)):
        if problems:
            table = Table("row", "what", "what to do", title=title, title_justify="left")
            for problem in problems[:SHOWN]:
                table.add_row(str(problem.row or "all"), Text(problem.what), Text(problem.remedy))
            console.print(table)
            if len(problems) > SHOWN:
                console.print(f"… and {len(problems) - SHOWN:,} more; --json lists every problem.")
