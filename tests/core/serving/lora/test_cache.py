"""Adapters by name: read when asked for, kept while there is room, refused with the reason."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.common.errors import UserError
from adapters.compat import BaseFacts
from adapters.record import AdapterRecord
from adapters.store import AdapterStore
from core.common.home import Home
from core.serving.lora import cache as cache_module
from core.serving.lora.cache import AdapterCache
from core.serving.lora.layers import linear_shapes
from core.serving.lora.slots import HostAdapter
from tests.core.serving import tiny

FACTS = BaseFacts("tiny", None, linear_shapes(tiny.model()))


@pytest.fixture
def stored(home: Home, folders: list[Path], tmp_path: Path) -> Home:
    """A home with the adapters a0 to a3."""
    store = AdapterStore(home.adapters)
    for folder in folders[:4]:
        copy = shutil.copytree(folder, tmp_path / "staged" / folder.name)
        store.add(folder.name, copy, AdapterRecord(folder.name, "tiny"))
    return home


def cache(home: Home, retired: list[str], max_bytes: int = 1 << 30, max_rank: int = 64) -> AdapterCache:
    return AdapterCache(
        home,
        FACTS,
        max_rank=max_rank,
        dtype=torch.float32,
        max_bytes=max_bytes,
        retire=lambda adapter: retired.append(adapter.name),
    )


def test_an_adapter_is_read_once_however_many_ask_for_it(stored: Home) -> None:
    kept, got = cache(stored, []), []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        got.append(kept.get("a0"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(adapter) for adapter in got}) == 1
    assert kept.get("nobody") is None


def test_the_least_recently_used_leaves_when_memory_is_short(stored: Home) -> None:
    retired: list[str] = []
    size = max(adapter.bytes for name in ("a0", "a1", "a2") if (adapter := cache(stored, []).get(name)) is not None)
    kept = cache(stored, retired, max_bytes=2 * size)
    for name in ("a0", "a1", "a0", "a2"):
        kept.get(name)
    assert (kept.in_memory(), retired) == (["a0", "a2"], ["a1"])


def test_what_is_deleted_or_renamed_on_disk_leaves_memory(stored: Home) -> None:
    retired: list[str] = []
    kept = cache(stored, retired)
    kept.get("a0")
    kept.get("a1")
    AdapterStore(stored.adapters).rename("a0", "new")
    assert sorted(kept.names()) == ["a1", "a2", "a3", "new"]
    assert (kept.in_memory(), retired) == (["a1"], ["a0"])
    assert kept.get("a0") is None
    assert kept.get("new") is not None


def test_a_refused_load_changes_nothing(stored: Home, folders: list[Path], tmp_path: Path) -> None:
    retired: list[str] = []
    kept = cache(stored, retired)
    first = kept.get("a0")
    broken = shutil.copytree(folders[4], stored.runs / "r" / "checkpoint-1")
    (broken / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match="not whole"):
        kept.load("a0", broken, replace=True)
    assert kept.get("a0") is first
    assert retired == []
    link = stored.runs / "link"
    link.symlink_to(tmp_path / "staged")
    with pytest.raises(UserError, match="not under the home"):
        kept.load("x", link / "elsewhere", replace=False)


def test_loading_again_what_is_loaded_reads_nothing(stored: Home) -> None:
    kept = cache(stored, [])
    assert kept.load("a1", stored.adapters / "a1", replace=False) is kept.get("a1")


def test_an_adapter_loaded_by_path_hides_the_stored_one_until_it_is_unloaded(stored: Home, folders: list[Path]) -> None:
    kept = cache(stored, [])
    checkpoint = shutil.copytree(folders[5], stored.runs / "r" / "checkpoint-1")
    kept.load("a0", checkpoint, replace=True)
    shown = kept.get("a0")
    assert isinstance(shown, HostAdapter)
    assert shown.folder == checkpoint.resolve()
    assert kept.unload("a0")
    stored_again = kept.get("a0")
    assert isinstance(stored_again, HostAdapter)
    assert stored_again.folder == (stored.adapters / "a0").resolve()
    assert not kept.unload("nobody")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "replaces whole layers"),
        ({"bias": "all"}, "trained biases"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"base_model_name_or_path": "other/base"}, "trained on other/base"),
    ],
)
def test_what_does_not_fit_the_slots_or_the_base_is_refused(
    stored: Home, change: dict[str, object], reason: str
) -> None:
    config = stored.adapters / "a0" / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises(UserError, match=reason):
        cache(stored, []).get("a0")


def test_a_rank_over_the_limit_is_refused_with_both_numbers(stored: Home) -> None:
    with pytest.raises(UserError, match="Its rank is 6; the engine's slots hold up to 4"):
        cache(stored, [], max_rank=4).get("a2")


def test_torch_calculates_on_no_thread_that_stays(stored: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would keep OpenMP workers, and with more of them than cores the engine's steps take twice as long."""
    kept, readers = cache(stored, []), []
    plain = cache_module.read_adapter

    def read(*arguments: Any) -> HostAdapter:
        readers.append(threading.current_thread())
        return plain(*arguments)

    monkeypatch.setattr(cache_module, "read_adapter", read)
    assert kept.get("a0") and kept.load("other", stored.adapters / "a1", replace=False)
    assert len(readers) == 2 and not any(reader.is_alive() for reader in readers)
