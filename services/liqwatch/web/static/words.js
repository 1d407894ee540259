// Numbers and times as a person reads them. Amounts are cut, never rounded up: "at least $1.71B" stays true.

const SCALES = [["T", 1e12], ["B", 1e9], ["M", 1e6]];

/** Whole dollars of a decimal string, exactly. */
export function dollars(usd) {
  const whole = Number.parseInt(usd, 10);
  return Number.isFinite(whole) && whole > 0 ? whole : 0;
}

/** `$1.71B`, `$85.9M`, `$12,400`: three digits from a million on. */
export function money(usd) {
  const amount = typeof usd === "string" ? dollars(usd) : Math.max(0, Math.floor(usd));
  for (const [suffix, scale] of SCALES) {
    if (amount >= scale) {
      const whole = Math.floor(amount / scale);
      const places = Math.max(0, 3 - String(whole).length);
      const part = Math.floor((amount - whole * scale) / (scale / 10 ** places));
      return places ? `$${whole}.${String(part).padStart(places, "0")}${suffix}` : `$${whole}${suffix}`;
    }
  }
  return `$${amount.toLocaleString("en-US")}`;
}

/** One decimal, and never 0 or 100 unless it is. */
export function percent(share) {
  if (share === null || share === undefined) return "–";
  const shown = share > 0 && share < 1 ? Math.min(Math.max(share * 100, 0.1), 99.9) : share * 100;
  return `${shown.toFixed(1).replace(/\.0$/, "")} %`;
}

const two = (number) => String(number).padStart(2, "0");

/** `14:02:11`, UTC. */
export function clock(ms) {
  const at = new Date(ms);
  return `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
}

/** `2026-01-30 04:43:10`, UTC. */
export function moment(ms) {
  return `${new Date(ms).toISOString().slice(0, 10)} ${clock(ms)}`;
}

/** `now`, `12 s`, `3 min`, `2.1 h`. */
export function ago(thenMs, nowMs) {
  if (thenMs === null || thenMs === undefined) return "–";
  const seconds = Math.max(0, nowMs - thenMs) / 1000;
  if (seconds < 2) return "now";
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172800 ? `${(seconds / 3600).toFixed(1)} h ago` : `${Math.round(seconds / 86400)} d ago`;
}

/** `120 ms`, `1.4 s`. */
export function lag(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** `24h` -> `24 hours`. */
export function windowWords(name) {
  const [, number, unit] = /^(\d+)([smh])$/.exec(name) ?? [];
  const word = { s: "second", m: "minute", h: "hour" }[unit];
  return word ? `${number} ${word}${number === "1" ? "" : "s"}` : name;
}

/** A length of time: `340 ms`, `12 s`, `3 min`, `2 h 5 min`. */
export function span(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return minutes % 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes / 60} h`;
}
