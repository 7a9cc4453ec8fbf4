"""Drives a headless Chromium by its DevTools protocol over pipes, with nothing but the standard library."""

import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Which containers do not allow.
    "--hide-scrollbars",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--remote-debugging-pipe",
)


class Page:
    """A page of a browser.

    Attributes:
        requested: The addresses that it has asked for.
        complaints: Errors in its scripts, and what its policy has refused.
    """

    def __init__(self, requests, replies):
        self._requests, self._replies = requests, replies
        self._waiting = b""
        self._number = 0
        self._session = None
        self.requested = []
        self.complaints = []

    def open(self, url, *, width=1000, height=1400):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=url)
        self.wait("document.readyState == 'complete' && document.getElementById('model').textContent.length > 9")

    def call(self, method, **parameters):
        """Calls a method of the protocol and returns its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._requests, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._read()
            if reply.get("id") == self._number:
                assert "error" not in reply, reply["error"]
                return reply["result"]

    def evaluate(self, script):
        """Returns the value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, condition, *, seconds=60):
        """Waits until an expression in the page is true."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(condition):
            assert time.monotonic() < deadline, f"{condition}: {self.evaluate('document.body.innerText')}"
            time.sleep(0.05)

    def choose(self, selector, file):
        """Chooses a file in an input."""
        node = self.call("Runtime.evaluate", expression=f"document.querySelector({selector!r})")
        self.call("DOM.setFileInputFiles", files=[str(file)], objectId=node["result"]["objectId"])

    def drop(self, content, *, name):
        """Drops a file on the page."""
        text = base64.b64encode(content).decode()
        self.evaluate(
            f"""(() => {{
              const content = Uint8Array.from(atob("{text}"), (letter) => letter.charCodeAt(0));
              const dataTransfer = new DataTransfer();
              dataTransfer.items.add(new File([content], {json.dumps(name)}));
              document.body.dispatchEvent(new DragEvent("drop", {{ dataTransfer, bubbles: true, cancelable: true }}));
            }})()"""
        )

    def screenshot(self, file, *, height=None):
        """Writes a picture of the page, or of its upper part."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"], "scale": 1}
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        pathlib.Path(file).write_bytes(base64.b64decode(picture["data"]))

    def _read(self):
        """Returns the next message, and keeps what the page did meanwhile."""
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._replies], [], [], 60)
            assert ready, "the browser does not answer"
            part = os.read(self._replies, 2**20)
            assert part, "the browser has ended"
            self._waiting += part
        text, _, self._waiting = self._waiting.partition(b"\0")
        message = json.loads(text)
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requested.append(parameters["request"]["url"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"])
        elif message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(parameters["entry"])
        return message


@contextlib.contextmanager
def opened(url):
    """Yields the page at an address in a browser of its own."""
    requests, to_browser = os.pipe()
    from_browser, replies = os.pipe()
    with contextlib.ExitStack() as stack:
        profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        # The browser reads from 3 and writes to 4.
        command = ["bash", "-c", f'exec "$@" 3<&{requests} 4>&{replies}', "browser", PROGRAM, *_FLAGS]
        browser = subprocess.Popen(
            [*command, f"--user-data-dir={profile}"],
            pass_fds=(requests, replies),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(requests)
        os.close(replies)
        stack.callback(os.close, from_browser)
        stack.callback(browser.wait)
        stack.callback(os.close, to_browser)  # At which it ends.
        stack.callback(browser.terminate)
        page = Page(to_browser, from_browser)
        page.open(url)
        yield page
