"""The look of a set's report: one page that needs no network, no JavaScript to be read, and no light."""

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark; --paper: #f6f5f1; --ink: #22222a; --soft: #63636f; --card: #fff; --line: #dcdad2;
  --tile-a: #e9e7e1; --tile-b: #d9d6ce; --error: #b3261e; --warning: #8a5a00; --note: #2b5fa8; --press: #22222a; }
@media (prefers-color-scheme: dark) { :root { --paper: #17171c; --ink: #ececf0; --soft: #a2a2b0; --card: #212128;
  --line: #36363f; --tile-a: #3a3a44; --tile-b: #2f2f38; --error: #ff8f86; --warning: #f0bb5e; --note: #8fbcff;
  --press: #ececf0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.25rem 0 .75rem; }
p { margin: .25rem 0; }
.soft, dt, figcaption small { color: var(--soft); }
[hidden] { display: none !important; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .75rem 1.5rem; margin: 0; }
dt { font-size: .85rem; } dd { margin: 0; overflow-wrap: anywhere; }
ul { list-style: none; margin: 0; padding: 0; }
.findings li { border-left: 3px solid var(--tone); padding: .1rem 0 .1rem .6rem; margin: .5rem 0 0; font-size: .9rem;
  line-height: 1.4; overflow-wrap: anywhere; white-space: pre-line; }
.findings b { color: var(--tone); font-weight: 600; }
.of-set li { background: var(--card); padding: .6rem .8rem; border-radius: 0 6px 6px 0; }
.error { --tone: var(--error); } .warning { --tone: var(--warning); } .note { --tone: var(--note); }
summary { cursor: pointer; }
.palette { display: flex; flex-wrap: wrap; gap: .5rem; }
.palette li { width: 4.4rem; font-size: .72rem; line-height: 1.3; }
.palette i { display: block; height: 2rem; border-radius: 4px; border: 1px solid var(--line); margin-bottom: .2rem; }
.palette code { font-size: .72rem; }
img { image-rendering: pixelated; image-rendering: crisp-edges; image-rendering: pixelated; display: block; }
.sheet { display: flex; flex-wrap: wrap; gap: 2px; padding: 8px; border-radius: 6px; border: 1px solid var(--line);
  max-height: 24rem; overflow: auto; }
.sheet, .picture { background: repeating-conic-gradient(var(--tile-a) 0 25%, var(--tile-b) 0 50%) 0 0 / 16px 16px; }
#filter { display: flex; flex-wrap: wrap; gap: .4rem; margin: 0 0 1rem; position: sticky; top: 0; padding: .5rem 0;
  background: var(--paper); z-index: 1; }
button { font: inherit; font-size: .88rem; padding: .35rem .7rem; min-height: 2.2rem; border-radius: 99px;
  border: 1px solid var(--line); background: var(--card); color: var(--ink); cursor: pointer; }
button[aria-pressed=true] { background: var(--press); color: var(--paper); border-color: var(--press); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 16rem), 1fr)); gap: .8rem; }
figure { margin: 0; padding: .7rem; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  content-visibility: auto; contain-intrinsic-size: auto 15rem; min-width: 0; }
.picture { display: grid; place-items: center; min-height: 9rem; padding: 6px; border-radius: 4px; overflow: auto; }
figcaption { margin-top: .6rem; font-size: .9rem; line-height: 1.4; overflow-wrap: anywhere; }
figcaption strong { display: block; }
figcaption small { display: block; font-size: .8rem; }
@media (max-width: 34rem) { .cards { gap: .5rem; }
  figure { display: grid; grid-template-columns: 9.2rem minmax(0, 1fr); gap: .7rem; } figcaption { margin: 0; }
  .picture { min-height: 0; align-self: start; } .picture img { max-width: 100%; } }
"""

SCRIPT = """
const bar = document.getElementById('filter');
bar.hidden = false;
bar.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (!button) return;
  for (const other of bar.children) other.setAttribute('aria-pressed', String(other === button));
  for (const card of document.querySelectorAll('figure'))
    card.hidden = button.value !== '' && !card.dataset.kinds.split(' ').includes(button.value);
});
"""
