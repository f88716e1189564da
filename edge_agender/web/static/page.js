// Follows the daemon's state by server-sent events and shows it. There is no picture anywhere in it.
import { peopleWords, showAudience } from "./audience.js";
import { fillTable } from "./charts.js";

const STALE_MS = 15000;
const RETRY_MS = 3000;
const ROOM_FOR_WORDS_PX = 600;
const byId = (id) => document.getElementById(id);
const set = (id, text, verdict) => {
  const node = byId(id);
  if (node.textContent !== text) node.textContent = text;
  if (verdict !== undefined) node.className = verdict;
};
const withUnit = (value, unit) => (value === null || value === undefined ? "–" : `${value}${unit}`);

let source = null, view = "status", heard = 0, lastSpoken = 0, connecting = 0;

function duration(seconds) {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
}

function speak(id, text, pause) {
  // A screen reader hears changes, not every second's figures.
  const now = Date.now();
  if (byId(id).textContent === text || now - lastSpoken < pause) return;
  lastSpoken = now;
  byId(id).textContent = text;
}

function overall(state) {
  if (!state.enabled) return ["switched off", "unknown"];
  if (!state.camera.alive) return ["not counting", "failure"];
  if (state.broker.state !== "online" && state.broker.state !== "none") return ["counting, broker away", "warning"];
  return ["counting", "ok"];
}

function showStatus(state) {
  if (!state.ready) { set("state", "starting", "pill unknown"); return; }
  const [word, verdict] = overall(state);
  set("device", state.device);
  document.title = `${state.device}: ${word}`;
  set("state", word, `pill ${verdict}`);
  showAudience(state);
  showMachine(state);
  byId("aim-off").hidden = state.aim;
  byId("aim-on").hidden = !state.aim;
  const people = state.people === null ? "" : ` ${peopleWords(state.people)} in view.`;
  speak("summary", `${state.device} is ${word}.${people} Broker ${state.broker.state}.`, 5000);
}

// A board that does not measure a thing has no card for it.
const card = (id, value, text, verdict) => {
  byId(id).parentElement.hidden = value === null || value === undefined;
  set(id, text, verdict);
};

function showMachine(state) {
  const alive = state.camera.alive;
  set("camera", state.enabled ? (alive ? "alive" : state.camera.problem) : "switched off", alive ? "ok" : "failure");
  card("rate", state.rate_hz, withUnit(state.rate_hz, ""));
  card("latency", state.latency_ms, withUnit(state.latency_ms, " ms"));
  const { captured, dropped } = state.frames;
  set("dropped", captured ? `${dropped} (${Math.round((1000 * dropped) / captured) / 10} %)` : String(dropped));
  const { state: broker, problem, waiting } = state.broker;
  set("broker", problem ? `${broker}: ${problem}` : broker, broker === "online" ? "ok" : broker === "none" ? "unknown" : "warning");
  card("waiting", broker === "none" ? null : waiting, String(waiting));
  const board = state.board, limits = board.throttled;
  card("temperature", board.temperature_c, withUnit(board.temperature_c, " °C"), board.temperature_c >= 80 ? "warning" : "");
  card("throttling", limits, limits && limits.length ? limits.join(", ") : "none", limits && limits.length ? "warning" : "");
  card("memory", board.memory_mb, withUnit(board.memory_mb, " MB"));
  card("cpu", board.cpu_percent, withUnit(board.cpu_percent, " % of a core"));
  set("uptime", duration(state.uptime_s));
  set("privacy", state.privacy_level);
  showVersions(state.versions);
  const parts = [`camera ${state.enabled ? (alive ? "alive" : "not delivering") : "off"}`, `broker ${broker}`];
  if (state.rate_hz) parts.push(`${state.rate_hz} frames a second`);
  if (board.temperature_c !== null) parts.push(`${board.temperature_c} °C`);
  parts.push(`running for ${duration(state.uptime_s)}`);
  set("machine-line", parts.join(" · "));
}

function showVersions(versions) {
  const list = byId("versions");
  const text = JSON.stringify(versions);
  if (list.dataset.shown === text) return;
  list.dataset.shown = text;
  list.replaceChildren(...Object.entries(versions).map(([name, version]) => {
    const row = document.createElement("div"), term = document.createElement("dt"), value = document.createElement("dd");
    term.textContent = name;
    value.textContent = version;
    row.append(term, value);
    return row;
  }));
}

const STROKES = { ok: ["#66d18b", []], warning: ["#f0b357", [9, 5]], failure: ["#ff8d85", [2, 4]], unknown: ["#a5b3b0", []] };

