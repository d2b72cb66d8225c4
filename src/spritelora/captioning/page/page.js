"use strict";

const BOX_PX = 256;
const PAUSE_MS = 500;
const MIN_CHARACTERS = 20;
const MAX_CHARACTERS = 200;

const cards = new Map();
let shown = "all";

const byId = (id) => document.getElementById(id);

function say(text, bad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", bad);
}

async function ask(path, options) {
  const response = await fetch(path, options);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok && response.status !== 409) {
    throw new Error(answer.problem || `the server answered ${response.status}`);
  }
  return { conflict: response.status === 409, ...answer };
}

// Whole device pixels for each sprite pixel, or the grid would come out uneven.
function enlarge(image) {
  const ratio = window.devicePixelRatio || 1;
  const side = Math.max(image.naturalWidth, image.naturalHeight);
  const factor = Math.floor((BOX_PX * ratio) / side);
  if (factor >= 1) {
    image.style.width = `${(image.naturalWidth * factor) / ratio}px`;
    image.style.height = `${(image.naturalHeight * factor) / ratio}px`;
  }
}

const oneLine = (text) => text.trim().replace(/\s+/g, " ");

class Card {
  constructor(entry) {
    this.node = byId("card").content.firstElementChild.cloneNode(true);
    this.find = (selector) => this.node.querySelector(selector);
    this.area = this.find("textarea");
    this.saving = Promise.resolve();
    this.timer = 0;
    this.seen = undefined;
    this.node.dataset.name = entry.name;
    this.find("h2").textContent = entry.name;
    this.area.setAttribute("aria-label", `Caption of ${entry.name}`);
    const image = this.find("img");
    image.addEventListener("load", () => enlarge(image));
    image.addEventListener("error", () => this.showBroken());
    image.alt = entry.name;
    image.src = `/image?name=${encodeURIComponent(entry.name)}`;
    this.area.addEventListener("input", () => this.typed());
    this.area.addEventListener("change", () => this.save());
    this.area.addEventListener("keydown", (event) => this.pressed(event));
    this.find(".mine").addEventListener("click", () => this.settle(this.area.value));
    this.find(".theirs").addEventListener("click", () => this.settle(this.theirs.caption ?? ""));
    this.savedAt = 0;
    this.take(entry);
  }

  get dirty() {
    return oneLine(this.area.value) !== this.seen;
  }

  // What is on disk: shown, unless the user has typed something else meanwhile.
  take(entry) {
    const untouched = this.seen === undefined || !this.dirty;
    this.entry = entry;
    this.seen = oneLine(entry.caption ?? "");
    if (untouched && this.dirty) this.area.value = this.seen;
    this.area.readOnly = !entry.writable;
    if (!entry.writable) this.state("read only: its file is, or it is in a file of another kind");
    this.area.placeholder = entry.caption === null ? "no caption yet" : "";
    this.find("ul").replaceChildren(...entry.findings.map((finding) => {
      const item = document.createElement("li");
      item.className = finding.severity;
      item.textContent = finding.message;
      return item;
    }));
    this.showCount();
  }

  // Read again at `since`: a caption typed here and not saved yet keeps the version it began from.
  refresh(entry, since = Infinity) {
    if (!this.dirty && this.savedAt < since) this.take(entry);
  }

