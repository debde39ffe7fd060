/**
 * The style sheet of page.ts. Colours are named once for light and once for dark; dark applies to screens only,
 * so that a page read in the dark still prints black on white.
 * @module
 */

export const pageStyle = `
:root {
  color-scheme: light dark;
  --paper: #fdfdfb; --ink: #1b1e23; --muted: #5a606a; --hair: #e3e3de; --rule: #c9c9c2; --wash: #f4f4f0;
  --link: #1f5fa8; --shade: rgb(27 30 35 / .14);
  --good: #17663a; --good-wash: #e6f2ea; --bad: #a3211c; --bad-wash: #fbeae8;
  --fair: #7d5200; --fair-wash: #faf0db; --none: #5a606a; --none-wash: #efefeb;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #131519; --ink: #e4e5e7; --muted: #a2a8b2; --hair: #2a2d33; --rule: #454a53; --wash: #1c1f24;
    --link: #8abdf5; --shade: rgb(0 0 0 / .6);
    --good: #7fd3a0; --good-wash: #16291e; --bad: #ff9d93; --bad-wash: #331917;
    --fair: #e8bd6a; --fair-wash: #2d2412; --none: #a2a8b2; --none-wash: #23262c;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: clamp(2rem, 7vw, 5.5rem) clamp(1.125rem, 4vw, 3rem) 3rem; max-width: 72rem;
  background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.62 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word;
}
h1, h2, h3 { font-weight: 640; text-wrap: balance; }
h1 { font-size: clamp(1.85rem, 1.3rem + 2.4vw, 2.9rem); line-height: 1.12; letter-spacing: -.022em; margin: 0; max-width: 22em; }
h2 { font-size: 1.125rem; line-height: 1.35; letter-spacing: -.006em; margin: 0; }
h3 { font-size: 1rem; margin: 2.25rem 0 .5rem; }
p, ul, ol { margin: 0 0 1rem; max-width: 40rem; text-wrap: pretty; }
ul, ol { padding-left: 1.25rem; }
a { color: var(--link); text-underline-offset: .16em; text-decoration-thickness: .06em; }
code, pre { font: .875em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
code { overflow-wrap: anywhere; }
pre { margin: 1.25rem 0; padding: .9rem 1.1rem; white-space: pre-wrap; background: var(--wash); border-radius: .375rem; }
pre code { font: inherit; }
:focus-visible { outline: 2px solid var(--link); outline-offset: 3px; }

.kicker { margin: 0 0 .9rem; color: var(--muted); font-size: .875rem; letter-spacing: .01em; }
.lead { margin-top: 1.35rem; }
.lead p { max-width: 38rem; font-size: clamp(1.0625rem, 1rem + .5vw, 1.25rem); line-height: 1.55; color: var(--muted); }
.verdict {
  display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .75rem 1.25rem; align-items: baseline;
  margin: 2rem 0 0; padding: 1.1rem 1.35rem; border-radius: .5rem;
}
@media (max-width: 30rem) { .verdict { grid-template-columns: minmax(0, 1fr); padding: 1rem 1.15rem; } }
.verdict p { margin: 0; max-width: 46rem; }
.verdict p + p { margin-top: .5rem; }
.verdict > .badge { padding: 0; background: none; font-size: 1.1875rem; letter-spacing: .03em; }

.badge {
  display: inline-block; padding: .06rem .55rem; border-radius: 1rem; white-space: nowrap;
  font-size: .8125rem; line-height: 1.55; font-weight: 640; letter-spacing: .01em;
}
.good { color: var(--good); background: var(--good-wash); }
.bad { color: var(--bad); background: var(--bad-wash); }
.fair { color: var(--fair); background: var(--fair-wash); }
.none { color: var(--none); background: var(--none-wash); }
.verdict > div { color: var(--ink); }

section { margin-top: clamp(2.75rem, 6vw, 4.5rem); padding-top: 1.35rem; border-top: 1px solid var(--rule); }
.heading { display: flex; flex-wrap: wrap; gap: .4rem .75rem; align-items: baseline; margin-bottom: 1rem; }
@media (min-width: 62rem) {
  section { display: grid; grid-template-columns: 12rem minmax(0, 1fr); column-gap: 3.25rem; }
  .heading { flex-direction: column; align-self: start; position: sticky; top: 1.35rem; }
}

nav { margin-top: 2rem; }
nav ol { columns: 17rem; column-gap: 3.25rem; list-style: none; margin: 0; padding: 0; max-width: none; font-size: .9375rem; }
nav li { display: flex; gap: .75rem; align-items: baseline; break-inside: avoid; padding: .2rem 0; }

figure { margin: 2rem 0; min-width: 0; }
figcaption { max-width: 40rem; color: var(--muted); font-size: .9rem; line-height: 1.5; }
.plot figcaption { margin-top: .9rem; }
.table figcaption { margin-bottom: .65rem; }
/* The two local gradients hide the two shadows at the ends: a shadow shows only where something is left to scroll. */
.scroll {
  overflow-x: auto;
  background:
    linear-gradient(to right, var(--paper) 40%, transparent) 0 / 2.5rem 100% local no-repeat,
    linear-gradient(to left, var(--paper) 40%, transparent) 100% / 2.5rem 100% local no-repeat,
    linear-gradient(to right, var(--shade), transparent) 0 / .8rem 100% scroll no-repeat,
    linear-gradient(to left, var(--shade), transparent) 100% / .8rem 100% scroll no-repeat;
}
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 2rem; }

table { border-collapse: collapse; font-size: .9375rem; line-height: 1.45; font-variant-numeric: tabular-nums lining-nums; }
th, td { padding: .45rem 1.6rem .45rem 0; text-align: left; vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
th.number, td.number { text-align: right; white-space: nowrap; }
thead th { padding-top: 0; border-bottom: 1px solid var(--rule); color: var(--muted); font-size: .875rem; font-weight: 500; vertical-align: bottom; }
tbody th { font-weight: 500; }
tbody th.text { min-width: 9rem; }
tbody tr + tr > * { border-top: 1px solid var(--hair); }
tbody tr:last-child > * { border-bottom: 1px solid var(--rule); }
.missing { color: var(--muted); font-style: italic; }

.claims { list-style: none; padding: 0; max-width: none; }
.claims > li { padding: .9rem 0; border-top: 1px solid var(--hair); }
.claims > li:first-child { padding-top: 0; border-top: 0; }
.claims p { margin: 0 0 .35rem; max-width: 46rem; }
.claims p + p, .claims ul + p, .claims ul { color: var(--muted); font-size: .9375rem; }
.claims ul { margin: 0 0 .5rem; max-width: 46rem; }
.claims .badge { margin-right: .35rem; }
details > pre { max-height: 24rem; overflow: auto; }
summary { cursor: pointer; }

.facts { display: grid; grid-template-columns: fit-content(45%) minmax(0, 1fr); gap: .36rem 1.5rem; margin: 0; font-size: .9375rem; }
.facts > div { display: contents; }
.facts dt { color: var(--muted); min-width: 5rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.body > .facts { margin: 1.25rem 0; }
.command > span { display: inline-block; max-width: 100%; }
footer { margin-top: clamp(3rem, 7vw, 5rem); padding-top: 1.35rem; border-top: 1px solid var(--rule); }
footer .facts { font-size: .875rem; }

.body > :first-child, .body > .row:first-child > figure { margin-top: 0; }
.body > :last-child, .body > .row:last-child > figure { margin-bottom: 0; }

@media print {
  @page { margin: 16mm; }
  :root { color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  h1 { font-size: 22pt; }
  nav { display: none; }
  section { display: block; margin-top: 2rem; }
  .heading { position: static; flex-direction: row; break-after: avoid; }
  h2, h3, .table figcaption { break-after: avoid; }
  figure, tr, .verdict { break-inside: avoid; }
  figure.table { break-inside: auto; }
  thead { display: table-header-group; }
  table { font-size: 8pt; }
  th, td { padding: .3rem .7rem .3rem 0; }
  tbody th.text { min-width: 0; }
  .scroll { overflow: visible; background: none; }
  .scroll svg { min-width: 0 !important; }
  .badge, .verdict { border: 1px solid currentColor; }
  .verdict > .badge { border: 0; }
  a { color: inherit; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
