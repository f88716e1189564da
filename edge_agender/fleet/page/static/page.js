"use strict";
// What is asked for, and where the answers go.

const get = (id) => document.getElementById(id);
const { make } = views;
const state = { view: "audience", content: "", by: { audience: "hour", people: "device" }, gender: "", age_band: "", me: null, turn: 0 };
const BY = { audience: ["hour", "day", "site", "device", "content"], people: ["device", "site", "day", "hour", "content"] };
const BANDS_ALL = "all ages";

async function ask(path, options = {}) {
  const reply = await fetch(path, { credentials: "same-origin", ...options });
  if (reply.status === 401 && path !== "/api/login") { showLogin(); throw new Error("logged out"); }
  const body = await reply.json();
  if (!reply.ok) throw new Error(typeof body.detail === "string" ? body.detail : reply.statusText);
  return body;
}

function url(path, parameters, format) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) for (const one of [value].flat()) if (one !== "" && one !== null) query.append(name, one);
  if (format) query.append("format", format);
  return `${path}?${query}`;
}

function filters() {
  return { first: get("first").value, last: get("last").value, site: get("site").value, device: get("device").value, content: state.content };
}

// -- login

function showLogin() { get("app").hidden = true; get("login").hidden = false; get("name").focus(); }

get("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  get("login-error").textContent = "";
  try {
    await ask("/api/login", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name: get("name").value, password: get("password").value }) });
    get("password").value = "";
    await begin();
  } catch (error) { get("login-error").textContent = error.message; }
});

get("logout").addEventListener("click", async () => { await ask("/api/logout", { method: "POST" }); showLogin(); });

// -- filters

function day(offset) { return new Date(Date.parse(`${state.me.yesterday}T00:00:00Z`) + offset * 86400000).toISOString().slice(0, 10); }
const SPANS = { Today: [1, 1], Yesterday: [0, 0], "7 days": [-6, 0], "28 days": [-27, 0] };

function chips(place, entries, chosen, choose) {
  place.replaceChildren(...entries.map(([value, name]) => make("button", { type: "button", textContent: name, "aria-pressed": String(value === chosen), onclick: () => choose(value) })));
}

function fillFilters() {
  const options = (place, all, values) => {
    const kept = place.value;
    place.replaceChildren(make("option", { value: "", textContent: all }), ...values.map((value) => make("option", { value, textContent: value })));
    place.value = values.includes(kept) ? kept : "";
  };
  options(get("site"), "all sites", state.me.sites);
  options(get("device"), "all devices", state.me.devices);
  const chosen = Object.keys(SPANS).find((name) => day(SPANS[name][0]) === get("first").value && day(SPANS[name][1]) === get("last").value);
  chips(get("spans"), Object.keys(SPANS).map((name) => [name, name]), chosen, (name) => { get("first").value = day(SPANS[name][0]); get("last").value = day(SPANS[name][1]); refresh(); });
  for (const view of ["audience", "people"]) {
    chips(get(`contents-${view}`), [["", "all"], ...state.me.contents.map((content) => [content, content])], state.content, (content) => { state.content = content; refresh(); });
    chips(get(`by-${view}`), BY[view].map((name) => [name, views.NAMES[name]]), state.by[view], (name) => { state.by[view] = name; refresh(); });
  }
}

for (const id of ["first", "last", "site", "device"]) get(id).addEventListener("change", () => refresh());

// -- views

async function showAudience(turn) {
  const by = state.by.audience, asked = filters();
  const [total, split] = await Promise.all([ask(url("/api/audience", asked)), ask(url("/api/audience", { ...asked, by }))]);
  if (turn !== state.turn) return;
  const sum = total.rows[0] ?? {}, zone = state.me.timezone;
  const shown = ["viewers", "opportunities", "engaged", "engaged_share", "dwell_mean_s", "attention_mean_s", "mean_count", "covered_h"].filter((name) => sum[name] !== null && sum[name] !== undefined);
  views.cards(get("cards"), shown.map((name) => [views.NAMES[name], views.text(name, sum[name], zone)]));
  get("chart-title").textContent = `Viewers by ${views.NAMES[by]}${state.content ? ` who saw ${state.content}` : ""}`;
  views.chart(get("chart"), views.NAMES[by], by, split.rows, zone);
  views.table(get("table-audience"), [by, ...shown], split.rows, zone);
  links("audience", "/api/audience", { ...asked, by });
  note(total.about);
}

