"""The fixture `hub`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.hub_server.server import HubServer


class Hub(HubServer):
    """The server, with huggingface_hub (and datasets) of this process pointed at it for the length of one test."""

    def begin(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        """Start anew with no repositories; `folder` holds those to come, and the caches of the clients."""
        self.reset(folder / "hub-server")
        self._patch = patch
        for name, value in self.env().items():
            patch.setenv(name, value)
        # Both libraries read the environment once, at import; in a test that is long past.
        import datasets.config
        import huggingface_hub.hf_api
        from huggingface_hub import constants, file_download
        from huggingface_hub.utils import _http

        for module in (_http, file_download):  # before it asks again it sleeps for a second
            patch.setattr(module, "time", SimpleNamespace(sleep=lambda seconds: None))
        patch.setattr(huggingface_hub.hf_api.api, "endpoint", self.url)
        patch.setattr(constants, "ENDPOINT", self.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", self.url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hf" / "hub"))
        patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "hf" / "token"))
        patch.setattr(datasets.config, "HF_ENDPOINT", self.url)
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "hf" / "datasets")

    def login(self, token: str | None) -> None:
        """The token that this process has in HF_TOKEN from now on; None for none."""
        if token is None:
            self._patch.delenv("HF_TOKEN", raising=False)
        else:
            self._patch.setenv("HF_TOKEN", token)

    def go_offline(self) -> None:
        """As if this process had been started with HF_HUB_OFFLINE=1."""
        from huggingface_hub import constants

        self._patch.setenv("HF_HUB_OFFLINE", "1")
        self._patch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session")
def _hub_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    hub = Hub(tmp_path_factory.mktemp("hub-server"))
    yield hub
    hub.close()


@pytest.fixture
def hub(_hub_server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    _hub_server.begin(tmp_path, monkeypatch)
    return _hub_server
