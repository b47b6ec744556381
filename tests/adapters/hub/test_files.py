"""A repository of files that are no adapter."""

from __future__ import annotations

from adapters.hub.files import push_files
from tests.hub_server.fixtures import Hub


def test_a_dataset_repository_is_private_and_stays_a_dataset(hub: Hub) -> None:
    hub.login("hf_ada")

    def send(private: bool, content: bytes) -> bool:
        files = {"preferences.jsonl": content}
        result = push_files(
            "ada/votes",
            files,
            repo_type="dataset",
            marker="preferences.jsonl",
            replaced=(),
            message="Votes",
            private=private,
        )
        return result.changed

    assert send(True, b"{}\n")
    assert hub.repo("ada/votes", "dataset").private
    assert not send(True, b"{}\n")
    assert send(True, b"{}\n{}\n")
