"""What a Space has beside its files: hardware, sleep time, variables, secrets, volumes; and the buckets for these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass
class Space:
    sdk: str
    hardware: str = "cpu-basic"
    sleep_time: int | None = None
    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    volumes: list[dict[str, Any]] = field(default_factory=list)

    def runtime(self) -> JSONResponse:
        hardware = {"current": None, "requested": self.hardware}
        return JSONResponse({"stage": "BUILDING", "hardware": hardware, "gcTimeout": self.sleep_time})


class Spaces:
    """Handlers for the settings of Spaces. `writable` raises when the request may not change the Space it names."""

    def __init__(self, writable: Callable[[Request], Any], signed_in: Callable[[Request], Any]) -> None:
        self._writable = writable
        self._signed_in = signed_in
        self.of: dict[str, Space] = {}
        self.buckets: dict[str, str] = {}  # id -> visibility

    def create(self, repo_id: str, asked: dict[str, Any]) -> None:
        self.of[repo_id] = Space(
            asked["sdk"],
            asked.get("hardware", "cpu-basic"),
            asked.get("sleepTimeSeconds"),
            {entry["key"]: entry["value"] for entry in asked.get("variables", [])},
            {entry["key"]: entry["value"] for entry in asked.get("secrets", [])},
            asked.get("volumes", []),
        )

    async def change(self, request: Request) -> Response:
        self._writable(request)
        space = self.of[f"{request.path_params['owner']}/{request.path_params['name']}"]
        asked = await request.json()
        match request.path_params["what"]:
            case "secrets":
                space.secrets[asked["key"]] = asked["value"]
            case "variables":
                space.variables[asked["key"]] = asked["value"]
                return JSONResponse({key: {"value": value} for key, value in space.variables.items()})
            case "hardware":
                space.hardware = asked["flavor"]
            case "sleeptime":
                space.sleep_time = asked["seconds"]
            case "volumes":
                space.volumes = asked["volumes"]
            case _:
                return JSONResponse({"error": "Not found"}, 404)
        return space.runtime()

    async def variables(self, request: Request) -> Response:
        self._writable(request)
        space = self.of[f"{request.path_params['owner']}/{request.path_params['name']}"]
        return JSONResponse({key: {"value": value} for key, value in space.variables.items()})

    async def create_bucket(self, request: Request) -> Response:
        self._signed_in(request)
        bucket = f"{request.path_params['owner']}/{request.path_params['name']}"
        url = f"{request.base_url}buckets/{bucket}"
        if bucket in self.buckets:
            return JSONResponse({"error": "You already created this bucket", "url": url}, 409)
        self.buckets[bucket] = (await request.json()).get("visibility", "public")
        return JSONResponse({"url": url})

    def routes(self) -> list[Route]:
        return [
            Route("/api/{kind}/{owner}/{name}/variables", self.variables, methods=["GET"]),
            Route("/api/{kind}/{owner}/{name}/{what}", self.change, methods=["POST", "PUT"]),
            Route("/api/buckets/{owner}/{name}", self.create_bucket, methods=["POST"]),
        ]
