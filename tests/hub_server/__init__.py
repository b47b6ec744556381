"""A small Hub over a folder, spoken to over real HTTP: what the real one answers as far as the studio asks.

In tests: the fixture `hub` (tests/hub_server/fixtures.py, a plugin named in tests/conftest.py) starts one on a free
port with the accounts below and points huggingface_hub and datasets of this process at it; `hub.env(token=...)` gives
the environment for a subprocess. Repositories are made with huggingface_hub itself, or at once with
`hub.make_repo("ada/poems", {"data.jsonl": b"..."}, kind="dataset", private=False, gated=False)`.
What goes wrong is chosen with `hub.fail(...)`; what was asked is in `hub.requests`.

    def test_something(hub: Hub) -> None:
        hub.make_repo("ada/poems", {"train.jsonl": b'{"text": "..."}'}, kind="dataset")
        hub.login("hf_ada")                       # HF_TOKEN of this process
        hub.fail("POST /api/models/.*/commit/", status=503, times=1)

By hand: `python -m tests.hub_server --port 8999 --root some/folder` prints what to set.

Accounts: ada (tokens hf_ada, and hf_ada_read, which may only read; member of the organisation guild) and bob (hf_bob).
"""
