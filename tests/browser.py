"""A page in headless Chromium: what it complains of, asks for and measures, and pictures of it."""

import base64
import contextlib
import itertools
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--remote-debugging-pipe", "about:blank",
]  # fmt: skip
MEASURE = """(() => {
  const ids = [...document.querySelectorAll('[id]')].map(node => node.id);
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = colour => channels(colour).slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = node => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor, alpha = channels(colour)[3];
      if (alpha === undefined || alpha === 1) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const contrasts = [...document.querySelectorAll('body *')]
    .filter(node => [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()))
    .filter(node => node.checkVisibility() && !node.closest('defs'))
    .map(node => {
      const style = getComputedStyle(node), ink = node.closest('svg') ? style.fill : style.color;
      const [dark, light] = [luminance(ink), luminance(ground(node))].sort((a, b) => a - b);
      return [(light + 0.05) / (dark + 0.05), node.textContent.trim().slice(0, 40)];
    });
  return {
    width: document.documentElement.scrollWidth,
    images: [...document.images].map(image => [image.alt, image.complete ? image.naturalWidth : 0, image.width]),
    repeated: ids.filter((id, i) => ids.indexOf(id) !== i),
    dangling: [...document.querySelectorAll('a[href^="#"], use')].map(node => node.getAttribute('href').slice(1))
      .filter(id => !document.getElementById(id)),
    plots: [...document.querySelectorAll('svg')].filter(svg => svg.checkVisibility())
      .map(svg => svg.getBoundingClientRect()).map(box => [box.width, box.height]),
    contrast: contrasts.sort((a, b) => a[0] - b[0])[0],
    ground: getComputedStyle(document.body).backgroundColor,
  };
})()"""


@contextlib.contextmanager
def opened():
    """A `Browser` with an empty profile, gone afterwards."""
    with tempfile.TemporaryDirectory() as profile:
        to_browser, ours_out, ours_in, from_browser = (*os.pipe(), *os.pipe())
        # Chromium takes commands at descriptor 3 and answers at 4.
        shell = f"exec {PROGRAM} --user-data-dir={profile} {' '.join(ARGUMENTS)} 3<&{to_browser} 4>&{from_browser}"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(["bash", "-c", shell], pass_fds=(to_browser, from_browser), **quiet)
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Browser(ours_out, ours_in)
        finally:
            process.kill()
            process.wait()
            os.close(ours_out)
            os.close(ours_in)


class Browser:
    """Chromium's DevTools protocol: JSON messages that end in a zero byte."""

    def __init__(self, out, into):
        self._out, self._into, self._rest, self._ids, self._session = out, into, b"", itertools.count(1), None
        self.events = []
        (page,) = (t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method, **params):
        """The answer to a command; what happens meanwhile goes to `events`."""
        number = next(self._ids)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            found = self._read()
            if found.get("id") == number:
                assert "error" not in found, found["error"]
                return found["result"]
            self.events.append(found)

    def _read(self, seconds=60.0):
        until = time.monotonic() + seconds
        while b"\0" not in self._rest:
            assert select.select([self._into], [], [], max(0.0, until - time.monotonic()))[0], "no answer of Chromium"
            part = os.read(self._into, 1 << 20)
            assert part, "Chromium ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def look(self, path, *, scheme="light", width=1280, picture=None):
        """Opens a file: dict of what the page measures (`MEASURE`), `complaints` and `requests` beside the file's own.

        Args:
          scheme: light or dark. width: of the window [CSS pixels]. picture: a PNG to write, of the whole page.
        """
        self.events.clear()
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        phone = width < 600
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=844 if phone else 900, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        address = pathlib.Path(path).resolve().as_uri()
        self.ask("Page.navigate", url=address)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())
        found = self.ask("Runtime.evaluate", expression=MEASURE, returnByValue=True)
        assert "exceptionDetails" not in found, found
        if picture:
            shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
            pathlib.Path(picture).write_bytes(base64.b64decode(shot))
        sent = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        kinds = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        measured = found["result"]["value"]
        return measured | {
            "overflow": measured.pop("width") - width,  # a phone lays out a page without a viewport wider than it is
            "complaints": [event["params"] for event in self.events if event.get("method") in kinds],
            "requests": [url for url in sent if url != address and not url.startswith("data:")],
        }

    def print(self):
        """The page as a PDF's bytes."""
        return base64.b64decode(self.ask("Page.printToPDF")["data"])
