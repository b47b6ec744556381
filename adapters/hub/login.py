"""Who one is to the Hub: the token, what it may do, and names of repositories."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from adapters.bases import is_on_hub
from adapters.common.errors import UserError
from adapters.hub.errors import LOG_IN, HubError, offline_error

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def check_repo_id(repo_id: str) -> str:
    """`repo_id` itself when it has the form owner/name. Raises UserError otherwise."""
    if not is_on_hub(repo_id) or ".." in repo_id or "--" in repo_id or repo_id.endswith((".git", ".", "-")):
        raise UserError(
            f"{repo_id!r} is not a repository on the Hub.",
            "Write owner/name, such as ada/pirate: letters, digits, dots, underscores and hyphens.",
        )
    return repo_id


def writer(token: str | None) -> HfApi:
    """An API with a token that may write, as far as one can tell without asking."""
    from huggingface_hub import get_token

    if is_offline():
        raise offline_error("Nothing can be pushed")
    token = token or get_token()
    if not token:
        raise HubError(
            "There is no token to push with.",
            f"{LOG_IN} with write access, from https://huggingface.co/settings/tokens.",
        )
    return api_with(token)


def check_owner(who: dict[str, Any], repo_id: str) -> None:
    """Refuse what the Hub would refuse later on, when a repository has perhaps been made."""
    if (who.get("auth") or {}).get("accessToken", {}).get("role") == "read":
        raise HubError("The token may only read.", f"{LOG_IN} with write access.")
    owners = [who["name"], *(org["name"] for org in who.get("orgs") or [])]
    if repo_id.split("/")[0] not in owners:
        raise UserError(
            f"{repo_id} would belong to {repo_id.split('/')[0]}, and you are {who['name']}.",
            f"Push to {' or '.join(f'{owner}/…' for owner in owners)}, or open a pull request.",
        )


def api_with(token: str | None) -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, token=token, library_name="guanaco-studio")


def is_offline() -> bool:
    from huggingface_hub import is_offline_mode

    return is_offline_mode()
