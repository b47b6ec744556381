"""The fixture `hub`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub_server.server import HubServer


class Hub(HubServer):
    """The server, with huggingface_hub (and datasets) of this process pointed at it for the length of one test."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, cache: Path) -> None:
        super().__init__(root)
        self._patch = patch
        for name, value in self.env().items():
            patch.setenv(name, value)
        # Both libraries read the environment once, at import; in a test that is long past.
        import datasets.config
        import huggingface_hub.hf_api
        from huggingface_hub import constants

        patch.setattr(huggingface_hub.hf_api.api, "endpoint", self.url)
        patch.setattr(constants, "ENDPOINT", self.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", self.url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
        patch.setattr(constants, "HF_TOKEN_PATH", str(cache / "token"))
        patch.setattr(datasets.config, "HF_ENDPOINT", self.url)
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", cache / "datasets")
        self._constants = constants

    def login(self, token: str | None) -> None:
        """The token that this process has in HF_TOKEN from now on; None for none."""
        if token is None:
            self._patch.delenv("HF_TOKEN", raising=False)
        else:
            self._patch.setenv("HF_TOKEN", token)

    def go_offline(self) -> None:
        """As if this process had been started with HF_HUB_OFFLINE=1."""
        self._patch.setenv("HF_HUB_OFFLINE", "1")
        self._patch.setattr(self._constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub(tmp_path / "hub-server", monkeypatch, tmp_path / "hf")
    yield hub
    hub.close()
