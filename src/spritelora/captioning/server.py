"""The page that edits captions, served to this machine only."""

import io
import logging
import socket
from dataclasses import asdict
from pathlib import Path

import numpy as np
from flask import Flask, Response, abort, jsonify, request, send_file
from PIL import Image
from werkzeug import Response as WsgiResponse
from werkzeug.serving import BaseWSGIServer, make_server

from spritelora.captioning.book import CaptionBook, Conflict, Entry, Outcome
from spritelora.captioning.bulk_change import BulkChange
from spritelora.errors import ConfigError, DatasetError
from spritelora.files import JsonObject
from spritelora.sprites.pixels.image import Pixels, exact_scale, read_sprite, without_hidden_colour

HOST = "127.0.0.1"
LOOK = Path(__file__).parents[1] / "assets" / "look.css"
LONGEST_REQUEST = 64 * 1024
LONGEST_LIST = 16 * 1024 * 1024
"""Of a request that names all sprites of a set."""

MARGIN_PX = 2
"""Free native pixels around a sprite as the page shows it."""

TEXTS, FLAGS = ("find", "put", "remove", "add"), ("is_pattern", "add_first", "dry_run")
SAFE_METHODS = {"GET", "HEAD"}
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def make_app(book: CaptionBook) -> Flask:
    """The page's web application.

    Only names that `book` found are served, so no path leads out of the folder. A request under another host name
    (DNS rebinding) or from another site's page is refused.
    """
    app = Flask(__name__, static_url_path="/static", static_folder=str(Path(__file__).parent / "page"))
    app.config.update(TRUSTED_HOSTS=[HOST, "localhost"], MAX_CONTENT_LENGTH=LONGEST_REQUEST)
    app.before_request(refuse_strangers)
    app.after_request(add_headers)
    app.register_error_handler(RecursionError, lambda _: (jsonify(problem="JSON of too many levels"), 400))
    for kind in (DatasetError, ConfigError):
        app.register_error_handler(kind, lambda error: (jsonify(problem=str(error)), 422))
    answers = Answers(book)
    app.add_url_rule("/", view_func=lambda: app.send_static_file("page.html"), endpoint="page")
    app.add_url_rule("/look.css", view_func=lambda: send_file(LOOK))
    app.add_url_rule("/sprites", view_func=answers.sprites)
    app.add_url_rule("/image", view_func=answers.image)
    app.add_url_rule("/caption", view_func=answers.save, methods=["PUT"])
    app.add_url_rule("/captions", view_func=answers.change_many, methods=["PUT"])
    app.add_url_rule("/undo", view_func=answers.undo, methods=["PUT"])
    return app


class Answers:
    """The answers to the page's requests."""

    def __init__(self, book: CaptionBook) -> None:
        self.book = book

    def sprites(self) -> Response:
        """Every sprite with its caption and findings."""
        sprites = [_told(entry) for entry in self.book.read()]
        return jsonify(folder=str(self.book.folder), sprites=sprites, num_undoable=self.book.num_undoable)

    def image(self) -> WsgiResponse:
        """A sprite's picture; status 404 for a name that was not found in the folder."""
        file = self.book.image_file(request.args.get("name", ""))
        if file is None:
            abort(404)
        response = Response(native_png(file), mimetype="image/png")
        response.add_etag()
        return response.make_conditional(request)

    def save(self) -> tuple[Response, int]:
        """Write a caption; status 409 and the caption on disk where that is not what the page saw."""
        asked = request.get_json()  # status 415 for the content types that a form of another site can send
        if not isinstance(asked, dict) or not all(
            isinstance(asked.get(k), str) for k in ("name", "caption", "version")
        ):
            abort(400, "name, caption and version must be texts")
        result = self.book.save(asked["name"], asked["caption"], asked["version"])
        if isinstance(result, Conflict):
            return jsonify(entry=_told(result.entry)), 409
        return jsonify(entry=_told(result.entry), others=[_told(entry) for entry in result.others]), 200

    def change_many(self) -> Response:
        """Change the captions of all sprites named, or show what would change."""
        request.max_content_length = LONGEST_LIST
        asked = request.get_json()
        versions = asked.get("versions") if isinstance(asked, dict) else None
        if not isinstance(versions, dict) or not all(isinstance(v, str) for v in versions.values()):
            abort(400, "versions must be a text for each sprite")
        if not all(isinstance(asked.get(k), str) for k in TEXTS) or not all(
            isinstance(asked.get(k), bool) for k in FLAGS
        ):
            abort(400, f"{', '.join(TEXTS)} must be texts, {', '.join(FLAGS)} true or false")
        change = BulkChange(**{k: asked[k] for k in (*TEXTS, "is_pattern", "add_first")})
        return self._told_outcome(self.book.change_many(versions, change, asked["dry_run"]))

    def undo(self) -> Response:
        """Take back the last change of many."""
        request.get_json()  # status 415 for the content types that a form of another site can send
        return self._told_outcome(self.book.undo())

    def _told_outcome(self, outcome: Outcome) -> Response:
        return jsonify(
            edits=outcome.edits,
            problems=outcome.problems,
            entries=[_told(entry) for entry in outcome.entries],
            num_undoable=self.book.num_undoable,
        )


def refuse_strangers() -> None:
    """End a request that does not come from the page itself."""
    host = request.host  # raises, status 400, for a name that is not trusted
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        abort(403, "this page answers itself only")
    if request.method not in SAFE_METHODS and request.headers.get("Origin") != f"http://{host}":
        abort(403, "changes are taken from this page only")


def add_headers(response: WsgiResponse) -> WsgiResponse:
    """Keep other sites from framing or reading the page, and the browser from showing stale captions."""
    response.headers.update(HEADERS)
    return response


def native_png(file: Path) -> bytes:
    """A sprite as PNG, one pixel for each native pixel, with little free space around it; the page enlarges it.

    Raises DatasetError as `read_sprite`.
    """
    sprite = without_hidden_colour(read_sprite(file))
    scale = exact_scale(sprite)
    if scale < min(sprite.shape[:2]):  # else it is all one colour
        sprite = sprite[::scale, ::scale]
    stream = io.BytesIO()
    Image.fromarray(without_margin(sprite)).save(stream, "PNG")
    return stream.getvalue()


def without_margin(pixels: Pixels) -> Pixels:
    """An image (h, w, c) without what its edges have of the corner's colour, but for `MARGIN_PX`."""
    drawn = (pixels != pixels[0, 0]).any(axis=2)
    if not drawn.any():
        return pixels
    rows, columns = (np.flatnonzero(drawn.any(axis=axis)) for axis in (1, 0))
    top, left = (max(0, int(places[0]) - MARGIN_PX) for places in (rows, columns))
    return pixels[top : int(rows[-1]) + 1 + MARGIN_PX, left : int(columns[-1]) + 1 + MARGIN_PX]


def make_page_server(book: CaptionBook, port: int) -> BaseWSGIServer:
    """A server of the page, bound to this machine; `serve_forever` runs it until Ctrl-C.

    `port`: 0 takes a free one. Raises ConfigError where the port is taken.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        raise ConfigError(f"port={port}: cannot be listened on ({error.strerror}); port=0 takes a free one") from error
    with listener:
        return make_server(HOST, listener.getsockname()[1], make_app(book), threaded=True, fd=listener.fileno())


def _told(entry: Entry) -> JsonObject:
    found = [{"kind": f.kind, "severity": f.severity.value, "message": f.message} for f in entry.findings]
    return {**asdict(entry), "findings": found}
