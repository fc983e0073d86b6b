#!/usr/bin/env python3
"""A receiver that verifies webhooks by the vendors' own rules. Standard library only; shares nothing with Tidings.

    python3 verify.py --dialect numora --secret S [--secret OLDER] [--token T] [--host H] [--port 0]
        prints its port, then one JSON line for each request, with the body as it came; answers 204 to what
        verifies, 401 to what does not, and to LimAI's challenge with the value

    python3 verify.py --golden tests/golden
        checks the golden vectors, and that nothing forged passes; exits with 1 on any mismatch
"""

import argparse
import base64
import hashlib
import hmac
import json
import pathlib
import re
import sys
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOLERANCE = 300  # seconds that a signed time may lie from now


class Refused(Exception):
    """Why a request is not to be trusted."""


def need(condition, reason):
    if not condition:
        raise Refused(reason)


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256)


def same(left, right):
    return hmac.compare_digest(left.encode(), right.encode())


def header(headers, name):
    need(name in headers, f"no header {name}")
    return headers[name]


# --- one function for each vendor: headers with lowercase names, the raw body, the secret, the token, seconds since 1970


def standard(headers, body, secret, token, now):
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
    message_id, stamp = header(headers, "webhook-id"), header(headers, "webhook-timestamp")
    need(re.fullmatch(r"[0-9]+", stamp) and abs(now - int(stamp)) <= TOLERANCE, "stale timestamp")
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    digest = mac(key, f"{message_id}.{stamp}.".encode() + body).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    sent = header(headers, "webhook-signature").split(" ")
    need(any([same(expected, one) for one in sent]), "wrong signature")


def numora(headers, body, secret, token, now):
    stamp = header(headers, "x-numora-webhook-timestamp")
    fields = [part.split("=", 1) for part in header(headers, "x-numora-webhook-signature").split(",")]
    need(all(len(field) == 2 for field in fields), "malformed signature")
    need([value for name, value in fields if name == "t"] == [stamp], "two different timestamps")
    expected = mac(secret.encode(), stamp.encode() + b"." + body).hexdigest()
    need(any([same(expected, value) for name, value in fields if name == "v1"]), "wrong signature")
    need(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stamp), "malformed timestamp")
    need(abs(now - parse_time(stamp)) <= TOLERANCE, "stale timestamp")
    need(json.loads(body)["id"] == header(headers, "x-numora-webhook-id"), "two different event ids")


def number7ai(headers, body, secret, token, now):
    expected = mac(secret.encode("utf-8"), body).hexdigest()
    need(same(expected, header(headers, "x-number7ai-signature")), "wrong signature")


def beltic(headers, body, secret, token, now):
    need(token is not None and same(token, header(headers, "x-webhook-token")), "wrong token")
    need(same(mac(secret.encode(), body).hexdigest(), header(headers, "x-webhook-signature")), "wrong signature")


def limai(headers, body, secret, token, now):
    expected = "sha256=" + mac(secret.encode(), body).hexdigest()
    need(same(expected, header(headers, "x-webhook-signature")), "wrong signature")


def docintell(headers, body, secret, token, now):
    expected = "sha256=" + mac(secret.encode(), body).hexdigest()
    need(same(expected, header(headers, "x-docintell-signature")), "wrong signature")
    event = json.loads(body)
    need(event["event"] == header(headers, "x-docintell-event"), "two different event types")
    need(str(int(parse_time(event["timestamp"]))) == header(headers, "x-docintell-timestamp"), "two different times")


VERIFY = {f.__name__: f for f in (standard, numora, number7ai, beltic, limai, docintell)}
SIDE_BY_SIDE = {"standard", "numora"}


def verify(dialect, headers, body, secrets, token, now):
    """Passes if one of the secrets does."""
    need(headers.get("content-type") == "application/json", "not application/json")
    refused = None
    for secret in secrets:
        try:
            return VERIFY[dialect](headers, body, secret, token, now)
        except (ValueError, KeyError, TypeError) as error:
            refused = Refused(f"malformed: {error}")
        except Refused as error:
            refused = error
    raise refused


def event_id(dialect, headers, event):
    """The event's id, where the vendor's format has a place for it."""
    return {
        "standard": lambda: headers["webhook-id"],
        "numora": lambda: event["id"],
        "beltic": lambda: event["data"]["id"],
        "limai": lambda: event["eventId"],
    }.get(dialect, lambda: None)()


