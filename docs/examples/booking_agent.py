"""A booking agent: one call with two tools, and an outcome webhook whose signature is verified.

TOOL_HOSTS_ALLOWED=127.0.0.1:8000 OUTCOME_WEBHOOK_SECRET=secret-of-this-test make dev
OUTCOME_WEBHOOK_SECRET=secret-of-this-test python3 docs/examples/booking_agent.py +15550123
"""

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.request import Request, urlopen

API = os.environ.get("PHONEBRIDGE_URL", "http://localhost:3000")
HERE = os.environ.get("PUBLIC_URL", "http://127.0.0.1:8000")
SECRET = os.environ["OUTCOME_WEBHOOK_SECRET"]
NAMES = {"2030-01-31": {"09:00": "", "10:30": ""}}  # who booked each time; "" is free
SEEN: set[str] = set()  # an event can arrive more than once


def is_from_phonebridge(timestamp: str, signature: str, body: bytes, now: float) -> bool:
    signed = hmac.digest(SECRET.encode(), timestamp.encode() + b"|" + body, hashlib.sha256).hex()
    is_fresh = timestamp.isascii() and timestamp.isdigit() and abs(now - int(timestamp)) <= 300
    return is_fresh and hmac.compare_digest(signature.encode(), f"v1={signed}".encode())


def answer(path: str, asked: dict[str, Any]) -> Any:
    match path, asked.get("arguments"):
        case "/outcome", _ if asked["event_id"] not in SEEN:
            SEEN.add(asked["event_id"])
            print("call ended:", asked["call"]["outcome"], asked["call"]["reason"], flush=True)
        case "/find_times", {"day": day}:
            return [at for at, name in NAMES.get(day, {}).items() if not name]
        case "/book", {"day": day, "time": at, "name": name} if NAMES.get(day, {}).get(at) == "":
            NAMES[day][at] = name
            print("booked:", day, at, name, flush=True)
            return f"{day} at {at} is booked for {name}."
        case "/book", _:
            return {"error": "This time is not free. Offer another one."}


class BookingServer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        timestamp = self.headers.get("Phonebridge-Timestamp", "")
        signature = self.headers.get("Phonebridge-Signature", "")
        if not is_from_phonebridge(timestamp, signature, body, time.time()):
            return self.send_error(401)
        result = answer(self.path, json.loads(body))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(result).encode())


def declare(name: str, description: str, *parameters: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {each: {"type": "string"} for each in parameters}}
    tool = {"name": name, "description": description, "parameters": schema}
    return tool | {"url": f"{HERE}/{name}", "secret": SECRET}


if __name__ == "__main__":
    find = declare("find_times", "Lists the free times of a day, such as 2030-01-31.", "day")
    book = declare("book", "Books a free time.", "day", "time", "name")
    call = {
        "to": sys.argv[1],
        "instructions": "Book an appointment on 2030-01-31. Offer only free times.",
        "tools": [find, book, "end_call"],
        "webhook_url": f"{HERE}/outcome",
    }
    create = Request(f"{API}/api/ai-calls/create", json.dumps(call).encode())
    create.add_header("Authorization", f"Bearer {os.environ.get('PHONEBRIDGE_API_KEY', '')}")
    address = ("127.0.0.1", int(os.environ.get("PORT", "8000")))
    with HTTPServer(address, BookingServer) as server:
        urlopen(create)
        while not SEEN:
            server.handle_request()
