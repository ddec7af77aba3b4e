#!/usr/bin/env python3
"""browser.py [--screenshots DIRECTORY] PAGE_OR_DIRECTORY...: opens reports of the load tester in Chromium.

A page passes when it asks the network for nothing, its console stays empty, each promised plot has each of its lines
with as many points as its data, values are read out under the pointer, it fits a phone and a desktop window, light and
dark, and nothing that came from outside became markup. Beside PAGE there may be PAGE.expect, a JSON object of `points`
({"plot": {"line": count}}) and `texts` (each must be found as text). Closes with "N passed, N failed".
"""
import argparse
import base64
import html.parser
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile

WINDOWS = [(360, 740), (820, 1100), (1440, 900)]
ANSWER_SECONDS = 60


class Chromium:
    """A headless browser, driven through a pair of pipes with the DevTools protocol."""

    def __init__(self, command):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self.to_write = os.pipe()
        self.from_read, from_write = os.pipe()
        environment = dict(os.environ, HOME=self.profile.name)
        arguments = [
            command, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-extensions",
            "--hide-scrollbars", "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}", "about:blank"]
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f'exec 3<&{to_read} 4>&{from_write} && exec "$@"', "sh", *arguments],
            pass_fds=(to_read, from_write), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(from_write)
        self.buffer = b""
        self.number = 0
        self.session = None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def message(self):
        while b"\0" not in self.buffer:
            if not select.select([self.from_read], [], [], ANSWER_SECONDS)[0]:
                raise RuntimeError(f"chromium said nothing for {ANSWER_SECONDS} s")
            part = os.read(self.from_read, 1 << 16)
            if not part:
                raise RuntimeError("chromium ended")
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **parameters):
        self.number += 1
        request = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        data = json.dumps(request).encode() + b"\0"
        while data:
            data = data[os.write(self.to_write, data):]
        while True:
            message = self.message()
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            if "method" in message:
                self.events.append(message)

    def wait_for(self, method):
        while not any(event["method"] == method for event in self.events):
            self.events.append(self.message())

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression[:80]}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def window(self, width, height, scheme="light"):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, path):
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait_for("Page.loadEventFired")

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        self.process.terminate()
        self.process.wait(ANSWER_SECONDS)
        os.close(self.to_write)
        os.close(self.from_read)
        self.profile.cleanup()


class Elements(html.parser.HTMLParser):
    """What could load something, or run: told from the file itself, before any browser sees it."""

    ALLOWED = set(
        "html head meta title style body main header footer section div span p h1 h2 h3 small b code dl dt dd ul li "
        "figure figcaption table thead tbody tr th td svg desc g path rect line text circle script".split())

    def __init__(self):
        super().__init__()
        self.problems = []
        self.policy = None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in self.ALLOWED:
            self.problems.append(f"element <{tag}>")
        for name in attributes:
            if name in ("src", "href", "srcset", "action", "style", "xlink:href") or name.startswith("on"):
                self.problems.append(f"attribute {name} of <{tag}>")
        if tag == "meta" and attributes.get("http-equiv", "").lower() == "content-security-policy":
            self.policy = attributes["content"]
        elif tag == "meta" and "http-equiv" in attributes:
            self.problems.append("a <meta http-equiv> other than the policy")


READ_PLOTS = """(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent), found = {};
  for (const figure of document.querySelectorAll("figure.plot")) {
    const drawings = {};
    for (const size of ["wide", "narrow"]) {
      const svg = figure.querySelector("svg.plot-" + size);
      drawings[size] = {
        lines: [...svg.querySelectorAll("path.line")].map((path) => ({
          name: path.dataset.line, declared: +path.dataset.points,
          drawn: (path.getAttribute("d").match(/[ML]/g) || []).length, length: path.getTotalLength() })),
        named: svg.getAttribute("aria-labelledby").split(" ").every((id) => svg.querySelector("#" + id).textContent),
        focusable: svg.tabIndex === 0,
        outside: [...svg.querySelectorAll("path.line")].filter((path) => {
          const box = path.getBBox(), view = svg.viewBox.baseVal;
          return box.x < 0 || box.y < 0 || box.x + box.width > view.width || box.y + box.height > view.height;
        }).length,
      };
    }
    found[figure.id] = { drawings, readOut: figure.querySelectorAll(".read-out").length };
  }
  return { plots, found };
})()"""


def check_file(path):
    text = path.read_text(encoding="utf-8")
    elements = Elements()
    elements.feed(text)
    problems = elements.problems
    if not elements.policy or "default-src 'none'" not in elements.policy:
        problems.append("no Content-Security-Policy that refuses everything by default")
    elif "script-src 'sha256-" not in elements.policy:
        problems.append("the policy does not name the script by its digest")
    style = text.split("<style>", 1)[-1].split("</style>", 1)[0]
    problems += [f"the style sheet has {word}" for word in ("url(", "@import", "@font-face") if word in style]
    return problems


def check_console(browser, path):
    problems = []
    for event in browser.events:
        parameters = event.get("params", {})
        if event["method"] == "Runtime.exceptionThrown":
            problems.append(f"exception: {parameters['exceptionDetails']['text']}")
        elif event["method"] == "Runtime.consoleAPICalled":
            problems.append(f"console: {parameters['args']}")
        elif event["method"] == "Log.entryAdded":
            problems.append(f"log: {parameters['entry']['text']}")
        elif event["method"] == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if url != path.resolve().as_uri():
                problems.append(f"request: {url}")
        elif event["method"] == "Page.javascriptDialogOpening":
            problems.append("a dialogue opened")
    return problems


