"""`python -m tests.hub_server --port 8999 --root FOLDER`: a Hub to push to and pull from by hand."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from tests.hub_server.app import ACCOUNTS
from tests.hub_server.server import HubServer


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hub_server", description=__doc__)
    parser.add_argument("--port", type=int, default=8999)
    parser.add_argument("--root", type=Path, default=Path("artefacts/hub"), help="folder that holds the repositories")
    args = parser.parse_args()
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before there are threads, so that only sigwait gets them
    server = HubServer(args.root, args.port)
    print(f"A small Hub listens at {server.url}, over {args.root.resolve()}. In another terminal:\n")
    print(f"  export HF_ENDPOINT={server.url} HF_HUB_DISABLE_XET=1 HF_TOKEN=hf_ada\n")
    for token, account in ACCOUNTS.items():
        print(f"  {token}: {account.name}, {account.role}")
    try:
        signal.sigwait(ends)
    finally:
        server.close()


if __name__ == "__main__":
    main()
