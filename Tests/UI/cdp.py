"""A headless Chromium driven over the DevTools protocol, with nothing but the standard library."""

import base64
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from urllib.parse import urlsplit

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CALL_TIMEOUT = 30


class BrowserError(Exception):
    """The browser is missing, broke, or a script on the page threw."""


class WebSocket:
    """The client half of RFC 6455, as far as DevTools needs it: text messages, no extensions."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=CALL_TIMEOUT)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.stream = self.socket.makefile("rb")
        status = self.stream.readline()
        if b" 101 " not in status:
            raise BrowserError(f"no websocket: {status!r}")
        while self.stream.readline() not in (b"\r\n", b""):
            pass

    def _frame(self, opcode, payload):
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            head = bytes([0x80 | opcode, 0x80 | size])
        elif size < 1 << 16:
            head = bytes([0x80 | opcode, 0x80 | 126]) + size.to_bytes(2, "big")
        else:
            head = bytes([0x80 | opcode, 0x80 | 127]) + size.to_bytes(8, "big")
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(head + mask + masked)

    def send(self, text):
        self._frame(1, text.encode())

    def receive(self):
        message = b""
        while True:
            head = self.stream.read(2)
            if len(head) < 2:
                raise BrowserError("the browser closed the connection")
            size = head[1] & 0x7F
            if size == 126:
                size = int.from_bytes(self.stream.read(2), "big")
            elif size == 127:
                size = int.from_bytes(self.stream.read(8), "big")
            payload = self.stream.read(size)
            opcode = head[0] & 0x0F
            if opcode == 9:
                self._frame(10, payload)
            elif opcode in (0, 1):
                message += payload
                if head[0] & 0x80:
                    return message.decode()

    def close(self):
        self.stream.close()
        self.socket.close()


class Browser:
    """One browser with one page. Use as a context manager; leaving it ends the process and removes its profile."""

    def __enter__(self):
        name = os.environ.get("CHROMIUM") or next(filter(shutil.which, BROWSERS), None)
        if not name:
            raise BrowserError("no Chromium found; name one in the environment variable CHROMIUM")
        self.profile = tempfile.mkdtemp(prefix="kv-ui-")
        command = [
            name, "--headless=new", "--disable-gpu", "--no-first-run", "--no-default-browser-check",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
            "--remote-debugging-port=0", f"--user-data-dir={self.profile}", "--window-size=1400,1100", "about:blank",
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.faults, self.next_id, self.socket = [], 0, None
        try:
            self._attach()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.socket:
            try:
                self.call("Browser.close", session=False)
            except (BrowserError, OSError):
                pass
            self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def _attach(self):
        port_file = os.path.join(self.profile, "DevToolsActivePort")
        lines = self.until(lambda: os.path.exists(port_file) and open(port_file).read().splitlines(), 60)
        self.socket = WebSocket(f"ws://127.0.0.1:{lines[0]}{lines[1]}")
        self.session = None
        targets = self.call("Target.getTargets", session=False)["targetInfos"]
        target = next(t["targetId"] for t in targets if t["type"] == "page")
        answer = self.call("Target.attachToTarget", session=False, targetId=target, flatten=True)
        self.session = answer["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.faults.append(details.get("exception", {}).get("description") or details.get("text", ""))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            # Answers such as 404 are part of the page's work; everything else, such as a broken policy, is a fault.
            if params["entry"].get("source") != "network":
                self.faults.append(params["entry"]["text"])

    def call(self, method, session=True, **params):
        self.next_id += 1
        message = {"id": self.next_id, "method": method, "params": params}
        if session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.receive())
            if answer.get("id") == self.next_id:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._note(answer)

    def run(self, expression):
        """The value of a JavaScript expression on the page; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def until(self, condition, seconds=15):
        """Waits until the condition holds and returns its value."""
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise BrowserError(f"not within {seconds} s")
            time.sleep(0.05)

    def wait(self, expression, seconds=15):
        """Waits until a JavaScript expression on the page is true."""
        try:
            self.until(lambda: self.run(f"!!({expression})"), seconds)
        except BrowserError as error:
            raise BrowserError(f"{error}: {expression}") from None

    def key(self, name, code=0, text=""):
        for kind in ("keyDown", "keyUp"):
            extra = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, windowsVirtualKeyCode=code, **extra)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def screenshot(self, path):
        """Saves the whole page as PNG."""
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))
