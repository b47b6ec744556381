"""An adapter's changes written into the base's own weights: a whole model that needs no PEFT, for other programs.

The base is not loaded. Its files are copied, and in the copy one weight after the other becomes W + scaling * B A,
calculated in fp32 and rounded once to the type that W is stored in; so the largest model needs the memory of its
largest weight. The unquantised weights are used: merging into 4-bit ones would round twice.

As a process: python -m core.models.merge ADAPTER --base BASE --to FOLDER, which prints one JSON object per step.
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.bases import find_base_mismatch
from adapters.common.errors import UserError
from adapters.common.files import no_room, remove_tree, temporary_name
from adapters.compat import AdapterFacts, inspect, why_not_config
from adapters.folder_layout import WEIGHTS_FILE
from core.data.tokenize.end_of_turn import stop_ids
from core.models.base import BaseSource, fingerprint, load_error, load_tokenizer, read_generation_config, resolve

if TYPE_CHECKING:
    import torch

INDEX_FILE = "model.safetensors.index.json"
COMPANIONS = ("*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.*", "LICENSE*", "NOTICE*")
KEPT_FREE = 256 << 20  # bytes of disk that are left for everything else
Progress = Callable[[float, str], None]  # share done (0 to 1), what is being done


@dataclass(frozen=True)
class Place:
    """Where in a file a tensor's bytes are."""

    file: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def merge(source: BaseSource, adapter: Path, target: Path, progress: Progress | None = None) -> Path:
    """Write the merged model as the folder `target`, which appears when it is whole and replaces an earlier one.

    Raises UserError when the adapter is not plain LoRA for this base, or the base's weights are not to be had whole.
    """
    tell = progress or (lambda share, what: None)
    facts = inspect(adapter)
    reason = find_base_mismatch(facts.origin, source.id, fingerprint(source)) or why_not_config(facts.config)
    if reason is None and facts.odd_tensors:
        reason = f"It has weights that are not LoRA pairs on linear layers, such as {facts.odd_tensors[0]}."
    if reason:
        raise UserError(f"{adapter.name} cannot be merged. {reason}", "Only plain LoRA can be written into its base.")
    tell(0.0, "Looking for the base's unquantised weights")
    folder = weights_folder(source)
    refuse_quantised(source, folder)
    places = tensors_of(folder)
    check_fits(source, facts, places)
    with staged(target, sum(path.stat().st_size for path in files_of(folder))) as stage:
        for path in files_of(folder):
            tell(0.05, f"Copying {path.name}")
            shutil.copyfile(path, stage / path.name)
        write_into(stage, adapter, facts, places, tell)
        name_ends(source, stage)
    tell(1.0, "Done")
    return target


def name_ends(source: BaseSource, folder: Path) -> None:
    """Let other programs stop where this studio's engine does: at the end of a turn as it was taught, too."""
    stops = sorted(stop_ids(load_tokenizer(source), read_generation_config(source)))
    path = folder / "generation_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(config | {"eos_token_id": stops}, indent=2) + "\n", encoding="utf-8")


def weights_folder(source: BaseSource) -> Path:
    """The folder with the base's files; of a Hub base those that the cache has are not fetched again."""
    if source.local:
        return Path(source.location)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source.location, allow_patterns=["*.safetensors", *COMPANIONS]))
    except (OSError, ValueError) as error:
        raise load_error(source, error) from error


def refuse_quantised(source: BaseSource, folder: Path) -> None:
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise load_error(source, error) from error
    if config.get("quantization_config"):
        raise UserError(
            f"The weights of {source.name} are quantised as they are published.",
            "Merge into the unquantised checkpoint of the same model: start the studio with that as its base.",
        )


def shards_of(folder: Path) -> list[str]:
    """The weights' files: those that the index names where there is one."""
    index = folder / INDEX_FILE
    if index.is_file():
        return sorted(set(json.loads(index.read_text())["weight_map"].values()))
    if (folder / "model.safetensors").is_file():
        return ["model.safetensors"]
    return sorted(path.name for path in folder.glob("*.safetensors"))


def files_of(folder: Path) -> list[Path]:
    companions = {path for pattern in COMPANIONS for path in folder.glob(pattern) if path.is_file()}
    return [*sorted(companions), *(folder / name for name in shards_of(folder))]


