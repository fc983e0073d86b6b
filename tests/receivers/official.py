#!/usr/bin/env python3
"""The dialect `standard` verified by the official library (see requirements.txt). Same use as verify.py:

    python3 official.py --secret S [--port 0]
    python3 official.py --golden tests/golden
"""

import argparse
import json
import pathlib
import sys
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def serve(options):
    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            line = {"ok": True, "dialect": "standard", "event_id": self.headers.get("webhook-id")}
            try:
                Webhook(options.secret).verify(body, dict(self.headers))
            except (WebhookVerificationError, ValueError) as refused:
                line.update(ok=False, reason=str(refused))
            self.send_response(204 if line["ok"] else 401)
            if not line["ok"]:
                self.send_header("content-length", "0")
            self.end_headers()
            print(json.dumps({**line, "body": body.decode("utf-8", "replace")}), flush=True)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer((options.host, options.port), Receiver)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def passes(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
        return True
    except (WebhookVerificationError, ValueError):
        return False


def check(path):
    """Yields what is wrong with one vector."""
    case = json.loads(path.read_text("utf-8"))
    head, body = path.with_suffix(".http").read_bytes().split(b"\n\n", 1)
    headers = dict(line.split(": ", 1) for line in head.decode().split("\n"))
    at = datetime.fromisoformat(case["attempted_at"].replace("Z", "+00:00"))
    # The library reads the clock itself, so the clock is set to the time of the attempt.
    with mock.patch("standardwebhooks.webhooks.datetime", wraps=datetime) as clock:
        clock.now.return_value = at
        for secret in case["secrets"]:
            if not passes(secret, body, headers):
                yield "does not pass"
            if passes(secret, body[:-1] + b" ", headers) or passes(secret, body, {**headers, "webhook-id": "evt_0"}):
                yield "a forgery passes"
    if passes(case["secrets"][0], body, headers):
        yield "passes although it is old"


def golden(folder):
    paths = sorted((pathlib.Path(folder) / "standard").glob("*.json"))
    problems = [f"{path}: {problem}" for path in paths for problem in check(path)]
    print(*problems, f"{len(paths)} vectors, {len(problems)} mismatches", sep="\n")
    return 1 if problems or not paths else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", choices=["standard"], default="standard")
    parser.add_argument("--secret")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--golden", metavar="DIR")
    options = parser.parse_args()
    if options.golden:
        sys.exit(golden(options.golden))
    if not options.secret:
        parser.error("--secret or --golden")
    serve(options)


if __name__ == "__main__":
    main()
