"""Adapters that come as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.common.errors import UserError
from studio.adapters_page.import_files import adopt_adapters, import_adapter
from studio.auth.identity import LOCAL_OWNER, Role, User
from studio.context import Studio
from tests.adapters.folders import write_adapter
from tests.studio.adapters_page.conftest import zipped
from tests.studio.conftest import request_of


@pytest.mark.parametrize("below", ["", "some/folder/"])
def test_a_zip_of_an_adapter_comes_in(studio: Studio, tmp_path: Path, below: str) -> None:
    archive = zipped(studio.store.path("mine"), tmp_path / "given.zip", below)
    said, *_ = import_adapter(studio, request_of(LOCAL_OWNER), [str(archive)], "", "")
    assert "given" in said
    weights = "adapter_model.safetensors"
    assert (studio.store.path("given") / weights).read_bytes() == (studio.store.path("mine") / weights).read_bytes()


def test_files_one_by_one_and_a_folder_come_in(studio: Studio, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "by-path")
    files = [str(path) for path in folder.iterdir() if path.is_file()]
    import_adapter(studio, request_of(LOCAL_OWNER), files, "", "by-files")
    import_adapter(studio, request_of(LOCAL_OWNER), None, str(folder), "")
    assert {"by-files", "by-path"} <= {record.name for record in studio.store.list()}
    owner_elsewhere = User(Role.OWNER, "ada", "hub:ada", "hf_ada")
    with pytest.raises(UserError, match="at the machine itself"):
        import_adapter(studio, request_of(owner_elsewhere), None, str(folder), "again")
    with pytest.raises(UserError, match="Nothing was uploaded"):
        import_adapter(studio, request_of(LOCAL_OWNER), None, "", "")


def test_what_was_put_there_by_hand_is_adopted(studio: Studio) -> None:
    with pytest.raises(UserError, match="by hand"):
        adopt_adapters(studio)
    write_adapter(studio.store.root / "put-there")
    assert "put-there" in adopt_adapters(studio)
    assert studio.store.get("put-there").note