def check_plots(browser, expected):
    problems = []
    state = browser.evaluate(READ_PLOTS)
    plots, found = state["plots"], state["found"]
    if not plots or set(plots) != set(found):
        problems.append(f"plots are {sorted(found)}, their data {sorted(plots)}")
    for name, plot in found.items():
        lines = {line["name"]: len(line["x"]) for line in plots.get(name, {}).get("lines", [])}
        for size, drawing in plot["drawings"].items():
            where = f"{name} ({size})"
            drawn = {line["name"]: line["drawn"] for line in drawing["lines"]}
            if drawn != lines:
                problems.append(f"{where}: lines have {drawn} points, their data {lines}")
            if any(line["declared"] != line["drawn"] for line in drawing["lines"]):
                problems.append(f"{where}: a line has other points than it says")
            if any(line["drawn"] > 600 for line in drawing["lines"]):
                problems.append(f"{where}: a line is not thinned")
            if any(line["drawn"] > 1 and not line["length"] > 0 for line in drawing["lines"]):
                problems.append(f"{where}: a line has no length")
            if drawing["outside"]:
                problems.append(f"{where}: a line leaves its drawing")
            if not drawing["named"]:
                problems.append(f"{where}: title or description is empty")
            if not drawing["focusable"]:
                problems.append(f"{where}: the script did not reach it")
        if plot["readOut"] != 1:
            problems.append(f"{name}: {plot['readOut']} read-outs")
    for name, lines in expected.get("points", {}).items():
        for line, count in lines.items():
            data = [entry for entry in plots.get(name, {}).get("lines", []) if entry["name"] == line]
            have = len(data[0]["x"]) if data else None
            if have != count:
                problems.append(f"{name}: line {line} has {have} points and not {count}")
    return problems


READ_BOX = """(() => {
  const box = document.querySelector("#NAME .read-out");
  return !box || box.hidden ? null : [...box.querySelectorAll("span")].map((row) => [row.firstChild.textContent,
    row.lastChild.textContent]);
})()"""


def check_hover(browser):
    """Over every plot that has values, names of lines and their values are read out; beside it nothing is."""
    problems = []
    plots = browser.evaluate("JSON.parse(document.getElementById('plots').textContent)")
    for name, plot in plots.items():
        if not any(line["x"] for line in plot["lines"]):
            continue
        area = browser.evaluate(f"""(() => {{
          const svg = document.querySelector("#{name} svg.plot-wide");
          svg.scrollIntoView({{ block: "center" }});
          const box = svg.getBoundingClientRect();
          return [box.left, box.top, box.width, box.height];
        }})()""")
        read = READ_BOX.replace("NAME", name)
        for share in (0.2, 0.5, 0.8):
            browser.call(
                "Input.dispatchMouseEvent", type="mouseMoved", x=area[0] + share * area[2], y=area[1] + area[3] / 2)
            rows = browser.evaluate(read)
            if not rows or not all(value for _, value in rows):
                problems.append(f"{name}: nothing is read out at {share}: {rows}")
            elif not {row[0] for row in rows} <= {line["name"] for line in plot["lines"]}:
                problems.append(f"{name}: {rows} is read out at {share}")
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
        if browser.evaluate(read) is not None:
            problems.append(f"{name}: the read-out stays when the pointer leaves")
    return problems


def check_windows(browser, path, screenshots):
    problems = []
    for scheme in ("light", "dark"):
        for width, height in WINDOWS:
            browser.window(width, height, scheme)
            wide = browser.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                problems.append(f"{width} pixels: the page is {wide} wide")
            size = "narrow" if width <= 640 else "wide"
            shown = browser.evaluate(
                f"[...document.querySelectorAll('.plot > svg')].filter((s) => s.getBoundingClientRect().width > 0)"
                f".every((s) => s.classList.contains('plot-{size}'))")
            if not shown:
                problems.append(f"{width} pixels: plots of the wrong size are shown")
            if screenshots:
                browser.screenshot(screenshots / f"{path.stem}-{width}-{scheme}.png")
    colors = []
    for scheme in ("light", "dark"):
        browser.window(*WINDOWS[-1], scheme)
        colors.append(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
    if colors[0] == colors[1]:
        problems.append("light and dark look the same")
    browser.window(*WINDOWS[-1])
    return problems


def check(browser, path, screenshots=None):
    """What is wrong with the page: nothing, if all is well."""
    expectation = path.with_suffix(path.suffix + ".expect")
    expected = json.loads(expectation.read_text(encoding="utf-8")) if expectation.exists() else {}
    problems = check_file(path)
    browser.window(*WINDOWS[-1])
    browser.open(path)
    problems += check_plots(browser, expected)
    problems += check_hover(browser)
    problems += check_windows(browser, path, screenshots)
    text = browser.evaluate("document.body.textContent")
    missing = [wanted for wanted in expected.get("texts", []) if wanted not in text]
    problems += [f"{wanted!r} is not on the page as text" for wanted in missing]
    return problems + check_console(browser, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path, help="keep what the pages look like here")
    arguments = parser.parse_args()
    pages = []
    for given in arguments.pages:
        pages += sorted(given.glob("*.html")) if given.is_dir() else [given]
    command = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not command or not pages:
        print("browser.py: " + ("no page to check" if command else "chromium is needed: apt-get install chromium"))
        print("0 passed, 1 failed")
        return 1
    passed, failed = 0, 0
    browser = Chromium(command)
    try:
        for page in pages:
            problems = check(browser, page, arguments.screenshots)
            passed, failed = passed + (not problems), failed + bool(problems)
            print(f"{'failed' if problems else 'passed'} {page.name}")
            for problem in problems:
                print(f"    {problem}")
    finally:
        browser.close()
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
