"use strict";
// How figures look: small builders of elements, tables, bars and the chart. Nothing here knows the API.

const views = (() => {
  const number = new Intl.NumberFormat("en");
  const NAMES = {
    viewers: "viewers", opportunities: "passed by", engaged: "engaged (2 s)", engaged_share: "engaged of viewers",
    dwell_mean_s: "mean dwell", attention_mean_s: "mean attention", mean_count: "people in view", covered_h: "hours watched",
    hour: "hour", day: "day", site: "site", device: "device", content: "content", gender: "gender", age_band: "age",
  };
  const WORDS = { female: "women", male: "men", unknown: "unknown" };

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name === "style") for (const [key, size] of Object.entries(value)) element.style.setProperty(key, size);
      else if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  function text(name, value, zone) {
    if (name === "hour") {
      return value === null ? "quiet hours together" : new Date(value * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: zone });
    }
    if (value === null || value === undefined) return "–";
    if (name === "gender") return WORDS[value] ?? value;
    if (value === "") return "(none)";
    if (name === "engaged_share") return `${Math.round(value * 100)} %`;
    if (name.endsWith("mean_s")) return `${value.toFixed(1)} s`;
    return typeof value === "number" ? number.format(value) : String(value);
  }

  function cards(place, entries) {
    place.replaceChildren(...entries.map(([name, value, note]) =>
      make("div", {}, make("dt", { textContent: name }), make("dd", {}, value, ...(note ? [make("small", { textContent: ` ${note}` })] : [])))));
  }

  function table(place, names, rows, zone, extra) {
    const isNumber = (name) => !["hour", "day", "site", "device", "content", "gender", "age_band"].includes(name);
    const head = make("tr", {}, ...names.map((name) => make("th", { scope: "col", className: isNumber(name) ? "number" : "", textContent: NAMES[name] ?? name })),
      ...(extra ? [make("th", { scope: "col", textContent: extra.title })] : []));
    const body = rows.map((row) => make("tr", {}, ...names.map((name) =>
      make("td", { className: isNumber(name) ? "number" : "", textContent: text(name, row[name], zone) + (name === "viewers" && row.sd !== undefined && row.sd !== null ? ` ± ${number.format(Math.round(row.sd))}` : "") })),
      ...(extra ? [make("td", {}, extra.cell(row))] : [])));
    place.replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
    if (!rows.length) place.replaceChildren(make("tbody", {}, make("tr", {}, make("td", { className: "quiet", textContent: "Nothing is published for these days and filters." }))));
  }

  // A bar with its error bar of one standard deviation.
  function bar(row, most) {
    const share = (value) => `${Math.max(0, Math.min(100, (value / (most || 1)) * 100))}%`;
    const low = Math.max(0, row.viewers - (row.sd ?? 0)), high = row.viewers + (row.sd ?? 0);
    return make("div", { className: "bar" }, make("i", { style: { "--size": share(row.viewers) } }),
      make("u", { style: { "--from": share(low), "--span": share(high - low) } }));
  }

  let plot = null;
  function chart(place, title, by, rows, zone) {
    plot?.destroy();
    plot = null;
    place.replaceChildren();
    const shown = rows.filter((row) => row[by] !== null);
    if (!shown.length) return;
    const style = getComputedStyle(document.body);
    const color = (name) => style.getPropertyValue(name).trim();
    const timed = by === "hour" || by === "day";
    const x = timed ? shown.map((row) => (by === "hour" ? row.hour : Date.parse(`${row.day}T12:00:00Z`) / 1000)) : shown.map((_, index) => index);
    const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 } };
    const clock = (mark) => new Date(mark * 1000).toLocaleString("en-GB", by === "hour" ? { hour: "2-digit", minute: "2-digit", timeZone: zone } : { day: "numeric", month: "short", timeZone: "UTC" });
    const half = by === "hour" ? 1800 : 43200;
    const labels = timed ? { values: (_, marks) => marks.map(clock) } : { values: (_, marks) => marks.map((mark) => (Number.isInteger(mark) ? text(by, shown[mark]?.[by] ?? " ") : "")) };
    plot = new uPlot({
      width: Math.max(280, place.clientWidth), height: 240, tzDate: (stamp) => uPlot.tzDate(new Date(stamp * 1000), by === "day" ? "UTC" : zone),
      scales: { x: { time: timed, range: timed ? [x[0] - half, x.at(-1) + half] : [-0.7, shown.length - 0.3] }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
      axes: [{ ...axis, ...labels }, axis],
      series: [{ label: title, value: (_, value) => (value === null ? "–" : timed ? text(by, by === "hour" ? value : new Date(value * 1000).toISOString().slice(0, 10), zone) : text(by, shown[value]?.[by])) },
        { label: "viewers", stroke: color("--accent"), fill: `rgb(${color("--wash")} / .45)`, width: 1, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 80] }), value: (_, value) => (value === null ? "–" : number.format(value)) }],
    }, [x, shown.map((row) => row.viewers)], place);
  }
  addEventListener("resize", () => plot?.setSize({ width: Math.max(280, document.getElementById("chart").clientWidth), height: 240 }));

  function ago(seconds) {
    if (seconds === null) return "never";
    const age = Math.max(0, Date.now() / 1000 - seconds);
    return age < 90 ? `${Math.round(age)} s ago` : age < 5400 ? `${Math.round(age / 60)} min ago` : age < 129600 ? `${Math.round(age / 3600)} h ago` : `${Math.round(age / 86400)} days ago`;
  }

  return { make, text, cards, table, bar, chart, ago, number, NAMES, WORDS };
})();