async function showPeople(turn) {
  const by = state.by.people, asked = filters();
  const cell = { gender: state.gender, age_band: state.age_band };
  const [grid, total, split] = await Promise.all([
    ask(url("/api/people", { ...asked, by: ["gender", "age_band"] })), ask(url("/api/people", { ...asked, ...cell })), ask(url("/api/people", { ...asked, ...cell, by }))]);
  if (turn !== state.turn) return;
  pyramid(grid.rows);
  const sum = total.rows[0] ?? { viewers: null };
  const whom = `${state.gender ? views.WORDS[state.gender] : "people"}${state.age_band ? ` of ${state.age_band}` : ""}`;
  const when = asked.first === asked.last ? `on ${asked.first}` : `from ${asked.first} to ${asked.last}`;
  get("answer").replaceChildren(make("b", { textContent: sum.viewers === null ? "–" : views.number.format(sum.viewers) }),
    sum.sd ? ` ± ${views.number.format(Math.round(sum.sd))} ` : " ", `${whom} saw ${state.content || "the screens"} ${when}`);
  const most = Math.max(0, ...split.rows.map((row) => row.viewers + (row.sd ?? 0)));
  views.table(get("table-people"), [by, "viewers"], split.rows, state.me.timezone, { title: "± one standard deviation", cell: (row) => views.bar(row, most) });
  links("people", "/api/people", { ...asked, ...cell, by });
  note(total.about);
}

function pyramid(rows) {
  const first = (band) => (Number.isNaN(parseInt(band)) ? 999 : parseInt(band));
  const bands = [...new Set(rows.map((row) => row.age_band))].sort((a, b) => first(a) - first(b));
  const genders = ["female", "male", "unknown"].filter((gender) => rows.some((row) => row.gender === gender && row.viewers));
  const most = Math.max(1, ...rows.map((row) => row.viewers));
  const pick = (gender, band) => () => {
    const again = state.gender === gender && state.age_band === band;
    state.gender = again ? "" : gender; state.age_band = again ? "" : band; refresh();
  };
  const cell = (gender, band) => {
    const found = rows.filter((row) => (!gender || row.gender === gender) && (!band || row.age_band === band));
    if (!found.length) return make("td");
    const viewers = found.reduce((sum, row) => sum + row.viewers, 0);
    const sd = Math.sqrt(found.reduce((sum, row) => sum + (row.sd ?? 0) ** 2, 0));
    const share = gender && band ? (viewers / most) * 0.55 : 0;
    return make("td", {}, make("button", { type: "button", style: { "--share": String(share) }, onclick: pick(gender, band),
      "aria-pressed": String(state.gender === gender && state.age_band === band && Boolean(gender || band)), "aria-label": `${views.WORDS[gender] ?? "all"} ${band || BANDS_ALL}: ${viewers}` },
      views.number.format(viewers), make("small", { textContent: ` ± ${Math.round(sd)}` })));
  };
  const columns = [...bands, ""];
  get("pyramid").replaceChildren(make("caption", { textContent: "Viewers by gender and age: click a cell to ask for it" }),
    make("thead", {}, make("tr", {}, make("th"), ...columns.map((band) => make("th", { scope: "col", textContent: band || BANDS_ALL })))),
    make("tbody", {}, ...[...genders, ""].map((gender) => make("tr", {}, make("th", { scope: "row", textContent: views.WORDS[gender] ?? "all" }), ...columns.map((band) => cell(gender, band))))));
}

