"""From a fresh clone to a pushed adapter: `python -m tests.fresh_clone [--env FOLDER]`.

Clones the repository's last commit, makes its environment as `make env` does (or uses the one in --env), trains the
bundled pirate sample on the built-in base, pushes the adapter, pulls it back and compares the weights. Pushes to a
small Hub that it starts (tests/hub_server); to the real one, privately, with --repo user/name and HF_TOKEN.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.hub_server.server import HubServer

ROOT = Path(__file__).resolve().parents[1]
RECIPE = """\
dataset_name: pirate
run_name: buccaneer
max_steps: {steps}
"""


class Clone:
    """A clone of the repository with a Python to run it, and a home of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.source, self.home = folder / "studio", folder / "home"
        self.environment = environment | {"STUDIO_HOME": str(self.home)}
        self.python = self.source / ".venv" / "bin" / "python"

    def step(self, *command: str) -> str:
        """Run one step, say what it is and how long it took; returns what it wrote to stdout."""
        print(f"$ {' '.join(command)}", flush=True)
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=self.source if self.source.exists() else None, env=self.environment, stdout=subprocess.PIPE,
            text=True, check=True,
        )  # fmt: skip
        print(f"  {done.stdout.strip().splitlines()[-1:] or ''}  {time.monotonic() - began:.1f} s", flush=True)
        return done.stdout

    def studio(self, *arguments: str) -> str:
        return self.step(str(self.python), "-m", "studio", *arguments)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fresh_clone", description=__doc__)
    parser.add_argument("--env", type=Path, help="an environment to use instead of making one, such as .venv")
    parser.add_argument("--repo", help="push to this repository of the real Hub instead of a small one of its own")
    parser.add_argument("--steps", type=int, default=24)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fresh-clone-") as name:
        folder = Path(name)
        server = None if args.repo else HubServer(folder / "hub")
        try:
            environment = dict(os.environ) | (server.env("hf_ada") | {"HF_HUB_OFFLINE": "0"} if server else {})
            return trial(Clone(folder, environment), args.env, args.repo or "ada/buccaneer", args.steps)
        finally:
            if server:
                server.close()


def trial(clone: Clone, env: Path | None, repo: str, steps: int) -> int:
    clone.step("git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(clone.source))
    if env is None:
        clone.step("make", "env")
    else:
        clone.python = env.absolute() / "bin" / "python"
    recipe = clone.source.parent / "recipe.yaml"
    recipe.write_text(RECIPE.format(steps=steps))
    trained = Path(clone.studio("train", str(recipe)).splitlines()[-1])
    clone.studio("push", trained.name, "--repo", repo)
    back = clone.studio("pull", repo, "--name", "back").splitlines()[-1]
    weights = "adapter_model.safetensors"
    same = (trained / weights).read_bytes() == (trained.with_name(back) / weights).read_bytes()
    print(f"{'The same weights came back from' if same else 'Other weights came back from'} {repo}.")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
