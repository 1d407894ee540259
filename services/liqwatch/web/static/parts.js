// The parts of the page that are text: totals, rungs, venues, tape, alerts.

import { byId, make, say } from "./dom.js";
import { ago, clock, dollars, lag, moment, money, percent } from "./words.js";

const TAPE_ROWS = 60;
const unfolded = new Set(); // alerts whose text is shown
const STATES = { watched: "watched", not_watched: "not watched", never_seen: "never seen" };

/** The two sides of a window, how complete they are, and how far it is to the next rung. */
export function showTotals(totals, state) {
  for (const side of ["long", "short"]) {
    const one = totals[side];
    say(byId(`${side}-usd`), money(one.usd));
    say(byId(`${side}-floor`), totals.at_least ? "at least" : "");
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

function title(venue, state) {
  return state.venues.find((one) => one.venue === venue)?.title ?? venue;
}

function coverageWords(totals, state) {
  const { coverage, kinds } = totals;
  const venues = coverage.venues;
  if (!venues.length) return "nothing is known of it";
  const parts = [`${percent(coverage.share)} of the window on ${venues.length} venues`];
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
  const sides = { long: "Longs", short: "Shorts", both: "Together" }[rung.side];
  const usd = rung.side === "both" ? totals.total.usd : totals[rung.side].usd;
  const words = rung.next_usd
    ? `${sides}: ${money(rung.distance_usd)} to ${money(rung.next_usd)}`
    : `${sides}: past the last rung, ${money(rung.reached_usd)}`;
  const track = make("div", "track", make("span", ""));
  track.setAttribute("aria-hidden", "true");
  const share = rung.next_usd ? dollars(usd) / dollars(rung.next_usd) : 1;
  track.firstChild.style.width = `${Math.min(100, share * 100)}%`;
  return make("li", "", words, make("span", "muted small", ` (${rung.rule})`), track);
}

/** The table of venues, for the chosen window. */
export function showVenues(venues, state) {
  const cell = (text, className = "") => make("td", className, text);
  const rows = venues.map((venue) => {
    const part = venue.windows[state.window];
    const head = make("th", "", venue.title);
    head.scope = "row";
    const good = venue.state === "watched";
    const words = STATES[venue.state] + (good || !venue.detail ? "" : `: ${venue.detail}`);
    const kind = cell(venue.completeness);
    kind.title = venue.completeness_note;
    return make(
      "tr", "", head, cell(words, good ? "" : "bad"), kind, cell(percent(part?.share), "number"),
      cell(money(part?.long_usd ?? "0"), "number long"), cell(money(part?.short_usd ?? "0"), "number short"),
      cell(ago(venue.last_event_ms, state.nowMs), "number"), cell(lag(venue.lag_ms), "number"),
    );
  });
  byId("venues").tBodies[0].replaceChildren(...rows);
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
      make("td", "", title(event.venue, state)),
      make("td", "", event.symbol),
      make("td", "number", event.price),
    ),
  );
  byId("tape").tBodies[0].replaceChildren(...rows);
}

/** Open alerts with all they said last; past ones with their peak. */
export function showIncidents(incidents) {
  const newest = [...incidents].sort((one, other) => other.opened_ms - one.opened_ms);
  const open = newest.filter((one) => one.closed_ms === null);
  const past = newest.filter((one) => one.closed_ms !== null);
  byId("open").replaceChildren(...open.map((one) => item(one, one.steps.at(-1))));
  byId("no-open").hidden = open.length > 0;
  byId("past").replaceChildren(...past.map((one) => item(one, one.steps.at(-1))));
  say(byId("past-count"), String(past.length));
}

function item(incident, step) {
  const since = `${incident.severity}, ${incident.rule}, opened ${moment(incident.opened_ms)}`;
  const over = incident.closed_ms === null ? "" : `, closed ${moment(incident.closed_ms)}`;
  const peak = `; peak ${money(incident.peak_usd)} at ${clock(incident.peak_at_ms)}`;
  const told = make("details", "", make("summary", "small", "what was told"), make("p", "text", step?.text ?? ""));
  told.open = unfolded.has(incident.incident_id);
  told.addEventListener("toggle", () => {
    if (told.open) unfolded.add(incident.incident_id);
    else unfolded.delete(incident.incident_id);
  });
  if (step?.held_back) told.append(make("p", "small", `Nobody was told: ${step.held_back}.`));
  const element = make(
    "li", "", make("p", "headline", step?.headline ?? incident.rule),
    make("p", "small muted", since + over + peak), told,
  );
  element.dataset.severity = incident.severity;
  element.dataset.incident = incident.incident_id;
  return element;
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
