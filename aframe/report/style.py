"""Style sheet of the report. The page includes it."""

CSS = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #e1e5ea; --page: #f5f7f9; --card: #fff; --accent: #0072B2; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif; }
main, header > div, nav > div { max-width: 1160px; margin: 0 auto; padding: 0 20px; }
header { background: linear-gradient(120deg, #0b2a41, #0072B2); color: #fff; padding: 34px 0 30px; }
header h1 { margin: 0 0 4px; font-size: clamp(1.5rem, 4vw, 2.2rem); line-height: 1.2; letter-spacing: -0.01em; }
header p { margin: 0; opacity: 0.85; }
nav { background: var(--card); border-bottom: 1px solid var(--line); position: sticky; top: 0; z-index: 10; }
nav > div { display: flex; gap: 20px; overflow-x: auto; white-space: nowrap; }
nav a { color: var(--soft); text-decoration: none; padding: 10px 0; font-size: 0.9rem; }
nav a:hover { color: var(--accent); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 20px 24px;
  margin: 20px 0; scroll-margin-top: 56px; }
h2 { margin: 0 0 10px; font-size: 1.25rem; } h3 { margin: 14px 0 4px; font-size: 1rem; }
p { margin: 6px 0 12px; } .note { color: var(--soft); font-size: 0.92rem; }
.missing { color: var(--soft); border-left: 3px solid var(--line); padding-left: 12px; margin: 4px 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(160px, 1fr)); gap: 14px; margin: 22px 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px 16px; }
.card b { display: block; font-size: 1.35rem; line-height: 1.25; letter-spacing: -0.01em; }
.card span { color: var(--soft); font-size: 0.85rem; line-height: 1.4; display: inline-block; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); gap: 14px 28px; }
.grid.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); }
.grid > div { min-width: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; } td.r, th.r { text-align: right; }
td.wrap { white-space: normal; overflow-wrap: anywhere; }
.sortable .scroll { max-height: 27rem; overflow: auto; border: 1px solid var(--line); border-radius: 8px; }
.sortable table { margin: 0; } .sortable th, .sortable td { padding-left: 14px; }
.sortable th { position: sticky; top: 0; background: var(--card); box-shadow: inset 0 -1px var(--line); }
.sortable th button { all: unset; cursor: pointer; font-weight: 600; }
.sortable th button:focus-visible { outline: 2px solid var(--accent); outline-offset: 3px; border-radius: 3px; }
.sortable th button::after { content: " ↕"; opacity: 0.35; }
.sortable th[aria-sort="ascending"] button::after { content: " ↑"; opacity: 1; }
.sortable th[aria-sort="descending"] button::after { content: " ↓"; opacity: 1; }
.filter { display: inline-block; margin: 4px 8px 10px 0; color: var(--soft); font-size: 0.92rem; }
.filter input { font: inherit; padding: 4px 10px; border: 1px solid var(--line); border-radius: 6px; min-width: 14rem; }
details { border-top: 1px solid var(--line); padding: 8px 0; } details:first-of-type { border: 0; }
summary { cursor: pointer; font-weight: 600; }
@media (max-width: 560px) { section { padding: 16px 14px; border-radius: 10px; } main { padding: 0 10px; }
  .cards { grid-template-columns: 1fr 1fr; gap: 10px; } .card b { font-size: 1.1rem; } }
"""
