// The page: takes what the stream says, and shows it.

import { Chart } from "./chart.js";
import { byId, choices, make, press, say, tell } from "./dom.js";
import { Stream } from "./stream.js";
import { drawTreemap } from "./treemap.js";
import { showIncidents, showSilences, showTape, showTotals, showUnwatched, tellFloor } from "./parts.js";
import { showVenues } from "./venues.js";
import { clock, dollars, money, windowWords } from "./words.js";

const SIZES = [10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000];
const STEPS = [60, 300];
const TAPE_KEPT = 500;
const BARS_EVERY_MS = 4000;
const GAPS_EVERY_MS = 15_000;
const GAPS_AGAIN_MS = 2_000; // once more after a change: an answer is shared by all viewers, and a second old
const TAPE_EVERY_MS = 60_000;

const state = {
  windows: [], window: "24h", step: 300, size: SIZES[2], nowMs: 0, asOfMs: 0, sinceMs: 0, tapeSinceMs: 0,
  totals: new Map(), coins: new Map(), venues: [], gaps: new Map(), events: new Map(), incidents: new Map(), silences: [],
};
const chart = new Chart(byId("chart"));
let barsDue = null;
let barsAt = 0;
let gapsDue = null;
const dirty = new Set();

function mark(...parts) {
  if (dirty.size === 0) requestAnimationFrame(render);
  for (const part of parts) dirty.add(part);
}

function render() {
  const parts = new Set(dirty);
  dirty.clear();
  const totals = state.totals.get(state.window);
  say(byId("clock"), state.nowMs ? `${clock(state.nowMs)} UTC` : "");
  if (parts.has("totals") && totals) {
    showTotals(totals, state);
    document.title = `${money(totals.long.usd)} longs, ${money(totals.short.usd)} shorts in ${state.window} · liqwatch`;
  }
  const coins = state.coins.get(state.window);
  if (parts.has("coins") && coins) drawTreemap(byId("treemap"), coins);
  if (parts.has("venues")) {
    showVenues(state.venues, state);
    showUnwatched(state.venues);
  }
  if (parts.has("tape")) showTape(state);
  if (parts.has("incidents")) showIncidents([...state.incidents.values()], state);
  if (parts.has("silences")) showSilences(state.silences);
  if (parts.has("totals") || parts.has("incidents")) annotate(totals);
}

function annotate(totals) {
  // Of the side that weighs more: the rungs of both would lie over one another.
  const lead = totals && dollars(totals.short.usd) > dollars(totals.long.usd) ? "short" : "long";
  const ladders = totals?.rungs ?? [];
  const shown = ladders.some((rung) => rung.side === lead) ? ladders.filter((rung) => rung.side === lead) : ladders;
  const rungs = shown.flatMap((rung) => rung.thresholds_usd.map((usd) => ({ usd: dollars(usd), side: rung.side })));
  const whole = [...state.incidents.values()].filter((incident) => incident.scope === "all");
  const marks = whole.flatMap((incident) =>
    incident.steps
      .filter((step) => step.kind === "fired" || step.kind === "stepped_up")
      .map((step) => ({ at_ms: step.at_ms, severity: incident.severity, headline: step.headline })),
  );
  chart.annotate(rungs.sort((one, other) => one.usd - other.usd), marks);
}

function take(data, isNew) {
  if (isNew) {
    for (const part of ["totals", "coins", "incidents", "events"]) state[part].clear();
    state.windows = data.windows;
    if (!data.windows.includes(state.window)) state.window = data.windows.at(-1);
    choices(byId("windows"), data.windows, (name) => name, chooseWindow);
    press(byId("windows"), state.window);
    dueBars(0);
    loadTape();
  }
  state.nowMs = data.now_ms;
  state.asOfMs = data.as_of_ms;
  byId("stale").hidden = !data.stale;
  for (const one of data.totals ?? []) state.totals.set(one.window, one);
  for (const one of data.coins ?? []) state.coins.set(one.window, one);
  for (const one of data.incidents ?? []) state.incidents.set(one.incident_id, one);
  for (const id of data.gone ?? []) state.incidents.delete(id);
  if (data.venues) {
    const states = (venues) => venues.map((venue) => venue.venue + venue.state).join();
    if (isNew || states(data.venues) !== states(state.venues)) loadGaps(GAPS_AGAIN_MS);
    state.venues = data.venues;
  }
  if (data.silences) state.silences = data.silences;
  if (data.events) keep(data.events);
  // Time goes on also where nothing comes: the day moves, and what nobody watches has to show.
  if (data.bars_ms || chart.isBehind(state.nowMs)) dueBars(BARS_EVERY_MS);
  const parts = ["totals", "coins", "venues", "incidents", "silences"].filter((part) => isNew || data[part]);
  mark("clock", ...parts, ...(isNew || data.events ? ["tape"] : []));
}

