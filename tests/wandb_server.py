"""A W&B server of a few answers on a local socket, which keeps every request, and can die."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Server:
    """`requests`: path and body of all that came, uploads included."""

    url: str = ""
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    http: Any = None

    def die(self) -> None:
        """Refuse connections from now on."""
        self.http.shutdown()
        self.http.server_close()

    @property
    def text(self) -> str:
        """All that came, as text."""
        return "\n".join(f"{path} {body.decode('utf-8', 'replace')}" for path, body in self.requests)

    def variables(self, operation: str) -> list[dict[str, Any]]:
        """The variables of all GraphQL requests of a name."""
        asked = [json.loads(body) for path, body in self.requests if path == "/graphql"]
        return [a["variables"] for a in asked if _operation(a) == operation]


@contextmanager
def serve() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.requests.append((self.path, body))
            answer = _answer(json.loads(body), server.url) if self.path == "/graphql" else {}
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_PUT = do_GET = do_POST

    server.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.http.daemon_threads = True
    server.http.handle_error = lambda *_: None
    server.url = f"http://127.0.0.1:{server.http.server_port}"
    threading.Thread(target=server.http.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.die()


def _answer(asked: dict[str, Any], url: str) -> dict[str, Any]:
    variables = asked.get("variables") or {}
    run = {"id": "UnVu", "name": variables.get("name"), "displayName": "run", "config": "{}", "historyLineCount": 0}
    project = {"id": "UA==", "name": variables.get("project"), "entity": {"id": "RQ==", "name": "me"}}
    files = [{"name": n, "uploadUrl": f"{url}/upload/{n}"} for n in variables.get("files") or []]
    artifact = {"id": "QQ==", "state": "COMMITTED", "artifactSequence": {"id": "Uw==", "latestArtifact": None}}
    answers: dict[str, Any] = {
        "Viewer": {"viewer": {"id": "VQ==", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}},
        "UpsertBucket": {"upsertBucket": {"bucket": {**run, "project": project}, "inserted": True}},
        "CreateRunFiles": {"createRunFiles": {"runID": "UnVu", "uploadHeaders": [], "files": files}},
        "ArtifactType": {"project": {"artifact": None}},
        "CreateArtifact": {"createArtifact": {"artifact": artifact}},
    }
    return {"data": answers.get(_operation(asked), {})}


def _operation(asked: dict[str, Any]) -> str:
    found = re.match(r"\s*(?:query|mutation)\s+(\w+)", asked["query"])
    return found[1] if found else ""
