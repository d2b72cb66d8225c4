"""Asks the page that edits captions: `python ask_page.py FOLDER REQUEST`, REQUEST as JSON; a version of null is today's.

Ends as a command does: with status 0 for an answer, and with 1 and what the page says for a refusal.
"""

import json
import sys
from pathlib import Path

from spritelora.captioning.book import CaptionBook
from spritelora.captioning.server import make_app
from spritelora.sprites.folder.caption_files import caption_version
from spritelora.streams import lasting_streams


@lasting_streams()
def main(folder: str, text: str) -> None:
    request = json.loads(text)
    book = CaptionBook(Path(folder), lambda _captions: [])
    client = make_app(book).test_client()
    client.get("/sprites", headers={"Host": "127.0.0.1"})  # as the page does when it opens
    body = request.get("json")
    if isinstance(body, dict) and body.get("version") is None:
        body["version"] = caption_version(Path(folder) / "a.txt")
    answer = client.open(request.pop("path"), **request)
    if answer.status_code >= 500:
        sys.exit(f"Traceback (most recent call last): status {answer.status_code}")
    if answer.status_code >= 400:
        print(f"error: status {answer.status_code}: {answer.get_data(as_text=True)}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    if answer.mimetype == "application/json":
        print(json.dumps(answer.json))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
