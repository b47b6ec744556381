"""A Hugging Face Space that runs this studio: what goes into it, said before it is sent, and sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from adapters.common.errors import UserError
from core.models.base import BUILTIN
from studio.deploy import catalogue

if TYPE_CHECKING:
    from huggingface_hub import HfApi

ROOT = Path(__file__).resolve().parents[2]
FILES = ("README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "Dockerfile", ".dockerignore")
FOLDERS = ("studio", "core", "adapters")
NOT_SENT = ("__pycache__", ".DS_Store")
REPO_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
MOUNT = "/data"
DEFAULT_HARDWARE = "t4-small"
NO_GPU = ("cpu-basic", "cpu-upgrade")
DEFAULT_SLEEP = 3600  # seconds without a visitor; a GPU that never sleeps is paid around the clock
NEVER = -1  # as the Hub writes it


@dataclass(frozen=True)
class Deployment:
    """Everything that is sent. `hardware`, `sleep_time` and `volume` are None where an existing Space keeps its own.

    files: path in the Space -> bytes. secrets: names and values, which are never shown.
    """

    repo_id: str
    base: str
    private: bool
    hardware: str | None
    sleep_time: int | None
    volume: str | None
    variables: dict[str, str]
    files: dict[str, bytes] = field(repr=False)
    secrets: dict[str, str] = field(repr=False)
    base_is_given: bool = True  # else an existing Space keeps its own

    @property
    def first_hardware(self) -> str:
        """What a Space that does not exist yet is created on."""
        return self.hardware or DEFAULT_HARDWARE

    @property
    def first_sleep_time(self) -> int | None:
        """Free hardware has a fixed one."""
        return None if self.first_hardware == "cpu-basic" else self.sleep_time or DEFAULT_SLEEP


def plan_deployment(
    repo_id: str,
    *,
    base: str | None = None,
    hardware: str | None = None,
    private: bool = False,
    volume: str | None = None,
    keep_in: str | None = None,
    sleep_time: int | None = None,
    owners: tuple[str, ...] = (),
    secrets: dict[str, str] | None = None,
    root: Path = ROOT,
) -> Deployment:
    """Put together what would be sent, from the checkout at `root`. Raises UserError for names that cannot be."""
    check_repo_id(repo_id, "Space")
    if volume is not None:
        check_repo_id(volume, "bucket")
    if keep_in is not None:
        check_repo_id(keep_in, "repository")
    check_hardware(hardware)
    if sleep_time is not None and sleep_time != NEVER and sleep_time < 1:
        raise UserError(
            f"A Space cannot sleep after {sleep_time} s.", f"Give a number of seconds, or {NEVER} for never."
        )
    base_is_given = base is not None or hardware in NO_GPU
    if base is None:
        base = BUILTIN if hardware in NO_GPU else catalogue.DEFAULT
    if base != BUILTIN:
        check_repo_id(base, "base")
    variables = {"STUDIO_BASE": base} | ({"STUDIO_OWNERS": ",".join(owners)} if owners else {})
    variables |= {"STUDIO_KEEP_IN": keep_in} if keep_in else {}
    files = collect_files(root)
    files["README.md"] = space_readme(files["README.md"].decode(), base, hardware).encode()
    return Deployment(
        repo_id, base, private, hardware, sleep_time, volume, variables, files, dict(secrets or {}), base_is_given
    )


def check_repo_id(given: str, what: str) -> None:
    if not REPO_ID.fullmatch(given) or ".." in given or "--" in given:
        raise UserError(f"{given!r} is not the name of a {what}.", "Write it as owner/name, as in its address.")


def check_hardware(given: str | None) -> None:
    from huggingface_hub import SpaceHardware

    known = [hardware.value for hardware in SpaceHardware if not hardware.value.startswith("zero")]
    if given is not None and given not in known:
        raise UserError(f"There is no Space hardware {given!r}.", f"Choose one of: {', '.join(known)}.")


def collect_files(root: Path) -> dict[str, bytes]:
    """The project's files that a Space needs: packages, Dockerfile, README; no tests, no caches, no dot folders."""
    if not (root / "Dockerfile").is_file():
        raise UserError(
            f"{root} is not a checkout of the studio: it has no Dockerfile.",
            "Run this from the studio's own source folder.",
        )
    paths = [root / name for name in FILES]
    for folder in FOLDERS:
        paths += [file for file in (root / folder).rglob("*") if file.is_file() and not set(file.parts) & set(NOT_SENT)]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(paths)}


def front_matter(text: str) -> dict[str, Any]:
    """The YAML at a README's top. Raises UserError when there is none."""
    match = FRONT_MATTER.match(text)
    if match is None:
        raise UserError("README.md does not begin with a YAML block.", "Put the Space's settings back at its top.")
    return dict(yaml.safe_load(match[1]))


def space_readme(text: str, base: str, hardware: str | None = None) -> str:
    """The project's README with its front matter made that of a Space with this base and hardware."""
    from huggingface_hub import SpaceCard

    front_matter(text)  # raises where there is none
    card = SpaceCard(text)
    card.data["suggested_hardware"] = hardware or DEFAULT_HARDWARE
    card.data["models"] = None if base == BUILTIN else [base]
    return str(card)


