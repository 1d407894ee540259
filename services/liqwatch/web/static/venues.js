// The table of venues. Its rows stay and are changed in place: who has put the keyboard or the mouse on one keeps it.

import { byId, draw, make, say, tell } from "./dom.js";
import { ago, clock, lag, moment, money, percent, span } from "./words.js";

const STATES = { watched: "watched", not_watched: "not watched", never_seen: "never seen" };
const rows = new Map();
const HIGH = 12; // units of a strip; it is as wide as a day has minutes

/** Each venue, for the chosen window; `state.gaps` has the gaps of the last 24 hours by venue. */
export function showVenues(venues, state) {
  const body = byId("venues").tBodies[0];
  for (const venue of venues) {
    const row = rows.get(venue.venue) ?? build(venue.venue);
    fill(row, venue, state);
    rows.set(venue.venue, row);
  }
  for (const name of [...rows.keys()].filter((one) => !venues.some((venue) => venue.venue === one))) rows.delete(name);
  const wanted = venues.map((venue) => rows.get(venue.venue).element);
  if (wanted.length !== body.rows.length || wanted.some((element, at) => body.rows[at] !== element)) {
    body.replaceChildren(...wanted);
  }
}

function build() {
  const cell = (label, className = "") => {
    const element = make("td", className);
    element.dataset.label = label;
    element.setAttribute("role", "cell");
    return element;
  };
  const head = make("th", "");
  head.scope = "row";
  head.setAttribute("role", "rowheader");
  const row = {
    head, now: cell("now"), kind: cell("publishes"), strip: cell("last 24 hours", "strip"), share: cell("watched", "number"),
    long: cell("longs", "number money long"), short: cell("shorts", "number money short"), last: cell("last order", "number last"),
    lag: cell("arrives after", "number"), button: make("button", "link"), told: "",
  };
  row.button.type = "button";
  row.button.addEventListener("click", () => tellGaps(row));
  row.share.append(row.button);
  row.element = make("tr", "", head, row.now, row.kind, row.strip, row.share, row.long, row.short, row.last, row.lag);
  row.element.setAttribute("role", "row");
  return row;
}

function fill(row, venue, state) {
  const part = venue.windows[state.window];
  const good = venue.state === "watched";
  Object.assign(row, { venue, gaps: state.gaps.get(venue.venue) });
  say(row.head, venue.title);
  say(row.now, STATES[venue.state] + (good || !venue.detail ? "" : `: ${venue.detail}`));
  row.now.className = good ? "" : "bad";
  say(row.kind, venue.completeness);
  row.kind.title = venue.completeness_note;
  say(row.button, percent(part?.share));
  row.button.setAttribute("aria-label", `${venue.title}: watched ${percent(part?.share)}; list the gaps`);
  say(row.long, money(part?.long_usd ?? "0"));
  say(row.short, money(part?.short_usd ?? "0"));
  say(row.last, ago(venue.last_event_ms, state.nowMs));
  say(row.lag, lag(venue.lag_ms));
  if (row.gaps) drawStrip(row);
}

const kind = (gap) => (gap.filled ? "filled" : gap.reason === "not watched before" ? "before" : "gap");

/** `10:01:22 to 10:03:32 (2 min): main: closed`. */
function gapWords(gap, answer) {
  const until = gap.to_ms >= answer.as_of_ms ? "now" : clock(gap.to_ms);
  const filled = gap.filled ? "; read from the venue's own list afterwards" : "";
  return `${moment(gap.from_ms)} to ${until} (${span(gap.to_ms - gap.from_ms)}): ${gap.reason}${filled}`;
}

function drawStrip(row) {
  const { answer, gaps } = row.gaps;
  const mark = `${answer.from_ms / 60_000 | 0} ${gaps.map((gap) => [gap.from_ms, gap.to_ms, gap.filled])}`;
  if (mark === row.told) return;
  row.told = mark;
  const whole = answer.as_of_ms - answer.from_ms;
  const at = (ms) => ((ms - answer.from_ms) / whole) * 1440;
  const holes = gaps.map((gap) => {
    const wide = Math.max(at(gap.to_ms) - at(gap.from_ms), 4); // a short one has to be seen too
    const x = Math.min(at(gap.from_ms), 1440 - wide);
    const words = draw("title", {}, gapWords(gap, answer));
    return draw("rect", { x, y: 0, width: wide, height: HIGH, class: kind(gap) }, words);
  });
  const missing = gaps.filter((gap) => kind(gap) === "gap").length;
  const label = `${missing} ${missing === 1 ? "gap" : "gaps"} in the last 24 hours`;
  const whole24 = draw("rect", { x: 0, y: 0, width: 1440, height: HIGH, class: "watched" });
  row.strip.replaceChildren(
    draw("svg", { viewBox: `0 0 1440 ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, whole24, ...holes),
  );
}

function tellGaps({ venue, gaps: found }) {
  const note = make("p", "", `Publishes: ${venue.completeness}. ${venue.completeness_note}`);
  if (!found) return tell(venue.title, note);
  const { answer, gaps, older } = found;
  const lines = [...gaps].reverse().map((gap) => make("li", kind(gap), gapWords(gap, answer)));
  if (older) lines.push(make("li", "", `and ${older} before these`));
  const title = `${venue.title}: watched ${percent(found.share)} of the last 24 hours`;
  tell(title, note, lines.length ? make("ul", "gaps", ...lines) : make("p", "", "No gap."));
}
