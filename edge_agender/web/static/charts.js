// Two small charts as SVG, each with a table that says the same.
const SVG = "http://www.w3.org/2000/svg";

function draw(parent, name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

export function fillTable(table, caption, heads, rows) {
  const row = (tag, cells) => {
    const line = document.createElement("tr");
    cells.forEach((cell, i) => {
      const head = tag === "th" || i === 0;
      const node = document.createElement(head ? "th" : "td");
      if (head) node.scope = tag === "th" ? "col" : "row";
      node.textContent = cell;
      line.append(node);
    });
    return line;
  };
  const title = document.createElement("caption");
  title.textContent = caption;
  table.replaceChildren(title, row("th", heads), ...rows.map((cells) => row("td", cells)));
}

export const shown = (count) => (count === null || count === undefined ? "withheld" : String(count));
// Of bars shorter than a minute the seconds tell one from the next.
export const clock = (utc, lengthS = 60) => new Date(utc * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit",
  ...(lengthS % 60 ? { second: "2-digit" } : {}), hourCycle: "h23" });
const startOf = (bar) => clock(bar.start_utc_s, bar.length_s);

export function viewersChart(svg, table, windows) {
  const width = 320, height = 130, base = height - 18, top = 14;
  const rates = windows.map((w) => (w.viewers === null ? null : (w.viewers * 60) / w.length_s));
  const most = Math.max(1, ...rates.map((rate) => rate ?? 0));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  draw(svg, "path", { class: "axis", d: `M0 ${base}.5H${width}` });
  const step = width / Math.max(windows.length, 1);
  rates.forEach((rate, i) => {
    const tall = ((rate ?? 0) / most) * (base - top);
    const bar = draw(svg, "rect", {
      class: "first", x: i * step + step * 0.12, y: base - tall, width: step * 0.76, height: tall, rx: 1.5,
      "data-viewers": shown(windows[i].viewers),
    });
    draw(bar, "title", {}, `${startOf(windows[i])}: ${shown(windows[i].viewers)} viewers`);
  });
  draw(svg, "text", { x: 0, y: 10 }, `most: ${Math.round(most * 10) / 10}`);
  if (windows.length) {
    draw(svg, "text", { x: 0, y: height - 4 }, startOf(windows[0]));
    if (windows.length > 1)
      draw(svg, "text", { x: width, y: height - 4, "text-anchor": "end" }, startOf(windows.at(-1)));
  }
  fillTable(table, "One row a window, oldest first", ["From", "Viewers", "Could have seen it", "Seconds of looking"],
    windows.map((w) => [startOf(w), shown(w.viewers), shown(w.opportunities), shown(w.attention_s)]));
}

// A band begins with its least age: 9 of 9-12, 65 of 65+; what has none comes last.
export const number = (band) => (Number.isNaN(parseInt(band, 10)) ? Infinity : parseInt(band, 10));

function sums(periods) {
  const bands = [], genders = [], total = new Map();
  for (const period of periods)
    for (const [gender, cells] of Object.entries(period.cells)) {
      if (!genders.includes(gender)) genders.push(gender);
      for (const [band, [count, sd]] of Object.entries(cells)) {
        if (!bands.includes(band)) bands.push(band);
        const key = `${gender} ${band}`, [sum, error] = total.get(key) ?? [0, 0];
        total.set(key, [sum + count, Math.hypot(error, sd)]);
      }
    }
  // Cells come in the order in which they first occurred.
  bands.sort((one, other) => number(one) - number(other));
  genders.sort();
  return { bands, genders, cell: (gender, band) => total.get(`${gender} ${band}`) ?? [0, 0] };
}

export function cellsChart(svg, table, periods) {
  const { bands, genders, cell } = sums(periods);
  const width = 340, line = 11, gap = 9, left = 62, top = 18;
  const group = line * Math.max(genders.length, 1) + gap;
  const colours = { female: "first", male: "second", unknown: "third" };
  const most = Math.max(1, ...bands.flatMap((band) => genders.map((gender) => cell(gender, band)[0] + cell(gender, band)[1])));
  const scale = (width - left - 44) / most;
  svg.toggleAttribute("hidden", bands.length === 0);
  svg.setAttribute("viewBox", `0 0 ${width} ${top + bands.length * group + 4}`);
  svg.replaceChildren();
  genders.forEach((gender, i) => {
    draw(svg, "rect", { class: colours[gender] ?? "third", x: left + i * 82, y: 1, width: 9, height: 9, rx: 2 });
    draw(svg, "text", { x: left + i * 82 + 13, y: 10 }, gender);
  });
  bands.forEach((band, row) => {
    const y = top + row * group;
    draw(svg, "text", { x: left - 6, y: y + group / 2 + 1, "text-anchor": "end" }, band);
    genders.forEach((gender, i) => {
      const [count, sd] = cell(gender, band), at = y + i * line, middle = at + line / 2 - 1;
      const bar = draw(svg, "rect", { class: colours[gender] ?? "third", x: left, y: at, width: count * scale, height: line - 2,
        rx: 1.5, "data-cell": `${gender} ${band}`, "data-viewers": shown(count) });
      draw(bar, "title", {}, `${gender} ${band}: ${count} ± ${Math.round(sd)}`);
      if (!count) return;
      const low = left + Math.max(count - sd, 0) * scale, high = left + (count + sd) * scale;
      draw(svg, "path", { class: "error", "data-sd": sd, d: `M${low} ${middle}H${high}M${low} ${middle - 3}v6M${high} ${middle - 3}v6` });
      draw(svg, "text", { x: high + 4, y: at + 8 }, count);
    });
  });
  draw(svg, "path", { class: "axis", d: `M${left - 0.5} ${top - 2}V${top + bands.length * group}` });
  fillTable(table, "Viewers ± one standard deviation, rounded so that nobody shows", ["Age", ...genders],
    bands.map((band) => [band, ...genders.map((gender) => {
      const [count, sd] = cell(gender, band);
      return count ? `${count} ± ${Math.round(sd)}` : "0";
    })]));
}

// As wide as a time with its seconds.
const LABEL = 50;

export function dayChart(svg, table, periods) {
  const width = 340, height = 130, base = height - 18, top = 16;
  const most = Math.max(1, ...periods.map((period) => period.viewers));
  svg.toggleAttribute("hidden", periods.length === 0);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren();
  draw(svg, "path", { class: "axis", d: `M0 ${base}.5H${width}` });
  const step = width / Math.max(periods.length, 6), every = Math.ceil(LABEL / step);
  periods.forEach((period, i) => {
    const tall = (period.viewers / most) * (base - top);
    const bar = draw(svg, "rect", { class: "first", x: i * step + step * 0.1, y: base - tall, width: step * 0.8, height: tall, rx: 2,
      "data-viewers": String(period.viewers) });
    draw(bar, "title", {}, `${startOf(period)}: ${period.viewers} viewers`);
    const inside = Math.min(Math.max((i + 0.5) * step, LABEL / 2), width - LABEL / 2);
    if (i % every === 0) draw(svg, "text", { x: inside, y: height - 4, "text-anchor": "middle" }, startOf(period));
    if (periods.length <= 12) draw(svg, "text", { x: (i + 0.5) * step, y: base - tall - 3, "text-anchor": "middle" }, period.viewers);
  });
  fillTable(table, "One row a table, oldest first", ["From", "Viewers"],
    periods.map((period) => [startOf(period), String(period.viewers)]));
}
