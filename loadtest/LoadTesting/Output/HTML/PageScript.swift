// SPDX-License-Identifier: Apache-2.0
// style: table

/// What the page does beyond showing: the values under the pointer, or under a mark moved with the arrow keys.
///
/// The page's policy names the script by its digest (CSP Level 3 §6.7.3.3), so that nothing else on the page can run.
/// After a change the browser check (Tests/LoadTester/browser.py) tells the new digest.
enum PageScript {
    static let digest = "sha256-E19V/gbAJIcB454TLEkSP7gnAZhJuIxWkTXGdTLGoLA="

    static let source: StaticString = """
        "use strict";
        (() => {
          const plots = JSON.parse(document.getElementById("plots").textContent);
          const short = (v) => {
            const a = Math.abs(v), t = v.toFixed(a >= 99.95 ? 0 : a >= 9.995 ? 1 : 2);
            return t.includes(".") ? t.replace(/0+$/, "").replace(/[.]$/, "") : t;
          };
          const scaled = (v, units) => {
            if (v === 0) return "0";
            const [f, n] = units.find((u) => Math.abs(v) >= u[0] * 0.9995) || units[units.length - 1];
            return short(v / f) + (n ? " " + n : "");
          };
          const grouped = (v) => Math.round(v).toString().replace(/\\B(?=(\\d{3})+$)/g, "\\u202f");
          const units = {
            nanoseconds: (v) => scaled(v, [[1e9, "s"], [1e6, "ms"], [1e3, "\\u00b5s"], [1, "ns"]]),
            perSecond: (v) => grouped(v) + "/s",
            count: grouped,
            bytes: (v) => scaled(v, [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [1024, "KiB"], [1, "B"]]),
            share: (v) => short(v * 100) + " %",
          };
          const axes = {
            elapsed: (x) => "at " + (x < 120 ? short(x) + " s" : [x / 3600, x / 60 % 60, x % 60].map((p) =>
              String(Math.floor(p)).padStart(2, "0")).join(":").replace(/^00:/, "")),
            percentile: (x) => "up to " + ((1 - 1 / x) * 100).toFixed(Math.min(8,
              Math.max(0, Math.ceil(Math.log10(x)) - 1))) + " %",
          };
          const nearest = (points, x) => {
            let low = 0, high = points.length - 1;
            while (high - low > 1) {
              const middle = (low + high) >> 1;
              if (points[middle][0] < x) low = middle; else high = middle;
            }
            return !points.length ? -1 : Math.abs(points[high][0] - x) < Math.abs(points[low][0] - x) ? high : low;
          };
          for (const figure of document.querySelectorAll("figure.plot")) {
            const data = plots[figure.id];
            const box = document.createElement("div");
            box.className = "read-out";
            box.hidden = true;
            figure.append(box);
            for (const svg of figure.querySelectorAll("svg.plot-wide, svg.plot-narrow")) {
              const cursor = svg.querySelector(".cursor");
              const lines = [...svg.querySelectorAll("path.line")].map((path) =>
                [...path.getAttribute("d").matchAll(/[ML]([-.\\d]+) ([-.\\d]+)/g)].map((m) => [+m[1], +m[2]]));
              let mark = null;
              const hide = () => { box.hidden = true; mark = null; cursor.setAttribute("x1", -9);
                cursor.setAttribute("x2", -9); };
              const show = (x) => {
                const found = lines.map((points) => nearest(points, x));
                const first = found.findIndex((index) => index >= 0);
                if (first < 0) return hide();
                let best = first;
                found.forEach((index, line) => { if (index >= 0 && Math.abs(lines[line][index][0] - x) <
                  Math.abs(lines[best][found[best]][0] - x)) best = line; });
                mark = lines[best][found[best]][0];
                cursor.setAttribute("x1", mark);
                cursor.setAttribute("x2", mark);
                const head = document.createElement("b");
                head.textContent = axes[data.axis](data.lines[best].x[found[best]]);
                box.replaceChildren(head);
                found.forEach((index, line) => {
                  if (index < 0 || Math.abs(lines[line][index][0] - mark) > 8) return;
                  const row = document.createElement("span"), name = document.createElement("i");
                  row.className = "look-" + line % 6;
                  name.textContent = data.lines[line].name;
                  row.append(name, units[data.unit](data.lines[line].y[index]));
                  box.append(row);
                });
                box.hidden = false;
                const outer = figure.getBoundingClientRect(), inner = svg.getBoundingClientRect();
                const left = inner.left - outer.left + mark / svg.viewBox.baseVal.width * inner.width;
                const beside = left + 14 + box.offsetWidth > outer.width ? left - 14 - box.offsetWidth : left + 14;
                box.style.left = Math.max(4, beside) + "px";
                box.style.top = inner.top - outer.top + 14 + "px";
              };
              svg.addEventListener("pointermove", (event) => {
                const inner = svg.getBoundingClientRect();
                show((event.clientX - inner.left) / inner.width * svg.viewBox.baseVal.width);
              });
              svg.addEventListener("pointerleave", hide);
              svg.addEventListener("blur", hide);
              svg.tabIndex = 0;
              svg.addEventListener("keydown", (event) => {
                if (event.key === "Escape") return hide();
                const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
                if (!step) return;
                event.preventDefault();
                const all = [...new Set(lines.flat().map((point) => point[0]))].sort((a, b) => a - b);
                const at = mark === null ? (step > 0 ? -1 : all.length) : all.indexOf(mark);
                const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
                if (next !== undefined) show(next);
              });
            }
          }
        })();
        """
}
