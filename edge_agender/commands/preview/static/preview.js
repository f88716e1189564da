// The figures beside the picture, asked for four times a second; the picture itself is an endless MJPEG.
const byId = (id) => document.getElementById(id);
const set = (id, text) => { if (byId(id).textContent !== text) byId(id).textContent = text; };
const seconds = (value) => (value === null ? "–" : `${value} s`);
let shownEvents = "";

function table(cells) {
  const bands = Object.keys(cells.female);
  const words = { female: "female", male: "male", unknown: "unknown" };
  const row = (tag, texts) => {
    const line = document.createElement("tr");
    texts.forEach((text, i) => {
      const node = document.createElement(tag === "th" || i === 0 ? "th" : "td");
      if (node.tagName === "TH") node.scope = tag === "th" ? "col" : "row";
      node.textContent = text;
      if (text === "0") node.className = "zero";
      line.append(node);
    });
    return line;
  };
  const caption = document.createElement("caption");
  caption.textContent = "Viewers so far, by age and gender";
  byId("cells").replaceChildren(caption, row("th", ["age", ...Object.values(words)]),
    ...bands.map((band) => row("td", [band, ...Object.keys(words).map((gender) => String(cells[gender][band]))])));
}

function faces(list) {
  const items = list.map((face) => {
    const item = document.createElement("li");
    item.dataset.standing = face.standing;
    item.textContent = face.lines.join(" · ");
    return item;
  });
  byId("faces").replaceChildren(...items);
}

function events(state) {
  const list = [...(state.frame ? [state.frame] : []), ...state.events];
  const text = JSON.stringify(list);
  // Opened entries stay open while the list moves: only the newest frame changes all the time.
  if (text === shownEvents) return;
  const open = byId("events").querySelector("details")?.open ?? false;
  shownEvents = text;
  byId("events").replaceChildren(...list.map((event, i) => {
    const item = document.createElement("li"), details = document.createElement("details");
    const summary = document.createElement("summary"), body = document.createElement("pre");
    summary.textContent = `${event.kind} at ${event.t_s} s`;
    body.textContent = JSON.stringify(event.payload, null, 1);
    details.open = i === 0 && open;
    details.append(summary, body);
    item.append(details);
    return item;
  }));
}

function show(state) {
  set("name", state.name);
  document.title = `Preview of ${state.name}`;
  if (state.waiting) return;
  document.body.classList.toggle("still", Boolean(state.still));
  if (state.still) { faces(state.faces); return; }
  const sums = state.table;
  set("time", `(${state.t_s} s)`);
  set("here", String(sums.here));
  set("passed", String(sums.passed));
  set("viewers", String(sums.viewers));
  set("dwell", seconds(sums.mean_dwell_s));
  set("attention", seconds(sums.mean_attention_s));
  set("level", state.privacy_level);
  table(sums.cells);
  faces(state.faces);
  events(state);
  set("over", state.ended ? "The recording has ended. Ctrl-C in the terminal closes this page." : "");
}

async function poll() {
  try {
    show(await (await fetch("state")).json());
  } catch {
    set("over", "The preview has ended.");
    return;
  }
  setTimeout(poll, 250);
}
poll();
