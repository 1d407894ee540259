// The parts of the page that are text: totals, rungs, tape, alerts.

import { byId, make, say, tell } from "./dom.js";
import { clock, dollars, moment, money, percent } from "./words.js";

const TAPE_ROWS = 60;
const DAY_MS = 86_400_000;
const items = new Map(); // alerts by id

/** The two sides of a window, how complete they are, and how far it is to the next rung. */
export function showTotals(totals, state) {
  for (const side of ["long", "short"]) {
    const one = totals[side];
    say(byId(`${side}-usd`), money(one.usd));
    const floor = byId(`${side}-floor`);
    floor.hidden = !totals.at_least;
    floor.title = floorWords(totals, state).join(" ");
    say(byId(`${side}-share`), percent(one.share));
    say(byId(`${side}-count`), `${one.count.toLocaleString("en-US")} orders`);
    byId(`split-${side}`).style.width = `${(one.share ?? 0) * 100}%`;
  }
  say(byId("both"), `${money(totals.total.usd)}, ${totals.total.count.toLocaleString("en-US")} orders`);
  say(byId("coverage"), coverageWords(totals, state));
  say(byId("largest"), largestWords(totals.largest, state));
  const estimate = estimateWords(totals.estimates, state);
  byId("estimate").hidden = !estimate;
  say(byId("estimate"), estimate);
  byId("rungs").replaceChildren(...totals.rungs.map((rung) => rungItem(rung, totals)));
}

/** Why a figure is a floor, in sentences. */
function floorWords(totals, state) {
  const words = ["The real sum is larger than what was seen:"];
  const names = (chosen) => chosen.map((venue) => title(venue.venue, state)).join(", ");
  const partly = totals.coverage.venues.filter((venue) => venue.completeness !== "all");
  const missed = totals.coverage.venues.filter((venue) => venue.share < 0.9995);
  if (partly.length) words.push(`${names(partly)} ${partly.length === 1 ? "publishes" : "publish"} only a part of the orders.`);
  if (missed.length) words.push(`Not watched all the time in the last ${totals.window}: ${names(missed)}.`);
  return words;
}

/** The same at length, for who has no mouse to rest on it. */
export function tellFloor(totals, state) {
  const lines = floorWords(totals, state).map((words) => make("p", "", words));
  tell("At least", ...lines, make("p", "muted", "How long each venue was watched, and when not, is in its row below."));
}

const NONE = "No venue is watched now: nothing new can be seen. Is there a network? liqwatch doctor says what cannot be reached.";

/** Above the figures: which venues should be watched now, and are not. One that is switched off has no page named. */
export function showUnwatched(venues) {
  const wanted = venues.filter((venue) => venue.docs !== null);
  const down = wanted.filter((venue) => venue.state !== "watched");
  const named = down.map((venue) => venue.title + (venue.detail ? ` (${venue.detail})` : ""));
  byId("unwatched").hidden = down.length === 0;
  say(byId("unwatched"), down.length === wanted.length ? NONE : `Not watched now: ${named.join(", ")}.`);
}

function title(venue, state) {
  return state.venues.find((one) => one.venue === venue)?.title ?? venue;
}

function coverageWords(totals, state) {
  const { coverage, kinds } = totals;
  const venues = coverage.venues;
  if (!venues.length) return "nothing is known of it";
  const parts = [`${percent(coverage.share)} of the window on ${venues.length} venues`];
  if (state.sinceMs > state.nowMs - totals.window_seconds * 1000) parts.push(`only since ${moment(state.sinceMs)} UTC`);
  const least = venues.reduce((one, other) => (other.share < one.share ? other : one));
  if (least.share < 0.9995 && coverage.share - least.share > 0.005) {
    parts.push(`least ${title(least.venue, state)} ${percent(least.share)}`);
  }
  const sampled = venues.filter((venue) => venue.completeness !== "all").length;
  if (sampled) {
    const whole = dollars(totals.total.usd);
    const all = kinds.find((kind) => kind.completeness === "all");
    const share = whole && all ? (dollars(all.long_usd) + dollars(all.short_usd)) / whole : 0;
    parts.push(`${sampled} show only a part of their orders`);
    if (share > 0) parts.push(`${percent(share)} of the sum is from feeds that show all`);
  }
  return parts.join("; ");
}

/** The estimate in words: never in place of what was observed. */
function estimateWords(estimates, state) {
  if (!estimates.length) return "";
  const ranges = estimates.map((one) => {
    const range = one.high_usd ? `${money(one.low_usd)} to ${money(one.high_usd)}` : `at least ${money(one.low_usd)} (feed saturated)`;
    return `${one.side}s ${range}`;
  });
  const venues = new Map(estimates.flatMap((one) => one.venues.map((venue) => [venue.venue, venue.capture])));
  const shares = [...venues].map(([venue, capture]) => `${title(venue, state)} shows about ${percent(capture)}`);
  return `Estimated (90 %) with what sampled feeds withhold: ${ranges.join(", ")}; ${shares.join(", ")} of its volume.`;
}

function largestWords(record, state) {
  if (!record) return "–";
  return `${money(record.notional_usd)} ${record.side}, ${title(record.venue, state)} ${record.symbol}, ${clock(record.event_time_ms)}`;
}

