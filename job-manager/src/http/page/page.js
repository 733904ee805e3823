"use strict";
// Shows what the API says; nothing that a job brings along is ever read as HTML.
const PAUSE_MS = 3000;
const main = document.getElementById("main");
const trouble = document.getElementById("trouble");
const login = document.getElementById("login");
let cursors = [];
let timer = 0;
let turn = 0;

async function ask(path) {
  const token = sessionStorage.getItem("token");
  const answer = await fetch(path, { headers: token ? { authorization: `Bearer ${token}` } : {}, cache: "no-store" });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.detail || answer.statusText), { status: answer.status });
  return body;
}

function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  for (const part of [content].flat()) if (part !== undefined && part !== null) made.append(part);
  return made;
}

function table(columns, rows) {
  const cell = (kind, text, place) => element(kind, text, columns[place].startsWith("#") ? { class: "number" } : {});
  const head = element("tr", columns.map((name, place) => cell("th", name.replace("#", ""), place)));
  const body = rows.map((row) => element("tr", row.map((text, place) => cell("td", text, place))));
  return element("div", element("table", [element("thead", head), element("tbody", body)]), { class: "scroll" });
}

const state = (text) => element("span", text, { class: `state ${text}` });
const number = (value) => value.toLocaleString("en");
const time = (text) => (text ? element("time", text.replace("T", " ").replace(/\.\d+Z$|Z$/, " UTC"), { datetime: text }) : "");

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${unit ? value.toFixed(1) : value} ${units[unit]}`;
}

function bar(stage) {
  const parts = ["ok", "skipped", "dead"].map((kind) => {
    const part = element("span", null, { class: kind, title: `${number(stage[kind])} ${kind}` });
    part.style.width = `${stage.items ? (100 * stage[kind]) / stage.items : 0}%`;
    return part;
  });
  const ended = stage.ok + stage.skipped + stage.dead;
  // Never 100 before the end.
  const percent = stage.items ? `${Math.floor((100 * ended) / stage.items)} %` : "";
  const words = `${number(ended)} of ${number(stage.items)} items have ended`;
  const whole = element("div", parts, { class: "bar", role: "img", "aria-label": words });
  return element("div", [whole, element("small", percent)], { class: "progress", title: words });
}

async function jobs() {
  const cursor = cursors.at(-1);
  const page = await ask(`/v1/jobs?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
  const rows = page.entries.map((job) => [
    element("a", element("code", job.job), { href: `#${job.job}` }), job.pipeline, job.tenant || "", state(job.state),
    time(job.submitted), time(job.finished),
  ]);
  const turnPage = (text, change) => {
    const button = element("button", text);
    button.addEventListener("click", () => { change(); show(); });
    return button;
  };
  return [
    rows.length ? table(["job", "pipeline", "tenant", "state", "submitted", "finished"], rows) : element("p", "There is no job here."),
    cursors.length ? turnPage("newer", () => cursors.pop()) : null,
    page.next_cursor ? turnPage("older", () => cursors.push(page.next_cursor)) : null,
  ];
}

async function job(id) {
  const at = `/v1/jobs/${encodeURIComponent(id)}`;
  const [status, dead, outputs] = await Promise.all([ask(at), ask(`${at}/dead?limit=20`), ask(`${at}/outputs?limit=50`)]);
  const stages = status.stages.map((stage) => [
    [element("strong", stage.name), bar(stage)], stage.planned ? number(stage.items) : `${number(stage.items)}…`, number(stage.ok),
    number(stage.reused), number(stage.skipped), number(stage.dead), number(stage.running), bytes(stage.bytes_out),
  ]);
  const parts = [
    element("p", element("a", "all jobs", { href: "#" })),
    element("h2", [`${status.pipeline} `, element("code", status.job), " ", state(status.state)]),
    element("p", ["submitted ", time(status.submitted), status.finished ? ", finished " : "", time(status.finished)]),
    status.message ? element("p", status.message) : null,
    table(["stage", "#items", "#ok", "#reused", "#skipped", "#dead", "#running", "#written"], stages),
  ];
  if (dead.entries.length) {
    const letters = dead.entries.map((it) => [`${it.stage}/${it.item}`, it.reason, it.message, element("code", it.stderr || "")]);
    parts.push(element("h2", dead.next_cursor ? "The first dead letters" : "Dead letters"), table(["item", "reason", "message", "stderr"], letters));
  }
  if (outputs.entries.length) {
    // With a token the address alone would not open it.
    const link = (it) => (sessionStorage.getItem("token") ? it.path : element("a", it.path, { href: it.href }));
    parts.push(element("h2", outputs.next_cursor ? "The first outputs" : "Outputs"), table(["path", "#bytes"], outputs.entries.map((it) => [link(it), number(it.bytes)])));
  }
  return parts;
}

async function fleet() {
  const pools = (await ask("/v1/pools")).entries;
  const words = pools.map((it) => `${it.pool}: ${it.busy} of ${it.slots} slots busy on ${it.workers} ${it.workers === 1 ? "worker" : "workers"}`);
  document.getElementById("fleet").textContent = words.join(" · ") || "no workers in sight";
}

async function show() {
  clearTimeout(timer);
  const mine = ++turn;
  const id = decodeURIComponent(location.hash.slice(1));
  try {
    const parts = await (id ? job(id) : jobs());
    await fleet();
    if (mine !== turn) return;
    main.replaceChildren(...parts.filter((part) => part !== null));
    trouble.hidden = login.hidden = true;
  } catch (error) {
    if (mine !== turn) return;
    login.hidden = error.status !== 401;
    trouble.hidden = error.status === 401 && !sessionStorage.getItem("token");
    trouble.textContent = error.message;
    if (error.status === 401) main.replaceChildren();
    if (error.status === 404) {
      // It will not come to be by being asked for again.
      main.replaceChildren(element("p", element("a", "all jobs", { href: "#" })));
      return;
    }
  }
  if (!document.hidden) timer = setTimeout(show, PAUSE_MS);
}

login.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", document.getElementById("token").value.trim());
  show();
});
addEventListener("hashchange", show);
document.addEventListener("visibilitychange", show);
show();