  typed() {
    this.state(this.dirty ? "…" : "");
    this.showCount();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), PAUSE_MS);
  }

  pressed(event) {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    this.save();
    const open = [...cards.values()].filter((card) => !card.node.hidden);
    open[open.indexOf(this) + 1]?.area.focus();
  }

  save() {
    clearTimeout(this.timer);
    this.saving = this.saving.then(() => this.send());
    return this.saving;
  }

  async send() {
    if (!this.dirty || this.theirs || !this.entry.writable) return;
    const body = JSON.stringify({ name: this.entry.name, caption: this.area.value, version: this.entry.version });
    this.state("saving …");
    try {
      const headers = { "Content-Type": "application/json" };
      const answer = await ask("/caption", { method: "PUT", headers, body, keepalive: true });
      if (answer.conflict) {
        this.showConflict(answer.entry);
        return;
      }
      this.savedAt = Date.now();
      this.take(answer.entry);
      this.state(this.dirty ? "…" : "saved", "saved");
      for (const other of answer.others) cards.get(other.name)?.refresh(other);
      showFilters();
      say("");
    } catch (error) {
      this.state(`not saved: ${error.message}`, "bad");
      say("A caption could not be saved; is the editor still running?", true);
    }
  }

  showConflict(theirs) {
    this.theirs = theirs;
    this.find("blockquote").textContent = theirs.caption ?? "(no caption)";
    this.find(".conflict").hidden = false;
    this.state("not saved", "bad");
  }

  settle(caption) {
    const theirs = this.theirs;
    this.theirs = undefined;
    this.find(".conflict").hidden = true;
    this.take(theirs);
    this.area.value = caption;
    this.state("");
    this.showCount();
    this.save();
  }

  async showBroken() {
    const figure = this.find("figure");
    figure.classList.add("broken");
    figure.dataset.problem = "this picture cannot be read";
    await ask(this.find("img").src).catch((error) => { figure.dataset.problem = error.message; });
  }

  state(text, kind = "") {
    this.find(".state").textContent = text;
    this.find(".state").className = `state ${kind}`;
  }

  showCount() {
    const count = this.area.value.trim().length;
    this.find(".count").textContent = `${count} / ${MAX_CHARACTERS}`;
    this.find(".count").classList.toggle("bad", count < MIN_CHARACTERS || count > MAX_CHARACTERS);
  }

  fits(kind, words) {
    const kinds = this.entry.findings.map((finding) => finding.kind);
    const isKind = kind === "all" || (kind === "clean" ? !kinds.length : kind === "any" ? kinds.length : kinds.includes(kind));
    return isKind && (!words || `${this.entry.name}\n${this.area.value}`.toLowerCase().includes(words));
  }
}

function showFilters() {
  const all = [...cards.values()];
  const kinds = new Map();
  for (const card of all) {
    for (const kind of new Set(card.entry.findings.map((finding) => finding.kind))) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const found = all.filter((card) => card.entry.findings.length).length;
  const choices = [["all", all.length], ["any", found], ["clean", all.length - found]];
  choices.push(...[...kinds].sort((a, b) => b[1] - a[1]));
  if (!choices.some(([kind]) => kind === shown)) choices.push([shown, 0]);
  const names = { all: "All", any: "With findings", clean: "Without" };
  byId("filters").replaceChildren(...choices.map(([kind, count]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.kind = kind;
    button.setAttribute("aria-pressed", String(kind === shown));
    const number = document.createElement("b");
    number.textContent = count;
    button.append(`${names[kind] ?? kind.replaceAll("_", " ")} `, number);
    button.addEventListener("click", () => { shown = kind; filter(); showFilters(); });
    return button;
  }));
}

// Only when asked to: a card must not vanish while its caption is being put right.
function filter() {
  bulk.forget();
  const words = byId("search").value.trim().toLowerCase();
  let count = 0;
  for (const card of cards.values()) {
    card.node.hidden = !card.fits(shown, words);
    count += card.node.hidden ? 0 : 1;
  }
  byId("empty").hidden = count > 0;
}

async function load() {
  const since = Date.now();
  try {
    const { folder, sprites, num_undoable } = await ask("/sprites");
    byId("folder").textContent = folder;
    const present = new Set(sprites.map((entry) => entry.name));
    for (const [name, card] of cards) {
      if (!present.has(name) && !card.dirty) {
        card.node.remove();
        cards.delete(name);
      }
    }
    const added = document.createDocumentFragment();
    for (const entry of sprites) {
      const card = cards.get(entry.name);
      if (card) {
        card.refresh(entry, since);
        continue;
      }
      const made = new Card(entry);
      cards.set(entry.name, made);
      added.append(made.node);
    }
    const isFirst = cards.size === added.childElementCount;
    byId("cards").append(added);
    showFilters();
    if (isFirst) filter();
    bulk.showUndo(num_undoable);
    say("");
  } catch (error) {
    say(error.message, true);
  }
}

byId("search").addEventListener("input", filter);
window.addEventListener("focus", load);
window.addEventListener("beforeunload", (event) => {
  const open = [...cards.values()].filter((card) => card.dirty && card.entry.writable);
  for (const card of open) card.save();
  if (open.length) event.preventDefault();
});
say("reading the captions …");
load();