def describe_deployment(deployment: Deployment) -> str:
    """What would be sent, in full, but for the values of secrets and the files' contents."""
    unless = "" if deployment.base_is_given else " (when created, else unchanged)"
    lines = [
        f"Space       {deployment.repo_id} ({'private' if deployment.private else 'public'}, sdk docker)",
        f"Base        {deployment.base}{describe_base(deployment.base)}{unless}",
        f"Hardware    {describe_setting(deployment.hardware, deployment.first_hardware)}",
        f"Sleeps      {describe_setting(deployment.sleep_time, deployment.first_sleep_time, ' s without a visitor')}",
        f"Volume      {f'bucket {deployment.volume} at {MOUNT}' if deployment.volume else 'none'}",
        *[f"Variable    {name}={value}" for name, value in deployment.variables.items()],
        *[f"Secret      {name} (value not shown)" for name in deployment.secrets],
        "",
        "README.md begins with",
        *[f"    {line}" for line in FRONT_MATTER.match(deployment.files["README.md"].decode())[1].splitlines()],  # type: ignore[index]
        "",
        f"{len(deployment.files)} files, {sum(map(len, deployment.files.values())):,} bytes",
        *[f"    {len(content):>10,}  {path}" for path, content in deployment.files.items()],
    ]
    return "\n".join(lines)


def describe_base(base: str) -> str:
    if base == BUILTIN:
        return ": ships with the studio, needs no download and no GPU"
    known = catalogue.find_base(base)
    if known is None:
        return ": not in the catalogue, so whether it fits the hardware is not known"
    size = f"{known.four_bit_bytes / 2**30:.1f} GiB in 4 bit"
    return f": {known.reason}; {size}, licence {known.license}{', gated' if known.gated else ''}"


def describe_setting(given: object, first: object, unit: str = "") -> str:
    if given is not None:
        return f"{given}{unit}"
    return f"{first}{unit} when created, else unchanged" if first is not None else "fixed on free hardware"


def deploy(deployment: Deployment, api: HfApi) -> str:
    """Create the Space, or bring an existing one up to date, in one commit. Returns its address.

    Raises UserError when the Hub refuses.
    """
    from huggingface_hub import Volume
    from huggingface_hub.errors import HfHubHTTPError

    volumes = [Volume(type="bucket", source=deployment.volume, mount_path=MOUNT)] if deployment.volume else []
    try:
        if deployment.volume:
            api.create_bucket(deployment.volume, private=True, exist_ok=True)
        if api.repo_exists(deployment.repo_id, repo_type="space"):
            deployment = with_current_base(deployment, api)
            update_space(deployment, api, volumes)
        else:
            api.create_repo(
                deployment.repo_id,
                repo_type="space",
                private=deployment.private,
                space_sdk="docker",
                space_hardware=deployment.first_hardware,  # type: ignore[arg-type]
                space_sleep_time=deployment.first_sleep_time,
                space_secrets=[{"key": key, "value": value} for key, value in deployment.secrets.items()] or None,
                space_variables=[{"key": key, "value": value} for key, value in deployment.variables.items()],
                space_volumes=volumes or None,
            )
        commit_files(deployment, api)
    except HfHubHTTPError as error:
        raise explain_refusal(deployment, error) from error
    return f"{api.endpoint}/spaces/{deployment.repo_id}"


def with_current_base(deployment: Deployment, api: HfApi) -> Deployment:
    """What an existing Space runs on stays, unless another base was asked for."""
    if deployment.base_is_given:
        return deployment
    known = api.get_space_variables(deployment.repo_id).get("STUDIO_BASE")
    if known is None or not known.value:
        return deployment
    text = space_readme(deployment.files["README.md"].decode(), known.value, deployment.hardware)
    variables = deployment.variables | {"STUDIO_BASE": known.value}
    files = deployment.files | {"README.md": text.encode()}
    return replace(deployment, base=known.value, variables=variables, files=files)


def update_space(deployment: Deployment, api: HfApi, volumes: list[Any]) -> None:
    if deployment.private and not api.space_info(deployment.repo_id).private:
        raise UserError(
            f"The Space {deployment.repo_id} exists already, and is public.",
            "Make it private in its settings on the Hub first, or leave out --private.",
        )
    for key, value in deployment.secrets.items():
        api.add_space_secret(deployment.repo_id, key, value)
    for key, value in deployment.variables.items():
        api.add_space_variable(deployment.repo_id, key, value)
    if volumes:
        api.set_space_volumes(deployment.repo_id, volumes)
    if deployment.hardware:
        api.request_space_hardware(deployment.repo_id, deployment.hardware)  # type: ignore[arg-type]
    if deployment.sleep_time:
        api.set_space_sleep_time(deployment.repo_id, deployment.sleep_time)


def commit_files(deployment: Deployment, api: HfApi) -> None:
    """One commit, so that the Space is built once. Files of an earlier version that are gone here go there too."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    there = api.list_repo_files(deployment.repo_id, repo_type="space")
    ours = (*(f"{folder}/" for folder in FOLDERS), *FILES)
    gone = [path for path in there if path.startswith(ours) and path not in deployment.files]
    operations: list[Any] = [CommitOperationAdd(path, content) for path, content in deployment.files.items()]
    operations += [CommitOperationDelete(path) for path in gone]
    api.create_commit(
        deployment.repo_id,
        operations,
        repo_type="space",
        commit_message=f"Deploy Guanaco Studio with the base {deployment.base}",
    )


def explain_refusal(deployment: Deployment, error: Any) -> UserError:
    status = error.response.status_code if error.response is not None else None
    what = f"The Hub refused to deploy {deployment.repo_id} ({status}): {error.server_message or error}"
    if status == 401:
        return UserError(what, "Log in with `hf auth login`, or set HF_TOKEN to a token with write access.")
    if status == 402:
        return UserError(what, "This hardware needs a payment method; --hardware cpu-basic needs none.")
    if status == 403:
        return UserError(what, "Use a token that may write there, or a Space under your own name.")
    return UserError(what, "Try again in a while; nothing of it is lost.")