function rungItem(rung, totals) {
  const sides = { long: "Longs", short: "Shorts", both: "Both together" }[rung.side];
  const usd = rung.side === "both" ? totals.total.usd : totals[rung.side].usd;
  const words = rung.next_usd
    ? `${sides}: ${money(rung.distance_usd)} more, and ${money(rung.next_usd)} is reached`
    : `${sides}: past the last threshold, ${money(rung.reached_usd)}`;
  const track = make("div", "track", make("span", ""));
  track.setAttribute("aria-hidden", "true");
  const share = rung.next_usd ? dollars(usd) / dollars(rung.next_usd) : 1;
  track.firstChild.style.width = `${Math.min(100, share * 100)}%`;
  return make("li", "", words, make("span", "muted small", ` (rule ${rung.rule})`), track);
}

/** The latest orders from the chosen size on, newest first. */
export function showTape(state) {
  const chosen = [...state.events.values()]
    .filter((event) => dollars(event.notional_usd) >= state.size)
    .sort((one, other) => other.event_time_ms - one.event_time_ms)
    .slice(0, TAPE_ROWS);
  const rows = chosen.map((event) =>
    make(
      "tr", "",
      make("td", "figure", clock(event.event_time_ms)),
      make("td", event.side, event.side),
      make("td", `number ${event.side}`, money(event.notional_usd)),
      make("td", "place", make("span", "", title(event.venue, state)), " ", make("span", "", event.symbol)),
      make("td", "number price", event.price),
    ),
  );
  byId("tape").tBodies[0].replaceChildren(...rows);
  const late = state.tapeSinceMs > state.nowMs - DAY_MS && chosen.length < TAPE_ROWS;
  const none = chosen.length ? "" : `None of this size since ${moment(state.tapeSinceMs)} UTC.`;
  say(byId("tape-note"), late && chosen.length ? `Complete since ${moment(state.tapeSinceMs)} UTC.` : none);
}

/** Open alerts, and past ones with their peak; each says what was told, step by step, and to whom. */
export function showIncidents(incidents) {
  const newest = [...incidents].sort((one, other) => other.opened_ms - one.opened_ms);
  const open = newest.filter((one) => one.closed_ms === null);
  const past = newest.filter((one) => one.closed_ms !== null);
  list(byId("open"), open);
  byId("no-open").hidden = open.length > 0;
  list(byId("past"), past);
  say(byId("past-count"), String(past.length));
  const known = new Set(newest.map((one) => one.incident_id));
  for (const id of [...items.keys()].filter((one) => !known.has(one))) items.delete(id);
}

/** Elements stay and are changed in place: what was unfolded stays so, and the keyboard where it is. */
function list(box, incidents) {
  const wanted = incidents.map((incident) => {
    const item = items.get(incident.incident_id) ?? build(incident);
    items.set(incident.incident_id, item);
    if (item.incident !== incident) fill(item, incident);
    return item.element;
  });
  if (wanted.length !== box.children.length || wanted.some((element, at) => box.children[at] !== element)) {
    box.replaceChildren(...wanted);
  }
}

function build(incident) {
  const item = {
    incident: null, headline: make("p", "headline"), line: make("p", "small muted"), text: make("p", "text"),
    steps: make("ol", "steps small"),
  };
  const told = make("details", "", make("summary", "small", "what was told"), item.text, item.steps);
  item.element = make("li", "", item.headline, item.line, told);
  item.element.dataset.severity = incident.severity;
  item.element.dataset.incident = incident.incident_id;
  return item;
}

function fill(item, incident) {
  item.incident = incident;
  const last = incident.steps.at(-1);
  const since = `${incident.severity}, rule ${incident.rule}, opened ${moment(incident.opened_ms)}`;
  const over = incident.closed_ms === null ? "" : `, closed ${moment(incident.closed_ms)}`;
  say(item.headline, last?.headline ?? incident.rule);
  say(item.line, `${since}${over}; peak ${money(incident.peak_usd)} at ${clock(incident.peak_at_ms)}`);
  say(item.text, last?.text ?? "");
  item.steps.replaceChildren(...[...incident.steps].reverse().map((step) => make("li", "", stepWords(step))));
}

/** `05:21:46 stepped up: At least $1.02B …; to desk (accepted)`. */
function stepWords(step) {
  const outcomes = { accepted: "accepted", not_sent: "not sent yet", refused: "refused", unknown: "not known whether it arrived" };
  const to = step.deliveries.map(({ target, outcome }) => `${target} (${outcomes[outcome] ?? "under way"})`);
  const whom = step.held_back ? `nobody was told: ${step.held_back}` : to.length ? `to ${to.join(", ")}` : "to nobody";
  return `${clock(step.at_ms)} ${step.kind.replace("_", " ")}: ${step.headline} ${whom}`;
}

/** What is held back, why, by whom, until when. */
export function showSilences(silences) {
  byId("silences").replaceChildren(
    ...silences.map((silence) => {
      const what = Object.entries(silence.matcher).map(([name, value]) => `${name} ${value}`).join(", ");
      return make("li", "", `Silenced until ${moment(silence.until_ms)}: ${what} (${silence.reason}; ${silence.author})`);
    }),
  );
}
