"""The style sheet of the report page: pictures keep a white ground, the rest follows the reader's light or dark."""

STYLE = """
:root { --paper: #fdfdfc; --ink: #1d2329; --soft: #5d6872; --line: #d9dee3; --card: #f3f5f7; --run: #0b62a8; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181c; --ink: #e4e8ec; --soft: #9aa6b1; --line: #333c45; --card: #1d2329; --run: #6cb6f2; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .5rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
p { margin: .4rem 0 .8rem; max-width: 46rem; overflow-wrap: anywhere; }
.soft, caption, figcaption, dt { color: var(--soft); }
.lead { font-size: 1.1rem; }
.scroll { overflow-x: auto; margin: .6rem 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .28rem .8rem .28rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); vertical-align: bottom; }
th:first-child, td:first-child, .words { text-align: left; }
.words { white-space: normal; min-width: 16rem; color: var(--soft); }
tr.run td { color: var(--run); font-weight: 600; }
tr.run td.words { font-weight: 400; }
figure { margin: 0 0 1.2rem; }
figure img { width: 100%; height: auto; display: block; background: #fff; border-radius: 6px;
  border: 1px solid var(--line); }
.picture { overflow-x: auto; }
.picture.legible img { min-width: 30rem; }
.picture.wide img { min-width: 44rem; }
figcaption { font-size: .9rem; margin-top: .4rem; max-width: 46rem; }
.card { background: var(--card); border-radius: 8px; padding: .9rem 1.1rem; margin: .8rem 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .4rem 0; font-size: .9rem; }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--paper); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem;
  margin: .5rem 0; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; }
@media (max-width: 36rem) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .4rem; }
  main { padding: 1rem .9rem 3rem; }
}
"""
