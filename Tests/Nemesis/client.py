"""A small HTTP client on one kept connection, and what a node's answer means for a history."""

import json
import socket


class NotSent(Exception):
    """The request certainly never reached anybody."""


class Lost(Exception):
    """The request may have arrived; there is no answer."""


class Connection:
    """To one server, opened when needed and again after an error. For one thread."""

    def __init__(self, address, timeout):
        self.address, self.timeout = address, timeout
        self.socket, self.buffer = None, b""

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def ask(self, method, path, headers=None, body=None):
        """(status, headers with lower-case names, body). Raises NotSent or Lost."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.address[0]}:{self.address[1]}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None or method in ("PUT", "POST"):
            lines.append(f"Content-Length: {len(body or b'')}")
        request = "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")
        if self.socket is None:
            try:
                self.socket = socket.create_connection(self.address, min(self.timeout, 2))
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.settimeout(self.timeout)
            except OSError as error:
                self.socket = None
                raise NotSent(str(error)) from None
            self.buffer = b""
        try:
            self.socket.sendall(request)
            return self._answer(method)
        except (OSError, ValueError, IndexError) as error:
            self.close()
            raise Lost(str(error)) from None

    def _answer(self, method):
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(head[0].split(" ")[1])
        headers = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif "content-length" in headers:
            body = self._exactly(int(headers["content-length"]))
        else:
            body = self._chunks()
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, headers, body

    def _chunks(self):
        body = b""
        while True:
            length = int(self._until(b"\r\n").split(b";")[0], 16)
            body += self._exactly(length)
            self._until(b"\r\n")
            if length == 0:
                return body

    def _until(self, mark):
        while mark not in self.buffer:
            self._more()
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def _exactly(self, count):
        while len(self.buffer) < count:
            self._more()
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found

    def _more(self):
        data = self.socket.recv(65_536)
        if not data:
            raise OSError("the connection was closed")
        self.buffer += data


def get_json(address, path, timeout=3, method="GET"):
    """The JSON of one answer; raises OSError unless its status is 2xx."""
    connection = Connection(address, timeout)
    try:
        status, _, body = connection.ask(method, path)
    except (NotSent, Lost) as error:
        raise OSError(f"{path}: {error}") from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise OSError(f"{path}: status {status}: {body[:300].decode(errors='replace')}")
    return json.loads(body)


def request_of(operation):
    """Method, path, headers and body that ask for a history's operation."""
    path, headers, body = f"/kv/{operation.key}?timeout=2000", {}, None
    if operation.op in ("put", "cas", "create"):
        method, body = "PUT", operation.value.encode()
        headers["Content-Type"] = "application/octet-stream"
    elif operation.op == "increment":
        method, path = "POST", f"/kv/{operation.key}/increment?timeout=2000"
        headers["Content-Type"] = "application/json"
        body = json.dumps({"by": operation.by}).encode()
    else:
        method = "GET" if operation.op == "get" else "DELETE"
    if operation.op == "create":
        headers["If-None-Match"] = "*"
    elif operation.expected is not None:
        headers["If-Match"] = f'"{operation.expected}"'
    return method, path, headers, body


def record_answer(operation, status, headers, body):
    """Writes into the operation what the answer says. Returns a sentence when no server should answer so."""
    operation.status = status
    tag = headers.get("etag", "").strip('"') or None
    document = _document(headers, body)
    if status in (200, 201):
        operation.outcome, operation.version = "ok", tag
        if operation.op in ("get", "increment"):
            operation.value = document.get("value")
        if tag is None or document.get("version") != tag or operation.value is None:
            return f"a {status} without value or version: {body[:200]!r}"
        if operation.is_write and document.get("acks", 0) < document.get("required", 1):
            return f"acknowledged with {document.get('acks')} of {document.get('required')}"
    elif status == 204 and operation.op == "delete":
        operation.outcome, operation.version = "ok", tag
    elif status == 404 and operation.op == "get":
        operation.outcome = "absent"
    elif status == 412 and operation.op in ("cas", "create", "delete"):
        operation.outcome, operation.version = "condition_failed", tag
    elif status in (503, 504, 507):
        said = document.get("outcome")
        if operation.is_write and said not in ("not_applied", "unknown") or status == 504 and said == "not_applied":
            return f"a {status} that says no outcome: {body[:200]!r}"
        operation.outcome = said if operation.is_write else "unknown"
    else:
        return f"status {status} for {operation.op}: {body[:300]!r}"
    return None


def _document(headers, body):
    if "json" not in headers.get("content-type", "") or not body:
        return {}
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
