// SPDX-License-Identifier: Apache-2.0
// style: table

/// How a report looks: light and dark, from a phone's width up, and on paper.
enum PageStyle {
    static let sheet: StaticString = """
        :root { color-scheme: light dark;
          --page: #f5f6f8; --card: #ffffff; --text: #16202c; --soft: #566272; --rule: #dfe3e9; --grid: #e9ecf1;
          --shade: #eef0f4; --accent: #1457b8; --good: #156c3c; --good-back: #e2f4e8; --bad: #b3261e;
          --bad-back: #fdeceb; --warn: #7a4b00; --warn-back: #fff4dc; --warn-rule: #e7b75a;
          --look-0: #1457b8; --look-1: #0b7a6b; --look-2: #b45309; --look-3: #a21caf; --look-4: #57606e;
          --look-5: #b3261e; }
        @media (prefers-color-scheme: dark) { :root {
          --page: #0e131a; --card: #161d27; --text: #e8edf3; --soft: #9fadbd; --rule: #2b3644; --grid: #232d3a;
          --shade: #1e2732; --accent: #7ab3ff; --good: #6fdc9a; --good-back: #12301f; --bad: #ff8f86;
          --bad-back: #3a1917; --warn: #ffd48a; --warn-back: #33270f; --warn-rule: #7d5f22;
          --look-0: #7ab3ff; --look-1: #4fd1bd; --look-2: #ffb05c; --look-3: #e792f2; --look-4: #b3bfcc;
          --look-5: #ff8f86; } }
        * { box-sizing: border-box; }
        html { -webkit-text-size-adjust: 100%; }
        body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, -apple-system,
          "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", Arial, sans-serif; font-variant-numeric: tabular-nums; }
        main { max-width: 1440px; margin: 0 auto; padding: 28px 32px 48px; }
        h1 { font-size: 30px; line-height: 1.2; margin: 2px 0 6px; letter-spacing: -.01em; }
        h1 small { font-size: 17px; font-weight: 400; color: var(--soft); letter-spacing: 0; }
        h2 { font-size: 19px; margin: 36px 0 12px; letter-spacing: -.005em; }
        h3 { font-size: 15px; margin: 0; }
        p { margin: 0 0 8px; }
        code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
          font-size: 13px; overflow-wrap: anywhere; }
        pre { margin: 0; white-space: pre-wrap; }
        .brand { display: flex; align-items: center; gap: 8px; color: var(--soft); font-size: 13px; font-weight: 600;
          letter-spacing: .06em; text-transform: uppercase; }
        .brand svg { width: 20px; height: 20px; }
        .brand path { fill: none; stroke: var(--accent); stroke-width: 2.2; stroke-linecap: round;
          stroke-linejoin: round; }
        .url { color: var(--soft); overflow-wrap: anywhere; }
        .card { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 16px 18px; }
        .facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 6px 18px; margin: 18px 0 0; }
        .facts dt { color: var(--soft); }
        .facts dd { margin: 0; overflow-wrap: anywhere; }
        .facts + h3 { margin-top: 18px; }
        .runs { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 16px;
          margin-top: 18px; }
        .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px;
          margin: 22px 0 0; padding: 0; list-style: none; }
        .figures .name { color: var(--soft); font-size: 13px; }
        .figures .value { font-size: 27px; line-height: 1.25; font-weight: 650; letter-spacing: -.015em;
          white-space: nowrap; }
        .figures .note { color: var(--soft); font-size: 13px; }
        .figures .is-bad .value { color: var(--bad); }
        .warnings { margin: 22px 0 0; background: var(--warn-back); border: 1px solid var(--warn-rule);
          border-left-width: 5px; border-radius: 10px; padding: 12px 18px; }
        .warnings h2 { margin: 0 0 4px; font-size: 15px; color: var(--warn); }
        .warnings ul { margin: 0; padding-left: 20px; }
        .warnings li { overflow-wrap: anywhere; }
        .verdicts { display: flex; flex-wrap: wrap; gap: 8px; margin: 18px 0 0; padding: 0; list-style: none; }
        .verdicts li { border-radius: 999px; padding: 4px 14px; font-size: 14px; overflow-wrap: anywhere; }
        .verdicts b { font-weight: 650; }
        .is-met { background: var(--good-back); color: var(--good); }
        .is-missed { background: var(--bad-back); color: var(--bad); }
        .plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 560px), 1fr)); gap: 16px; }
        figure.plot { position: relative; margin: 0; min-width: 0; }
        figcaption { margin-bottom: 8px; }
        figcaption p { color: var(--soft); font-size: 13px; margin: 2px 0 0; }
        .legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 6px 0 0; padding: 0; list-style: none;
          font-size: 13px; }
        .legend li { display: flex; align-items: center; gap: 6px; min-width: 0; overflow-wrap: anywhere; }
        .legend svg { flex: none; width: 26px; height: 8px; }
        .plot svg { display: block; }
        .plot-wide, .plot-narrow { width: 100%; height: auto; touch-action: pan-y; outline-offset: 3px; }
        .plot-narrow.plot-narrow { display: none; }
        svg text { fill: var(--soft); font-size: 11.5px; }
        svg .tick-y { text-anchor: end; }
        svg .tick-x { text-anchor: middle; }
        svg .end { font-weight: 600; }
        svg .grid { stroke: var(--grid); }
        svg .axis { stroke: var(--soft); stroke-opacity: .6; }
        svg .shaded { fill: var(--shade); }
        svg .cursor { stroke: var(--soft); stroke-dasharray: 2 3; }
        svg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; }
        .look-0 { --look: var(--look-0); } .look-1 { --look: var(--look-1); } .look-2 { --look: var(--look-2); }
        .look-3 { --look: var(--look-3); } .look-4 { --look: var(--look-4); } .look-5 { --look: var(--look-5); }
        svg [class^="look-"] .line { stroke: var(--look); } svg [class^="look-"] circle { fill: var(--look); }
        svg text[class*="look-"] { fill: var(--look); }
        .look-1 .line { stroke-dasharray: 7 4; } .look-2 .line { stroke-dasharray: 14 4; }
        .look-3 .line { stroke-dasharray: 3 4; } .look-4 .line { stroke-dasharray: 9 4 2 4; }
        .look-5 .line { stroke-dasharray: 1 4; stroke-width: 2.4; }
        .read-out { position: absolute; z-index: 2; pointer-events: none; background: var(--card); color: var(--text);
          border: 1px solid var(--rule); border-radius: 8px; padding: 7px 10px; font-size: 12.5px; line-height: 1.45;
          box-shadow: 0 4px 18px rgba(0, 0, 0, .18); white-space: nowrap; }
        .read-out b { display: block; font-weight: 600; color: var(--soft); }
        .read-out span { display: flex; justify-content: space-between; gap: 14px; }
        .read-out i { font-style: normal; color: var(--look); font-weight: 600; }
        .scroll { overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; font-size: 14px; }
        th, td { padding: 7px 12px; border-bottom: 1px solid var(--rule); text-align: right; white-space: nowrap;
          vertical-align: top; }
        tbody tr:last-child > * { border-bottom: 0; }
        th { font-weight: 600; color: var(--soft); }
        th:first-child, td:first-child { text-align: left; padding-left: 0; }
        th:last-child, td:last-child { padding-right: 0; }
        tbody th { color: var(--text); font-weight: 500; white-space: normal; overflow-wrap: anywhere; min-width: 110px; }
        .error { display: block; min-width: 180px; }
        .better { color: var(--good); } .worse { color: var(--bad); }
        .compared { margin-top: 22px; }
        .tables { display: grid; grid-template-columns: minmax(0, 1fr); gap: 16px; }
        .tables h3 { margin-bottom: 6px; }
        footer { margin-top: 32px; color: var(--soft); font-size: 13px; }
        @media (max-width: 640px) {
          main { padding: 18px 14px 32px; }
          h1 { font-size: 24px; }
          .card { padding: 13px 14px; border-radius: 10px; }
          .facts { grid-template-columns: minmax(0, 1fr); gap: 0; }
          .facts dd { margin-bottom: 8px; }
          .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px; }
          .figures .value { font-size: 20px; }
          .plot-wide.plot-wide { display: none; }
          .plot-narrow.plot-narrow { display: block; }
          th, td { padding: 6px 8px; }
        }
        @media print {
          :root { color-scheme: light; --page: #fff; --card: #fff; --text: #000; --soft: #444; --rule: #bbb;
            --grid: #ddd; --shade: #eee; --accent: #1457b8; --good: #156c3c; --good-back: #fff; --bad: #b3261e;
            --bad-back: #fff; --warn: #7a4b00; --warn-back: #fff; --look-0: #1457b8; --look-1: #0b7a6b;
            --look-2: #b45309; --look-3: #a21caf; --look-4: #57606e; --look-5: #b3261e; }
          body { font-size: 11pt; } main { padding: 0; max-width: none; }
          .card, figure, tr { break-inside: avoid; } h2 { break-after: avoid; }
          .plots { grid-template-columns: repeat(2, minmax(0, 1fr)); }
          .scroll { overflow: visible; } th, td { white-space: normal; }
          .plot-wide.plot-wide { display: block; } .plot-narrow.plot-narrow { display: none; }
          .read-out, svg .cursor { display: none; }
        }
        """
}