function showAim(state) {
  if (!state.ready) return;
  set("state", state.alive ? "camera alive" : "no frames", `pill ${state.alive ? "ok" : "failure"}`);
  const canvas = byId("canvas"), faces = state.faces;
  const wide = canvas.clientWidth, tall = wide / state.aspect, scale = window.devicePixelRatio || 1;
  canvas.style.aspectRatio = String(state.aspect);
  canvas.width = Math.round(wide * scale);
  canvas.height = Math.round(tall * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  drawThirds(pen, wide, tall);
  faces.forEach((face, i) => drawFace(pen, face, i + 1, wide, tall));
  state.pictures.forEach((picture) => drawPicture(pen, picture, wide, tall));
  canvas.dataset.faces = String(faces.length);
  canvas.dataset.pictures = String(state.pictures.length);
  canvas.setAttribute("aria-label", faces.length ? `${faces.length} ${faces.length === 1 ? "face" : "faces"} in view` : "Nobody in view");
  showRules(state.rules);
  fillTable(byId("faces"), faces.length ? "Numbered as in the picture, sizes in its pixels" : "Nobody in view",
    ["Face", "Size", "Distance", "Looking", "Sharpness", "Light"],
    faces.map((face, i) => [String(i + 1), `${Math.round(face.size_px)} px`, distance(face) || "–", looking(face) || "–",
      `${Math.round(face.sharpness * 100)} %`, `${Math.round(face.light * 100)} %`]));
}

const distance = (face) => (face.distance_cm === null ? "" : `${Math.round(face.distance_cm)} cm`);
const looking = (face) => (face.looking === null ? "" : face.looking ? "looking" : "looking away");

function drawThirds(pen, wide, tall) {
  pen.strokeStyle = "#2b3937";
  pen.lineWidth = 1;
  for (const part of [1 / 3, 2 / 3]) {
    pen.strokeRect(part * wide, -1, 0, tall + 2);
    pen.strokeRect(-1, part * tall, wide + 2, 0);
  }
}

function drawFace(pen, face, number, wide, tall) {
  const x = face.left * wide, y = face.top * tall, w = face.width * wide, h = face.height * tall;
  outline(pen, face.grade.sharpness, x, y, w, h);
  outline(pen, face.grade.light, x + 5, y + 5, Math.max(w - 10, 1), Math.max(h - 10, 1));
  // On a phone the words of neighbours would run into each other: the table below has the rest.
  const more = wide < ROOM_FOR_WORDS_PX ? [] : [distance(face), looking(face)];
  const words = [`${number}: ${Math.round(face.size_px)} px`, ...more].filter(Boolean).join(", ");
  pen.font = "13px system-ui, sans-serif";
  const long = pen.measureText(words).width;
  const left = Math.min(Math.max(x, 2), Math.max(wide - long - 2, 2));
  const line = y > 18 ? y - 6 : Math.min(y + h + 16, tall - 4);
  pen.fillStyle = STROKES[face.grade.size][0];
  pen.fillText(words, left, line);
}

function drawPicture(pen, [left, top, width, height], wide, tall) {
  const x = left * wide, y = top * tall;
  outline(pen, "unknown", x, y, width * wide, height * tall);
  pen.font = "13px system-ui, sans-serif";
  pen.fillStyle = STROKES.unknown[0];
  pen.fillText("a picture: not counted", Math.min(Math.max(x, 2), Math.max(wide - 150, 2)), y > 18 ? y - 6 : 14);
}

function outline(pen, verdict, x, y, w, h) {
  const [colour, dash] = STROKES[verdict];
  pen.strokeStyle = colour;
  pen.lineWidth = 3;
  pen.setLineDash(dash);
  pen.strokeRect(x, y, w, h);
  pen.setLineDash([]);
}

function showRules(rules) {
  const list = byId("rules");
  const words = { ok: "ok", warning: "could be better", failure: "not right", unknown: "waiting" };
  list.replaceChildren(...rules.map((rule) => {
    const item = document.createElement("li"), name = document.createElement("b"), advice = document.createElement("span");
    item.dataset.rule = rule.name;
    item.dataset.verdict = rule.verdict;
    name.textContent = rule.name;
    name.className = rule.verdict;
    advice.textContent = `${words[rule.verdict]}. ${rule.advice}`;
    item.append(name, advice);
    return item;
  }));
  const bad = rules.filter((rule) => rule.verdict === "failure" || rule.verdict === "warning");
  const known = rules.some((rule) => rule.verdict !== "unknown");
  speak("aim-summary", !known ? "Nobody in view." : bad.length ? bad.map((rule) => rule.advice).join(" ") : "All mounting rules hold.", 4000);
}

function connect() {
  source?.close();
  connecting = Date.now();
  source = new EventSource(view === "aim" ? "events?view=aim" : "events");
  const opened = view;
  source.onmessage = (event) => {
    heard = Date.now();
    byId("lost").hidden = true;
    (opened === "aim" ? showAim : showStatus)(JSON.parse(event.data));
  };
  // A refused request ends an EventSource for good; a lost connection it restores by itself.
  source.onerror = () => {
    byId("lost").hidden = false;
    set("state", "no connection", "pill failure");
  };
}

function route() {
  view = location.hash === "#aim" ? "aim" : "status";
  for (const name of ["status", "aim"]) {
    byId(`view-${name}`).hidden = name !== view;
    if (name === view) byId(`to-${name}`).setAttribute("aria-current", "page");
    else byId(`to-${name}`).removeAttribute("aria-current");
  }
  connect();
}

setInterval(() => {
  if (document.hidden) return;
  const now = Date.now();
  const closed = source.readyState === EventSource.CLOSED;
  const silent = now - Math.max(heard, connecting) > STALE_MS;
  if ((closed || silent) && now - connecting > RETRY_MS) connect();
}, 1000);
addEventListener("hashchange", route);
// The aim view costs the device work: none for a page that nobody sees.
document.addEventListener("visibilitychange", () => (document.hidden ? source.close() : connect()));
route();
fetch("status.json").then((answer) => answer.json()).then(showStatus).catch(() => {});