function keep(events) {
  for (const event of events) state.events.set(event.event_id, event);
  if (state.events.size > 2 * TAPE_KEPT) {
    const newest = [...state.events.values()].sort((one, other) => other.event_time_ms - one.event_time_ms);
    state.events = new Map(newest.slice(0, TAPE_KEPT).map((event) => [event.event_id, event]));
  }
}

/** Asks for the bars, not more often than every few seconds. */
function dueBars(everyMs) {
  if (barsDue !== null) {
    if (everyMs > 0) return;
    clearTimeout(barsDue);
  }
  barsDue = setTimeout(loadBars, Math.max(0, barsAt + everyMs - performance.now()));
}

async function ask(path, parameters) {
  const answer = await fetch(`/api/v1/${path}?${new URLSearchParams(parameters)}`);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function loadBars() {
  barsDue = null;
  barsAt = performance.now();
  const { window, step } = state;
  try {
    const answer = await ask("bars", { window, step });
    if (window === state.window && step === state.step) chart.show(answer, state.totals.get(window));
  } catch {
    dueBars(BARS_EVERY_MS); // the stream says whether we are connected
  }
}

async function loadTape() {
  try {
    const { size } = state;
    const answer = await ask("events", { min_usd: size, limit: 200 });
    if (size === state.size) state.tapeSinceMs = answer.complete_since_ms;
    keep(answer.events);
    mark("tape");
  } catch {
    // what the stream brings is shown in any case
  }
}

async function loadGaps(nextMs = GAPS_EVERY_MS) {
  clearTimeout(gapsDue);
  gapsDue = setTimeout(loadGaps, nextMs);
  try {
    const answer = await ask("gaps", {});
    state.gaps = new Map(answer.venues.map((one) => [one.venue, { ...one, answer }]));
    // Watched by nobody from the beginning of the day on: until then the window cannot be full. 0: by nobody at all.
    const starts = answer.venues.map(({ gaps: [first] }) => (first?.from_ms === answer.from_ms ? first.to_ms : answer.from_ms));
    const start = Math.min(...starts, answer.as_of_ms);
    state.sinceMs = start < answer.as_of_ms ? start : 0;
    mark("venues", "totals");
  } catch {
    // the stream says whether we are connected
  }
}

function chooseWindow(name) {
  state.window = name;
  press(byId("windows"), name);
  say(byId("window-words"), windowWords(name));
  for (const element of document.querySelectorAll(".window-name")) say(element, name);
  mark("totals", "coins", "venues");
  dueBars(0);
}

function chooseStep(step) {
  state.step = step;
  press(byId("steps"), step);
  say(byId("step-words"), step === 60 ? "minutes" : "5 minutes");
  dueBars(0);
}

function connection(live) {
  const box = byId("connection");
  const told = live ? "live" : state.asOfMs ? "disconnected" : "connecting"; // at a start the server still reads
  box.dataset.state = told;
  say(box, told === "disconnected" ? `disconnected, figures as of ${clock(state.asOfMs)}` : told);
}

choices(byId("steps"), STEPS, (step) => `${step / 60} min`, chooseStep);
press(byId("steps"), state.step);
for (const size of SIZES) {
  const option = make("option", "", money(size));
  option.value = String(size);
  option.selected = size === state.size;
  byId("size").append(option);
}
byId("size").addEventListener("change", (event) => {
  state.size = Number(event.target.value);
  mark("tape");
  loadTape();
});
setInterval(loadTape, TAPE_EVERY_MS);
byId("help-button").addEventListener("click", () => tell("How to read this page", byId("help").content.cloneNode(true)));
byId("about-close").addEventListener("click", () => byId("about").close());
for (const side of ["long", "short"]) {
  byId(`${side}-floor`).addEventListener("click", () => tellFloor(state.totals.get(state.window), state));
}
new ResizeObserver(() => mark("coins")).observe(byId("treemap"));
new Stream({ snapshot: (data) => take(data, true), update: (data) => take(data, false), state: connection });