async function showDevices(turn) {
  const [devices, gaps, rollouts] = await Promise.all([ask("/api/devices"), ask("/api/gaps"), ask("/api/rollouts")]);
  if (turn !== state.turn) return;
  const count = (condition) => devices.filter((device) => device.condition === condition).length;
  views.cards(get("counts"), [["devices", String(devices.length)], ...["online", "alarm", "silent", "offline", "off"].map((name) => [name, String(count(name))]),
    ["missing", views.number.format(devices.reduce((sum, device) => sum + device.missing, 0))]]);
  const heads = ["", "device", "site", "last message", "software", "missing", "lost", "temperature", "what needs a person"];
  const row = (device) => make("tr", {}, make("td", {}, make("span", { className: `pill ${device.condition}`, textContent: device.condition })),
    ...[device.name, device.site, views.ago(device.last_seen_s), device.software ?? "–", views.number.format(device.missing), views.number.format(device.lost),
      device.health.temperature_c === null ? "–" : `${device.health.temperature_c} °C`, device.alarms.join("; ") || "–"].map((text) => make("td", { textContent: text })));
  get("table-devices").replaceChildren(make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col", textContent: text })))), make("tbody", {}, ...devices.map(row)));
  const columns = ["device", "kind", "first", "last", "found", "asked", "outcome"];
  get("table-gaps").replaceChildren(make("thead", {}, make("tr", {}, ...columns.map((text) => make("th", { scope: "col", textContent: text })))),
    make("tbody", {}, ...(gaps.length ? gaps.map((gap) => make("tr", {}, ...[gap.device, gap.kind, gap.first, gap.last, views.ago(gap.found_s), `${gap.asked} times`, gap.outcome ?? "asked for"].map((text) => make("td", { textContent: text })))) : [make("tr", {}, make("td", { className: "good", textContent: "None: every message that a device has numbered is here.", colSpan: columns.length }))])));
  showRollouts(rollouts);
  get("note").textContent = "";
}

const ENDED = { done: "good", stopped: "poor" };

function showRollouts(rollouts) {
  const heads = ["", "rollout", "what", "of", "canaries", "took it over", "waits", "refused", "worse", "by", ""];
  const row = (one) => {
    const count = (...names) => views.number.format(names.reduce((sum, name) => sum + (one.devices[name] ?? 0), 0));
    const back = make("button", { type: "button", textContent: "Take back", onclick: () => takeBack(one) });
    const open = one.back_to === null && one.state !== "stopped" && one.own;
    return make("tr", {}, make("td", {}, make("span", { className: `pill ${ENDED[one.state] ?? "fair"}`, textContent: one.state })),
      ...[one.revision, one.changes + (one.reason ? ` (${one.reason})` : ""), one.scope, one.canaries, count("applied", "well"), count("waiting", "sent"), count("refused"), count("worse"),
        `${one.made_by}, ${views.ago(one.made_s)}`].map((text) => make("td", { textContent: text })), make("td", {}, ...(open ? [back] : [])));
  };
  const none = make("tr", {}, make("td", { className: "quiet", textContent: "None: every device runs its own file.", colSpan: heads.length }));
  get("table-rollouts").replaceChildren(make("thead", {}, make("tr", {}, ...heads.map((text) => make("th", { scope: "col", textContent: text })))),
    make("tbody", {}, ...(rollouts.length ? rollouts.map(row) : [none])));
}

async function takeBack(rollout) {
  if (!confirm(`Take rollout ${rollout.revision} back on ${rollout.scope}?`)) return;
  try { await ask(`/api/rollouts/${rollout.revision}/rollback`, { method: "POST" }); await refresh(); }
  catch (error) { get("note").textContent = error.message; }
}

function links(view, path, parameters) { for (const format of ["csv", "parquet"]) get(`${format}-${view}`).href = url(path, parameters, format); }

function note(about) {
  const words = [];
  if (about.incomplete_days) words.push(`${about.incomplete_days} device days are not complete yet`);
  if (about.hours_of_few) words.push(`${about.hours_of_few} hours with fewer than ${state.me.min_cell} people are left out`);
  if (about.changes_waiting) words.push(`${about.changes_waiting} late changes of fewer than ${state.me.min_cell} people wait`);
  get("note").textContent = words.length ? `${words.join("; ")}.` : about.device_days ? "Complete." : "";
}

// -- turns

async function refresh() {
  const turn = ++state.turn;
  if (!["audience", "people", "devices"].includes(state.view)) state.view = "audience";
  for (const view of ["audience", "people", "devices"]) {
    get(`view-${view}`).hidden = view !== state.view;
    if (view === state.view) get(`tab-${view}`).setAttribute("aria-current", "page"); else get(`tab-${view}`).removeAttribute("aria-current");
  }
  get("filters").hidden = state.view === "devices";
  fillFilters();
  try { await { audience: showAudience, people: showPeople, devices: showDevices }[state.view](turn); document.body.dataset.shown = state.view; }
  catch (error) { if (turn === state.turn) get("note").textContent = error.message; }
}

async function begin() {
  state.me = await ask("/api/me");
  get("login").hidden = true; get("app").hidden = false;
  get("me").textContent = `${state.me.name} · ${state.me.role}${state.me.tenant ? ` · ${state.me.tenant}` : ""}`;
  get("tab-devices").hidden = state.me.role !== "operator";
  get("trouble").hidden = !state.me.troubles.length; get("trouble").textContent = state.me.troubles.join("; ");
  if (!get("first").value) { get("first").value = state.me.yesterday; get("last").value = state.me.yesterday; }
  await refresh();
}

addEventListener("hashchange", () => { state.view = location.hash.slice(1); if (state.me) refresh(); });
state.view = location.hash.slice(1) || "audience";
begin().catch(() => {});