def parse_time(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


# --- the receiver


def serve(options):
    class Receiver(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            line = {"ok": True, "dialect": options.dialect, "event_id": None, "body": body.decode("utf-8", "replace")}
            answer = b""
            try:
                verify(options.dialect, headers, body, options.secret, options.token, time.time())
                event = json.loads(body)
                line["event_id"] = event_id(options.dialect, headers, event)
                if options.dialect == "limai" and event["eventType"] == "VERIFICATION":
                    line["challenge"] = event["challenge"]
                    answer = json.dumps({"challenge": event["challenge"]}).encode()
            except (Refused, ValueError, KeyError, TypeError) as refused:
                line.update(ok=False, reason=str(refused))
            self.send_response((200 if answer else 204) if line["ok"] else 401)
            if answer:
                self.send_header("content-type", "application/json")
            if answer or not line["ok"]:
                self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            print(json.dumps(line), flush=True)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 1024
        daemon_threads = True

    server = Server((options.host, options.port), Receiver)
    print(server.server_address[1], flush=True)
    server.serve_forever()


# --- the golden vectors


def whole_seconds(seconds):
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def occurred_at(event):
    """(seconds, milliseconds): as told, else the time in the id, a ULID."""
    if "occurred_at" in event:
        milliseconds = round(parse_time(event["occurred_at"]) * 1000)
    else:
        milliseconds = 0
        for character in event["id"].removeprefix("evt_")[:10]:
            milliseconds = milliseconds * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(character)
    return milliseconds // 1000, milliseconds % 1000


def expected_body(dialect, event, data):
    """The body written from scratch, `data` being its exact text; None where a flat body cannot carry it."""
    seconds, milliseconds = occurred_at(event)
    at = whole_seconds(seconds)
    quoted_id, kind = json.dumps(event["id"]), json.dumps(event["type"])
    own = {"number7ai": {"event", "timestamp"}, "beltic": {"status", "occurred_at"}, "limai": {"eventId", "eventType"}}
    members = ""
    if dialect in own:
        value = json.loads(data)
        if not isinstance(value, dict) or own[dialect] & set(value):
            return None
        members = data[1:-1] if value else ""
    after, before = (members + "," if members else ""), ("," + members if members else "")
    return {
        "standard": f'{{"type":{kind},"timestamp":"{at}","data":{data}}}',
        "numora": f'{{"id":{quoted_id},"type":{kind},"created_at":"{at}","data":{data}}}',
        "number7ai": f'{{"event":{kind}{before},"timestamp":"{at[:-1]}.{milliseconds:03}Z"}}',
        "beltic": f'{{"data":{{"type":"document_status_change","id":{quoted_id},"attributes":'
        f'{{{after}"status":{kind},"occurred_at":"{at}"}}}}}}',
        "limai": f'{{"eventId":{quoted_id},"eventType":{kind}{before}}}',
        "docintell": f'{{"event":{kind},"timestamp":"{at}","data":{data}}}',
    }[dialect]


def read_request(path):
    head, body = path.read_bytes().split(b"\n\n", 1)
    pairs = [line.split(": ", 1) for line in head.decode().split("\n")]
    return {name.lower(): value for name, value in pairs}, body


def passes(dialect, headers, body, secrets, token, now):
    try:
        verify(dialect, headers, body, secrets, token, now)
        return True
    except Refused:
        return False


def forgeries(dialect, headers, body, secrets, token, now):
    """What must not pass, by name."""
    secret = secrets[0]
    for place in sorted({0, 1, len(body) // 2, len(body) - 1}):
        flipped = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        yield f"body flipped at {place}", (headers, flipped, secret, token, now)
    yield "an empty body", (headers, b"", secret, token, now)
    yield "another secret", (headers, body, secret[:-6] + "AAAAA=", token, now)
    for name in headers:
        if name.endswith(("signature", "token", "-id", "-timestamp")):
            value = headers[name]
            yield f"no {name}", ({k: v for k, v in headers.items() if k != name}, body, secret, token, now)
            changed = value[:-2] + ("A" if value[-2] != "A" else "B") + value[-1]
            if not name.endswith("signature") or len(secrets) == 1:  # of several signatures, another one still fits
                yield f"{name} changed", ({**headers, name: changed}, body, secret, token, now)
    if dialect in SIDE_BY_SIDE:
        for late in (-TOLERANCE - 2, TOLERANCE + 2):
            yield f"{late} s later", (headers, body, secret, token, now + late)


def check_golden(path):
    """Yields what is wrong with one vector."""
    dialect, text = path.parent.name, path.read_text("utf-8")
    case = json.loads(text)
    request = path.with_suffix(".http")
    if "event" in case:
        data = re.search(r'"data": (.*)\n  }\n}\n\Z', text, re.DOTALL).group(1)
        expected = expected_body(dialect, case["event"], data)
    else:
        challenge = case["challenge"]
        asked = {"eventType": "VERIFICATION", "eventId": challenge["id"], "challenge": challenge["value"]}
        expected = json.dumps(asked, separators=(",", ":"))
    if expected is None:
        if request.exists() or not path.with_suffix(".unrenderable.txt").exists():
            yield "must be unrenderable"
        return
    headers, body = read_request(request)
    if body != expected.encode():
        yield f"body is {body!r}, expected {expected!r}"
    now, token = parse_time(case["attempted_at"]), case.get("token")
    for age, secret in enumerate(case["secrets"]):
        if passes(dialect, headers, body, [secret], token, now) != (age == 0 or dialect in SIDE_BY_SIDE):
            yield f"secret {age}: passes or fails wrongly"
    for name, (forged, forged_body, secret, forged_token, at) in forgeries(
        dialect, headers, body, case["secrets"], token, now
    ):
        if passes(dialect, forged, forged_body, [secret], forged_token, at):
            yield f"{name}: passes"
    if token and passes(dialect, headers, body, case["secrets"], token + "x", now):
        yield "another token: passes"


def golden(folder):
    wrong = total = 0
    for dialect in VERIFY:
        paths = sorted((pathlib.Path(folder) / dialect).glob("*.json"))
        if not paths:
            wrong += 1
            print(f"{dialect}: no vectors")
        for path in paths:
            total += 1
            for problem in check_golden(path):
                wrong += 1
                print(f"{path}: {problem}")
    print(f"{total} vectors, {wrong} mismatches")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", choices=VERIFY)
    parser.add_argument("--secret", action="append", help="may stand several times, as during a rotation")
    parser.add_argument("--token")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--golden", metavar="DIR")
    options = parser.parse_args()
    if options.golden:
        sys.exit(golden(options.golden))
    if not options.dialect or not options.secret:
        parser.error("--dialect and --secret, or --golden")
    serve(options)


if __name__ == "__main__":
    main()
