"""What the Hub refuses or the network breaks, in plain words with a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from adapters.common.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN to a token"


class HubError(UserError):
    """The Hub, the login or the network stood in the way; what was asked for may well be right."""


@contextmanager
def explain_errors(repo_id: str, endpoint: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub and of the network, about the repository `repo_id`, into UserErrors."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except UserError:
        raise
    except (
        errors.HfHubHTTPError,
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        errors.RevisionResolutionError,
        httpx2.TransportError,
    ) as error:
        raise explain(error, repo_id, endpoint) from error
    except (RuntimeError, ValueError, OSError) as error:
        known = _explain_wrapped(error, repo_id, endpoint)
        if known is None:
            raise
        raise known from error


def _explain_wrapped(error: Exception, repo_id: str, endpoint: str) -> HubError | None:
    """Errors that huggingface_hub wraps or that the transfer libraries and the disk raise; None for what is a bug."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    cause = error.__cause__
    if isinstance(cause, HfHubHTTPError | httpx2.TransportError):
        if isinstance(error, ValueError):  # a "bad request" about the card
            return HubError(f"The Hub does not accept the model card: {error}")
        return explain(cause, repo_id, endpoint)
    if isinstance(error, OSError) and error.errno is not None:
        where = f" ({error.filename})" if error.filename else ""
        return HubError(f"The disk failed: {error.strerror}{where}.", "Free some space, or check the permissions.")
    if isinstance(error, ValueError) and "LFS batch API" not in str(error):
        return None
    remedy = "Try again; what has arrived already is not sent twice."
    if "xet" in str(error).lower():
        remedy += " Where the Hub at HF_ENDPOINT has no Xet storage, set HF_HUB_DISABLE_XET=1."
    return HubError(f"The transfer failed: {error}.", remedy)


def explain(error: BaseException, repo_id: str, endpoint: str) -> HubError:
    """One error as a person can use it. The order matters: a gated repository counts as not found, too."""
    import httpx2
    from huggingface_hub import errors

    page = f"{endpoint}/{repo_id}"
    match error:
        case errors.OfflineModeIsEnabled():
            return offline_error(f"{repo_id} cannot be reached")
        case errors.GatedRepoError():
            return HubError(
                f"{repo_id} is gated: its owners decide who gets it.",
                f"Ask for access at {page}. {LOG_IN} of the account that was let in (with the scope to read gated "
                "repositories, if it is a fine-grained one).",
            )
        case errors.RevisionNotFoundError():
            return HubError(f"{repo_id} has no such revision.", f"The revisions are listed at {page}/commits/main.")
        case errors.RemoteEntryNotFoundError():
            return HubError(f"{repo_id} lacks a file that was asked for.", f"Its files are listed at {page}/tree/main.")
        case errors.RepositoryNotFoundError():
            return HubError(
                f"There is no repository {repo_id} on the Hub, or it is private and this account may not see it.",
                f"Check its name. If it is private: {LOG_IN} that may read it.",
            )
        case errors.HfHubHTTPError():
            return _explain_status(error, repo_id)
        case errors.LocalEntryNotFoundError() | errors.RevisionResolutionError() if error.__cause__ is not None:
            return explain(error.__cause__, repo_id, endpoint)
        case httpx2.TimeoutException():
            return HubError(f"{endpoint} did not answer in time.", "Try again later.")
        case _:
            return HubError(
                f"{endpoint} cannot be reached ({type(error).__name__}).",
                "Check the network connection, and HF_ENDPOINT if it is set. Nothing was changed here.",
            )


def _explain_status(error: HfHubHTTPError, repo_id: str) -> HubError:
    response = error.response
    because = f": {error.server_message}" if error.server_message else "."
    match response.status_code:
        case 401:
            return HubError("The Hub does not accept the token.", f"{LOG_IN} that is valid.")
        case 403:
            return HubError(
                f"The token may not do this with {repo_id}{because}",
                f"{LOG_IN} with write access (the scope contribute-repos is the least), of an account that owns it.",
            )
        case 409 | 412:
            return HubError(f"{repo_id} was changed by someone else meanwhile{because}", "Try again.")
        case 429:
            wait = response.headers.get("Retry-After", "")
            when = f"in {wait} seconds" if wait.isdigit() else "in some minutes"
            return HubError("The Hub has had too many requests from here (429).", f"Try again {when}.")
        case status if status >= 500:
            return HubError(f"The Hub is in trouble (status {status}).", "Try again later; nothing was changed here.")
        case status:
            return HubError(f"The Hub refused the request for {repo_id} (status {status}){because}")


def offline_error(what: str) -> HubError:
    return HubError(f"{what}: offline mode is on (HF_HUB_OFFLINE).", "Unset HF_HUB_OFFLINE to reach the Hub.")