def tensors_of(folder: Path) -> dict[str, Place]:
    """Every tensor of the base, by name. Format: https://huggingface.co/docs/safetensors."""
    found = {}
    for name in shards_of(folder):
        with (folder / name).open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
        for tensor, entry in header.items():
            if tensor != "__metadata__":
                begin, end = (8 + length + offset for offset in entry["data_offsets"])
                found[tensor] = Place(name, entry["dtype"], tuple(entry["shape"]), begin, end)
    return found


def check_fits(source: BaseSource, facts: AdapterFacts, places: dict[str, Place]) -> None:
    for module, pair in facts.pairs.items():
        place = places.get(f"{module}.weight")
        if place is None:
            raise UserError(
                f"The weights of {source.name} have no {module}.weight, which the adapter changes.",
                "The layer shares another one's weights, or has another name in the files; use the adapter with PEFT.",
            )
        if place.shape != (pair.out_features, pair.in_features):
            raise UserError(
                f"{module}.weight of {source.name} is {place.shape}, and the adapter is made for "
                f"{(pair.out_features, pair.in_features)}.",
                "It was trained on another base.",
            )


def write_into(stage: Path, adapter: Path, facts: AdapterFacts, places: dict[str, Place], tell: Progress) -> None:
    from safetensors import safe_open

    modules = list(facts.pairs)
    with safe_open(adapter / WEIGHTS_FILE, framework="pt") as matrices:
        names = {name.removeprefix("base_model.model."): name for name in matrices.keys()}  # noqa: SIM118
        for number, module in enumerate(modules):
            tell(0.2 + 0.8 * number / len(modules), f"Merging {module}")
            place = places[f"{module}.weight"]
            a, b = (matrices.get_tensor(names[f"{module}.lora_{side}.weight"]).float() for side in "AB")
            add(stage / place.file, place, facts.scaling(module) * (b @ a))


def add(path: Path, place: Place, change: torch.Tensor) -> None:
    """Add `change` to a tensor of a safetensors file, in that file; (out_features, in_features), fp32."""
    import torch

    dtypes = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    if place.dtype not in dtypes:
        raise UserError(f"{path.name} has weights of the type {place.dtype}.", "Merge into a 16- or 32-bit checkpoint.")
    with path.open("r+b") as file:  # not mapped: on a full disk a mapped page would end this process without a word
        file.seek(place.begin)
        content = bytearray(file.read(place.end - place.begin))
        weight = torch.frombuffer(content, dtype=dtypes[place.dtype]).view(place.shape)
        weight.copy_(weight.float() + change)
        file.seek(place.begin)
        file.write(content)


@contextmanager
def staged(target: Path, size: int) -> Iterator[Path]:
    """A folder companions `target` that takes its name, and its place, when the block ends well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if free < size + KEPT_FREE:
        raise UserError(
            f"The merged model takes {size / 2**30:.2f} GiB, and {target.parent} has {free / 2**30:.2f} GiB left.",
            "Free some, or choose another folder.",
        )
    if target.exists() and not (target / "config.json").is_file() and any(target.iterdir()):
        raise UserError(f"{target} exists and holds something else than a model.", "Choose another folder.")
    stage = Path(tempfile.mkdtemp(prefix=temporary_name(target.name), dir=target.parent))
    try:
        yield stage
        stage.chmod(0o755)
        if target.exists():
            remove_tree(target)
        stage.rename(target)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m core.models.merge", description=__doc__)
    parser.add_argument("adapter", type=Path)
    parser.add_argument("--base", required=True)
    parser.add_argument("--to", type=Path, required=True)
    args = parser.parse_args(arguments)

    def tell(share: float, what: str) -> None:
        say({"share": round(share, 3), "what": what})

    try:
        say({"folder": str(merge(resolve(args.base), args.adapter, args.to, tell))})
    except UserError as error:
        say({"message": error.message, "remedy": error.remedy})
        return 2
    except OSError as error:
        if not no_room(error):
            raise
        say({"message": "The disk is full: the merged model has no room.", "remedy": "Free some, then merge again."})
        return 2
    return 0


def say(fact: dict[str, Any]) -> None:
    print(json.dumps(fact), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
