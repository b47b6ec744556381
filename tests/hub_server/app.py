"""The endpoints that huggingface_hub and datasets ask, with the answers and error codes of the real Hub."""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.hub_server.cards import REPO_ID, read_card, validate_card
from tests.hub_server.repos import Blob, Commit, Repos, Settings, is_lfs
from tests.hub_server.spaces import Spaces

_PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/"}
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Account:
    name: str
    role: str = "write"  # of the token: "write" or "read"
    orgs: tuple[str, ...] = ()


ACCOUNTS = {
    "hf_ada": Account("ada", orgs=("guild",)),
    "hf_ada_read": Account("ada", role="read", orgs=("guild",)),
    "hf_bob": Account("bob"),
}


def refuse(status: int, message: str, code: str | None = None) -> HTTPException:
    headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
    return HTTPException(status, message, headers)


async def on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


class Hub:
    """Handlers over one folder of repositories."""

    def __init__(self, repos: Repos) -> None:
        self.repos = repos
        self._secret = secrets.token_bytes(16)
        self.spaces = Spaces(lambda request: self.repo(request, write=True), self.signed_in)

    # Who asks, and what they may see

    def account(self, request: Request) -> Account | None:
        header = request.headers.get("authorization", "")
        if not header:
            return None
        account = ACCOUNTS.get(header.removeprefix("Bearer "))
        if account is None:
            raise refuse(401, "Invalid credentials in Authorization header")
        return account

    def signed_in(self, request: Request) -> Account:
        account = self.account(request)
        if account is None:
            raise refuse(401, "Invalid username or password.")
        return account

    def repo(self, request: Request, *, write: bool = False, content: bool = False) -> tuple[Settings, Account | None]:
        """The repository that the request names, if who asks may see it (`content`: its files; `write`: change it)."""
        account = self.account(request)
        kind = request.path_params.get("kind", request.url.path.split("/")[1]).removesuffix("s")
        kind = kind if kind in _PREFIXES else "model"
        repo_id = f"{request.path_params['owner']}/{request.path_params['name']}"
        repo = self.repos.find(kind, repo_id)
        mine = account is not None and request.path_params["owner"] in (account.name, *account.orgs)
        if repo is None or (repo.private and not mine):
            if account is None:
                raise refuse(401, "Invalid username or password.", "RepoNotFound")
            raise refuse(404, "Repository not found", "RepoNotFound")
        if content and repo.gated and not mine and (account is None or account.name not in repo.granted):
            what = f"Access to {kind} {repo.id} is restricted"
            if account is None:
                raise refuse(401, f"{what}. You must have access to it and be authenticated to access it.", "GatedRepo")
            raise refuse(403, f"{what} and you are not in the authorized list. Visit to ask for access.", "GatedRepo")
        if write:
            if account is None:
                raise refuse(401, "Invalid username or password.")
            if account.role != "write":
                raise refuse(403, "You must use a token with write access to this repo.")
            if not mine and request.query_params.get("create_pr") != "1":
                raise refuse(403, "You don't have the rights to write to this repo. Create a pull request instead.")
        return repo, account

    def commit(self, repo: Settings, revision: str) -> Commit:
        commit = self.repos.resolve(repo, revision)
        if commit is None:
            raise refuse(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit

    # Accounts and repositories

    async def whoami(self, request: Request) -> Response:
        account = self.account(request)
        if account is None:
            raise refuse(401, "Invalid username or password.")
        token = {"displayName": "studio", "role": account.role}
        orgs = [{"type": "org", "name": name, "roleInOrg": "write"} for name in account.orgs]
        return JSONResponse(
            {"type": "user", "id": account.name, "name": account.name, "orgs": orgs,
             "auth": {"type": "access_token", "accessToken": token}}
        )  # fmt: skip

    async def create_repo(self, request: Request) -> Response:
        account = self.account(request)
        if account is None:
            raise refuse(401, "Invalid username or password.")
        asked = await request.json()
        owner = asked.get("organization") or account.name
        kind, repo_id = asked.get("type") or "model", f"{owner}/{asked['name']}"
        url = f"{request.base_url}{_PREFIXES[kind]}{repo_id}"
        if account.role != "write" or owner not in (account.name, *account.orgs):
            raise refuse(403, f"You don't have the rights to create a {kind} under the namespace {owner!r}.")
        if not REPO_ID.fullmatch(repo_id):
            raise refuse(400, f"Invalid repo name: {repo_id}")
        if self.repos.find(kind, repo_id):
            return JSONResponse({"error": f"You already created this {kind} repo", "url": url}, 409)
        self.repos.create(kind, repo_id, account.name, private=asked.get("visibility") == "private")
        if kind == "space":
            self.spaces.create(repo_id, asked)
        return JSONResponse({"url": url, "id": repo_id, "name": repo_id})

    async def validate_yaml(self, request: Request) -> Response:
        asked = await request.json()
        errors, warnings = validate_card(asked["content"])
        body = {
            "errors": [{"message": error} for error in errors],
            "warnings": [{"message": warning} for warning in warnings],
        }
        return JSONResponse(body, 400 if errors else 200)

    # Writing: preupload, LFS, commit

    async def preupload(self, request: Request) -> Response:
        repo, _ = self.repo(request, write=True)
        commit = self.commit(repo, request.path_params["revision"])
        files = []
        for file in (await request.json())["files"]:
            lfs = is_lfs(file["path"], file["size"], base64.b64decode(file["sample"]))
            known = commit.files.get(file["path"])
            oid = (known.sha256 if known.lfs else known.oid) if known else None
            mode = "lfs" if lfs else "regular"
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return JSONResponse({"files": files, "commitOid": commit.sha})

    async def lfs_batch(self, request: Request) -> Response:
        self.account(request)
        asked = await request.json()
        objects = []
        for entry in asked["objects"]:
            answer = {"oid": entry["oid"], "size": entry["size"]}
            if not self.repos.blob_path(entry["oid"]).exists():
                verify = f"{request.base_url}lfs/verify"
                answer["actions"] = {
                    "upload": {"href": self.storage_url(request, entry["oid"]), "header": {}},
                    "verify": {"href": verify, "header": {}},
                }
            objects.append(answer)
        return JSONResponse({"transfer": "basic", "objects": objects})

    def storage_url(self, request: Request, oid: str) -> str:
        """A signed address on another host, as large files have it on the real Hub: clients send no token there."""
        return f"http://localhost:{request.url.port}/lfs/{oid}?signature={self._signature(oid)}"

    def _signature(self, oid: str) -> str:
        return hmac.new(self._secret, oid.encode(), "sha256").hexdigest()

    def _check_signature(self, request: Request) -> str:
        oid: str = request.path_params["oid"]
        if request.query_params.get("signature") != self._signature(oid):
            raise refuse(403, "The signature does not match.")
        return oid

    async def lfs_put(self, request: Request) -> Response:
        content = await request.body()
        if self.repos.put_blob(content) != self._check_signature(request):
            raise refuse(400, "The content does not have the hash that was announced.")
        return Response(status_code=200)

    async def lfs_get(self, request: Request) -> Response:
        return self.send_file(request, self.repos.blob(self._check_signature(request), lfs=True))

    async def lfs_verify(self, request: Request) -> Response:
        asked = await request.json()
        path = self.repos.blob_path(asked["oid"])
        if not path.is_file() or path.stat().st_size != asked["size"]:
            raise refuse(400, "The object has not been uploaded whole.")
        return JSONResponse({})

    async def make_commit(self, request: Request) -> Response:
        repo, account = self.repo(request, write=True)
        assert account is not None
        add: dict[str, Blob] = {}
        drop: list[str] = []
        header: dict[str, str] = {}
        for line in (await request.body()).splitlines():
            item = json.loads(line)
            value = item["value"]
            match item["key"]:
                case "header":
                    header = value
                case "file":
                    add[value["path"]] = self.repos.blob(self.repos.put_blob(base64.b64decode(value["content"])), False)
                case "lfsFile":
                    if not self.repos.blob_path(value["oid"]).exists():
                        raise refuse(400, f"{value['path']} points at an object that was never uploaded.")
                    add[value["path"]] = self.repos.blob(value["oid"], lfs=True)
                case "deletedFile":
                    drop.append(value["path"])
                case "deletedFolder":
                    drop.append(value["path"].rstrip("/") + "/")
                case other:
                    raise refuse(400, f"Unknown operation {other}")
        if "README.md" in add:
            errors, _ = validate_card(self.repos.blob_path(add["README.md"].sha256).read_text())
            if errors:
                raise refuse(400, " ".join(errors))
        proposal = request.query_params.get("create_pr") == "1"
        number = 1 + sum(ref.startswith("refs/pr/") for ref in repo.refs)
        ref = f"refs/pr/{number}" if proposal else request.path_params["revision"]
        summary, text = header["summary"], header.get("description", "")
        commit = self.repos.commit(repo, ref, account.name, summary, text, add, drop)
        url = f"{request.base_url}{_PREFIXES[repo.kind]}{repo.id}"
        answer = {"success": True, "commitOid": commit.sha, "commitUrl": f"{url}/commit/{commit.sha}"}
        return JSONResponse(answer | ({"pullRequestUrl": f"{url}/discussions/{number}"} if proposal else {}))

    # Reading

    async def info(self, request: Request) -> Response:
        repo, _ = self.repo(request)
        commit = self.commit(repo, request.path_params.get("revision", "main"))
        card = read_card(self.repos, commit)
        siblings = []
        for path, blob in commit.files.items():
            sibling: dict[str, Any] = {"rfilename": path}
            if "blobs" in request.query_params:
                sibling |= {"size": blob.size, "blobId": blob.oid}
                if blob.lfs:
                    sibling["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": 130}
            siblings.append(sibling)
        return JSONResponse(
            {"_id": commit.sha[:24], "id": repo.id, "author": repo.id.split("/")[0], "sha": commit.sha,
             "private": repo.private, "gated": repo.gated, "disabled": False, "downloads": 0, "likes": 0,
             "lastModified": commit.date, "createdAt": commit.date, "tags": card.get("tags") or [],
             "pipeline_tag": card.get("pipeline_tag"), "library_name": card.get("library_name"),
             "cardData": card, "siblings": siblings}
        )  # fmt: skip

    async def tree(self, request: Request) -> Response:
        repo, _ = self.repo(request)
        revision, path = split_revision(request.path_params["rest"])
        commit = self.commit(repo, revision)
        below = f"{path}/" if path else ""
        entries = [(name, blob) for name, blob in commit.files.items() if name.startswith(below)]
        if path and not entries:
            raise refuse(404, f"{path} does not exist on {revision}", "EntryNotFound")
        recursive = request.query_params.get("recursive", "").lower() == "true"
        folders = {str(p) for name, _ in entries for p in PurePosixPath(name).parents if str(p) not in (".", path)}
        listing = [describe(name, blob) for name, blob in entries] + [describe(folder, None) for folder in folders]
        listing = [entry for entry in listing if recursive or "/" not in entry["path"].removeprefix(below)]
        return JSONResponse(sorted((e for e in listing if e["path"].startswith(below)), key=lambda e: e["path"]))

    async def paths_info(self, request: Request) -> Response:
        repo, _ = self.repo(request)
        commit = self.commit(repo, request.path_params["revision"])
        listing = []
        for path in parse_qs((await request.body()).decode()).get("paths", []):
            if path in commit.files:
                listing.append(describe(path, commit.files[path]))
            elif any(name.startswith(f"{path}/") for name in commit.files):
                listing.append(describe(path, None))
        return JSONResponse(listing)

    async def refs(self, request: Request) -> Response:
        repo, _ = self.repo(request)
        named = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.refs["main"]}]
        tags = [
            {"name": name, "ref": f"refs/tags/{name}", "targetCommit": sha}
            for name, sha in repo.refs.items()
            if name != "main" and not name.startswith("refs/")
        ]
        return JSONResponse({"branches": named, "converts": [], "tags": tags})

    async def make_tag(self, request: Request) -> Response:
        repo, _ = self.repo(request, write=True)
        commit, tag = self.commit(repo, request.path_params["revision"]), (await request.json())["tag"]
        if tag in repo.refs:
            raise refuse(409, f"Tag {tag} already exists")
        repo.refs[tag] = commit.sha
        self.repos.save(repo)
        return JSONResponse({})

    async def commits(self, request: Request) -> Response:
        repo, _ = self.repo(request)
        history: list[dict[str, Any]] = []
        sha: str | None = request.path_params["revision"]
        while sha is not None:
            commit = self.commit(repo, sha)
            by = [{"user": commit.author}]
            history.append(
                {"id": commit.sha, "title": commit.title, "message": commit.description, "authors": by,
                 "date": commit.date}
            )  # fmt: skip
            sha = commit.parent
        return JSONResponse(history)

    async def resolve(self, request: Request) -> Response:
        repo, _ = self.repo(request, content=True)
        revision, path = split_revision(request.path_params["rest"])
        commit = self.commit(repo, revision)
        blob = commit.files.get(path)
        headers = {"X-Repo-Commit": commit.sha}
        if blob is None:
            error = refuse(404, "Entry not found", "EntryNotFound")
            raise HTTPException(404, error.detail, {**(error.headers or {}), **headers})
        if not blob.lfs:
            return self.send_file(request, blob, headers)
        headers |= {"X-Linked-Size": str(blob.size), "X-Linked-ETag": f'"{blob.sha256}"'}
        return RedirectResponse(self.storage_url(request, blob.sha256), 302, headers)

    def send_file(self, request: Request, blob: Blob, headers: dict[str, str] | None = None) -> Response:
        """The content, or its part from the byte that a Range header asks for."""
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        first = int(wanted[1]) if wanted else 0
        last = min(int(wanted[2]), blob.size - 1) if wanted and wanted[2] else blob.size - 1
        headers = {
            "ETag": f'"{blob.sha256 if blob.lfs else blob.oid}"',
            "Accept-Ranges": "bytes",
            "Content-Length": str(last - first + 1),
            **(headers or {}),
        }
        if wanted:
            headers["Content-Range"] = f"bytes {first}-{last}/{blob.size}"
        content = self.repos.blob_path(blob.sha256).read_bytes()[first : last + 1]
        if request.method == "HEAD":
            return Response(None, 206 if wanted else 200, headers)
        chunks = (content[start : start + _CHUNK] for start in range(0, len(content), _CHUNK))
        return StreamingResponse(chunks, 206 if wanted else 200, headers, "application/octet-stream")

    async def page(self, request: Request) -> Response:
        """What a person sees who follows the link that a push ends with."""
        repo, _ = self.repo(request)
        commit = self.commit(repo, "main")
        readme = commit.files.get("README.md")
        text = self.repos.blob_path(readme.sha256).read_text() if readme else "No README.md."
        return PlainTextResponse("\n".join([repo.id, f"private: {repo.private}", *commit.files, "", text]))


