// The audience: who is here, the last hour, the tables of gender and age, the day, and what is wrong.
import { cellsChart, clock as when, dayChart, fillTable, number, shown, viewersChart } from "./charts.js";

const byId = (id) => document.getElementById(id);
const set = (id, text) => { if (byId(id).textContent !== text) byId(id).textContent = text; };
const drawn = new Map();
let cellsOf = "day", latest = null;

export const peopleWords = (count) => `${count} ${count === 1 ? "person" : "people"}`;

// Drawing again what has not changed would take the reader's place away.
function changed(name, value) {
  const text = JSON.stringify(value);
  if (drawn.get(name) === text) return false;
  drawn.set(name, text);
  return true;
}

export function showAudience(state) {
  latest = state;
  showAlarms(state.alarms);
  showNow(state);
  if (changed("windows", state.windows)) showHour(state.windows);
  if (changed("periods", [state.demographics, cellsOf])) showPeriods(state);
  if (changed("content", state.content)) showContent(state.content);
  const next = (Math.floor(state.utc_s / state.period_s) + 1) * state.period_s;
  set("next-table", `The next table is published at ${when(next, state.period_s)}; until then its viewers are only counted.`);
}

function showAlarms(alarms) {
  if (!changed("alarms", alarms)) return;
  byId("alarms").replaceChildren(...alarms.map((alarm) => {
    const item = document.createElement("li"), text = document.createElement("b"), remedy = document.createElement("span");
    item.dataset.kind = alarm.kind;
    text.textContent = alarm.since_utc_s === null ? alarm.text : `${alarm.text} Since ${since(alarm.since_utc_s)}.`;
    remedy.textContent = alarm.remedy;
    item.append(text, " ", remedy);
    return item;
  }));
}

function since(utc) {
  const then = new Date(utc * 1000);
  const today = then.toDateString() === new Date().toDateString();
  return today ? when(utc) : `${then.toLocaleDateString([], { day: "numeric", month: "short" })}, ${when(utc)}`;
}

function showNow(state) {
  set("people", state.people === null ? "–" : String(state.people));
  set("people-word", state.people === 1 ? "person" : "people");
  const level = state.privacy_level;
  const note = !state.enabled ? "Switched off." : state.people !== null ? "" :
    level === "aggregate" ? "Not released at privacy level aggregate." : "Nothing is counted just now.";
  set("now-note", note);
  if (!changed("now", state.now)) return;
  const cells = [...(state.now ?? [])].sort((one, other) => number(one[1]) - number(other[1]));
  byId("now").replaceChildren(...cells.map(([gender, band, count]) => {
    const item = document.createElement("li");
    item.className = gender;
    item.dataset.cell = `${gender} ${band}`;
    item.textContent = `${count} ${gender === "unknown" ? "of unknown gender" : gender}, ${band === "unknown" ? "age unknown" : band}`;
    return item;
  }));
}

const total = (windows, field) => windows.reduce((sum, one) => sum + (one[field] ?? 0), 0);
const mean = (sum, count) => (count ? `${(sum / count).toFixed(1)} s` : "–");

function showHour(windows) {
  byId("no-windows").hidden = windows.length > 0;
  byId("chart-viewers").toggleAttribute("hidden", windows.length === 0);
  const known = (field) => windows.filter((one) => one[field] !== null);
  set("passed", windows.length ? String(total(windows, "opportunities")) : "–");
  set("viewers", windows.length ? String(total(windows, "viewers")) : "–");
  set("engaged", known("engaged").length ? String(total(windows, "engaged")) : "–");
  const stays = known("dwell_s"), looks = known("attention_s");
  set("dwell", mean(total(stays, "dwell_s"), total(stays, "viewers")));
  set("attention", mean(total(looks, "attention_s"), total(looks, "looked")));
  viewersChart(byId("chart-viewers"), byId("table-viewers"), windows);
}

function showPeriods(state) {
  const all = state.demographics, chosen = cellsOf === "day" ? all : all.slice(-1);
  byId("no-cells").hidden = all.length > 0;
  byId("no-day").hidden = all.length > 0;
  byId("cells-last").setAttribute("aria-pressed", String(cellsOf === "last"));
  byId("cells-day").setAttribute("aria-pressed", String(cellsOf === "day"));
  const last = all.at(-1);
  set("cells-when", last ? `${when(chosen[0].start_utc_s, last.length_s)} to ${when(last.start_utc_s + last.length_s, last.length_s)}` : "");
  cellsChart(byId("chart-cells"), byId("table-cells"), chosen);
  dayChart(byId("chart-day"), byId("table-day"), all);
  const withheld = last?.withheld ?? 0;
  const rounded = state.min_cell > 1 ? `Cells are multiples of ${state.min_cell} (privacy.min_cell). ` : "";
  set("withheld", withheld ? `${withheld} more ${withheld === 1 ? "viewer" : "viewers"} will be in the next table. ${rounded}` : "");
}

function showContent(contents) {
  const named = contents.filter((one) => one.id !== null);
  byId("contents").hidden = named.length === 0;
  const minutes = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);
  fillTable(byId("table-content"), "What the sign showed", ["Content", "Shown", "Viewers", "Looked"],
    contents.map((one) => [one.id ?? "others, or nothing", minutes(one.shown_s), shown(one.viewers),
      one.attention_s === null ? "–" : minutes(one.attention_s)]));
}

for (const [id, which] of [["cells-last", "last"], ["cells-day", "day"]])
  byId(id).addEventListener("click", () => { cellsOf = which; if (latest?.ready) showAudience(latest); });
