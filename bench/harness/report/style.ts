/** Of the report: light or dark as the reader has it, and fit for print. */
export const style = `
:root { color-scheme: light dark; --text: #1c2430; --faint: #667085; --line: #d8dee8; --card: #f7f9fc; --page: #fff;
  --better: #0d7f8f; --worse: #c2334d; --unclear: #98a2b3; --wanted: #1c2430 }
@media (prefers-color-scheme: dark) { :root { --text: #e6eaf0; --faint: #98a2b3; --line: #2f3947; --card: #1a212b; --page: #12171e;
  --better: #3fb3c2; --worse: #e8677d; --unclear: #667085; --wanted: #e6eaf0 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 0 auto; max-width: 1020px; padding: 24px }
h1 { font-size: 28px; margin: 0 0 4px } h2 { font-size: 21px; margin: 40px 0 8px; border-bottom: 1px solid var(--line); padding-bottom: 4px }
h3 { font-size: 15px; margin: 0 0 8px; font-family: ui-monospace, monospace } p { margin: 6px 0 }
.faint, figcaption { color: var(--faint); font-size: 13px } .cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0 }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; flex: 1 1 200px }
.card b { display: block; font-size: 24px } .cell { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px; margin: 14px 0 }
.charts { display: flex; flex-wrap: wrap; gap: 12px } figure { margin: 0 } svg { max-width: 100%; height: auto; font: 11px system-ui, sans-serif }
svg text { fill: var(--text) } svg .tick, svg .figure { fill: var(--faint); font-size: 10px } svg .name { font-size: 11px } svg .value { font-weight: 600; font-size: 12px }
svg .legend { font-weight: 600 } .grid { stroke: var(--line); stroke-width: 1 } .one { stroke: var(--text); stroke-width: 1.2 }
.better { fill: var(--better) } .worse { fill: var(--worse) } .unclear { fill: var(--unclear) }
.interval { stroke: var(--text); stroke-width: 1.3; opacity: .75 } .wanted { stroke: var(--wanted); stroke-width: 2.4; stroke-dasharray: 3 2 }
table { border-collapse: collapse; width: 100%; font-size: 13px; margin: 8px 0 } th, td { text-align: right; padding: 3px 8px; border-bottom: 1px solid var(--line); white-space: nowrap }
th:first-child, td:first-child { text-align: left; white-space: normal } .reached { color: var(--better); font-weight: 600 } .missed { color: var(--worse); font-weight: 600 }
.warning { color: var(--worse) } details { margin: 8px 0 } summary { cursor: pointer; color: var(--faint) } pre { white-space: pre-wrap; word-break: break-all; font-size: 12px; background: var(--card); padding: 10px; border-radius: 6px }
`