def describe(path: str, blob: Blob | None) -> dict[str, Any]:
    """One entry of a tree listing; without a blob it is a folder."""
    if blob is None:
        return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
    entry: dict[str, Any] = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
    return entry | ({"lfs": {"oid": blob.sha256, "size": blob.size, "pointerSize": 130}} if blob.lfs else {})


def split_revision(rest: str) -> tuple[str, str]:
    """("main/a/b" -> "main", "a/b"); a pull request's revision has slashes of its own."""
    match = re.fullmatch(r"(refs/(?:pr|convert|heads)/[^/]+|[^/]+)(?:/(.*))?", rest)
    if match is None:
        raise refuse(404, f"Invalid rev id: {rest}", "RevisionNotFound")
    return match[1], match[2] or ""


def build_app(hub: Hub) -> Starlette:
    api = "/api/{kind}/{owner}/{name}"
    files = [
        Route(f"{prefix}/{{owner}}/{{name}}/resolve/{{rest:path}}", hub.resolve, methods=["GET"])
        for prefix in ("/datasets", "/spaces", "")
    ]
    batches = [
        Route(f"{prefix}/{{owner}}/{{name}}.git/info/lfs/objects/batch", hub.lfs_batch, methods=["POST"])
        for prefix in ("/datasets", "/spaces", "")
    ]
    pages = [Route(f"{prefix}/{{owner}}/{{name}}", hub.page) for prefix in ("/datasets", "/spaces", "")]
    routes = [
        Route("/api/whoami-v2", hub.whoami),
        Route("/api/repos/create", hub.create_repo, methods=["POST"]),
        Route("/api/validate-yaml", hub.validate_yaml, methods=["POST"]),
        Route(f"{api}/preupload/{{revision:path}}", hub.preupload, methods=["POST"]),
        Route(f"{api}/tag/{{revision:path}}", hub.make_tag, methods=["POST"]),
        Route(f"{api}/commit/{{revision:path}}", hub.make_commit, methods=["POST"]),
        Route(f"{api}/paths-info/{{revision:path}}", hub.paths_info, methods=["POST"]),
        Route(f"{api}/tree/{{rest:path}}", hub.tree),
        Route(f"{api}/revision/{{revision:path}}", hub.info),
        Route(f"{api}/commits/{{revision:path}}", hub.commits),
        Route(f"{api}/refs", hub.refs),
        *hub.spaces.routes(),
        Route(api, hub.info),
        Route("/lfs/verify", hub.lfs_verify, methods=["POST"]),
        Route("/lfs/{oid}", hub.lfs_put, methods=["PUT"]),
        Route("/lfs/{oid}", hub.lfs_get),
        *batches,
        *files,
        *pages,
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: on_refusal})
