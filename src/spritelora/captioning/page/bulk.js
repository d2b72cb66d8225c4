"use strict";

const MAX_LISTED = 200;
const HEADERS = { "Content-Type": "application/json" };

// One change of the captions of all sprites that the filter shows: first shown, then made, then perhaps taken back.
class Bulk {
  constructor() {
    this.form = byId("bulk").querySelector("form");
    this.seen = undefined;
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.show(); });
    this.form.addEventListener("input", () => this.forget());
    byId("apply").addEventListener("click", () => this.apply());
    byId("undo").addEventListener("click", () => this.undo());
  }

  // What was shown is no longer what is asked for.
  forget() {
    this.seen = undefined;
    byId("apply").hidden = true;
    this.list([], []);
    this.tell("");
  }

  tell(text, bad = false) {
    byId("told").textContent = text;
    byId("told").classList.toggle("bad", bad);
  }

  async show() {
    this.forget();
    const open = [...cards.values()].filter((card) => !card.node.hidden);
    await Promise.all(open.map((card) => card.save()));
    const versions = Object.fromEntries(open.filter((c) => !c.dirty).map((c) => [c.entry.name, c.entry.version]));
    const fields = this.form.elements;
    const asked = { versions };
    for (const name of ["find", "put", "remove", "add"]) asked[name] = fields[name].value;
    for (const name of ["is_pattern", "add_first"]) asked[name] = fields[name].checked;
    const answer = await this.ask("/captions", { ...asked, dry_run: true });
    if (!answer) return;
    const unsaved = open.filter((card) => card.dirty).map((card) => `${card.entry.name}: not saved yet, and left so`);
    this.list(answer.edits, [...unsaved, ...answer.problems]);
    this.tell(`${answer.edits.length} of ${open.length} captions would change`);
    this.seen = asked;
    byId("apply").textContent = `Change ${answer.edits.length}`;
    byId("apply").hidden = answer.edits.length === 0;
  }

  async apply() {
    const asked = this.seen;
    if (!asked) return;
    this.forget();
    await this.make("/captions", { ...asked, dry_run: false }, "changed");
  }

  async undo() {
    this.forget();
    await this.make("/undo", {}, "as before");
  }

  async make(path, body, done) {
    const answer = await this.ask(path, body);
    if (!answer) return;
    for (const entry of answer.entries) cards.get(entry.name)?.refresh(entry);
    showFilters();
    this.showUndo(answer.num_undoable);
    this.list(answer.edits, answer.problems);
    this.tell(`${answer.edits.length} captions ${done}`);
  }

  async ask(path, body) {
    try {
      return await ask(path, { method: "PUT", headers: HEADERS, body: JSON.stringify(body) });
    } catch (error) {
      this.tell(error.message, true);
      return undefined;
    }
  }

  showUndo(count) {
    byId("undo").hidden = count === 0;
    byId("undo").textContent = count > 1 ? `Undo (${count})` : "Undo";
  }

  list(edits, problems) {
    byId("problems").replaceChildren(...some(problems).map((text) => element("li", text, "warning")));
    byId("edits").replaceChildren(...some(edits).map((edit) => {
      if (typeof edit === "string") return element("li", edit);
      const item = element("li", edit.name);
      item.append(element("del", edit.before), element("ins", edit.after));
      return item;
    }));
  }
}

function some(items) {
  const rest = items.length - MAX_LISTED;
  return rest > 0 ? [...items.slice(0, MAX_LISTED), `and ${rest} more`] : items;
}

function element(kind, text, className = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  made.className = className;
  return made;
}

const bulk = new Bulk();
