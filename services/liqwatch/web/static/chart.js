// The last 24 hours: bars by side, the rolling total, the rungs of the rules, alerts, and the time nobody watched.

import { byId, say } from "./dom.js";
import { clock, dollars, moment, money } from "./words.js";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const isWall = () => innerWidth >= 1760;
const axisMoney = (_chart, values) => values.map((value) => money(Math.abs(value)));

export class Chart {
  #box;
  #chart = null;
  #data = [[], [], [], [], []];
  #watched = [];
  #rungs = [];
  #marks = [];
  #step = 300;
  #asOf = 0;
  #window = "";
  #built = "";

  constructor(box) {
    this.#box = box;
    box.addEventListener("keydown", (event) => this.#walk(event));
    new ResizeObserver(() => this.#resize()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#build());
  }

  /** Has a bar passed since it was shown? */
  isBehind(nowMs) {
    return nowMs - this.#asOf >= this.#step * 1000;
  }

  /** `answer` of /api/v1/bars, with the live totals of the same window as the newest point of the lines. */
  show(answer, totals) {
    const amounts = { long: [], short: [], longSum: [], shortSum: [] };
    const whole = (text) => (text === null ? null : dollars(text));
    for (const bar of answer.bars) {
      const seen = bar.watched > 0 || bar.long_count + bar.short_count > 0;
      amounts.long.push(seen ? dollars(bar.long_usd) : null);
      amounts.short.push(seen ? -dollars(bar.short_usd) : null);
      amounts.longSum.push(seen ? whole(bar.rolling_long_usd) : null);
      amounts.shortSum.push(seen ? whole(bar.rolling_short_usd) : null);
    }
    const last = answer.bars.length - 1;
    if (totals && last >= 0) {
      amounts.longSum[last] = dollars(totals.long.usd);
      amounts.shortSum[last] = dollars(totals.short.usd);
    }
    this.#step = answer.step_seconds;
    this.#asOf = answer.as_of_ms;
    this.#window = answer.window;
    this.#watched = answer.bars.map((bar) => bar.watched);
    const starts = answer.bars.map((bar) => bar.start_ms / 1000);
    this.#data = [starts, amounts.long, amounts.short, amounts.longSum, amounts.shortSum];
    this.#box.setAttribute("aria-label", this.#summary(answer));
    if (this.#chart === null || this.#built !== this.#look()) this.#build();
    else this.#chart.setData(this.#data);
    this.#tell(this.#chart?.cursor.idx);
  }

  /** Thresholds in dollars with the side they are for; alerts as `{at_ms, severity}`. */
  annotate(rungs, marks) {
    this.#rungs = rungs;
    this.#marks = marks;
    if (this.#chart !== null) this.#chart.redraw();
  }

  #summary(answer) {
    const total = (name) => answer.bars.reduce((sum, bar) => sum + dollars(bar[name]), 0);
    const sums = `longs ${money(total("long_usd"))}, shorts ${money(total("short_usd"))}`;
    return `Chart of the last 24 hours: ${sums}; arrow keys go from bar to bar`;
  }

  #resize() {
    if (this.#chart === null || !this.#box.clientWidth) return;
    if (this.#built !== this.#look()) this.#build();
    else this.#chart.setSize(this.#size());
  }

  /** What cannot be changed once it is drawn. */
  #look() {
    return `${this.#window} ${isWall()}`;
  }

  #size() {
    return { width: this.#box.clientWidth, height: isWall() ? 400 : innerWidth < 600 ? 240 : 290 };
  }

  #font() {
    return `${isWall() ? 17 : 12}px system-ui, sans-serif`;
  }

  #build() {
    if (this.#data[0].length === 0) return;
    if (this.#chart !== null) this.#chart.destroy();
    this.#built = this.#look();
    const bars = uPlot.paths.bars({ size: [0.85, 24] });
    const side = (label, name) => ({
      label, stroke: colour(name), fill: colour(name), width: 0, paths: bars, scale: "bar", points: { show: false },
      value: (_chart, value) => (value === null ? "–" : money(Math.abs(value))),
    });
    const line = (label, name) => ({
      label, stroke: colour(name), width: 2, scale: "sum", points: { show: false },
      value: (_chart, value) => (value === null ? "–" : money(value)),
    });
    const axis = (scale, where, grid) => ({
      scale, side: where, values: axisMoney, size: isWall() ? 96 : 64, stroke: colour("--muted"),
      font: this.#font(), grid: { show: grid, stroke: colour("--line"), width: 1 }, ticks: { show: false },
    });
    const options = {
      ...this.#size(),
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: {
        bar: { range: (_chart, low, high) => this.#around(low, high) },
        sum: { range: (_chart, _low, high) => [0, this.#above(high)] },
      },
      axes: [
        {
          stroke: colour("--muted"), font: this.#font(), grid: { show: false }, ticks: { show: false },
          values: (_chart, times) => times.map((time) => moment(time * 1000).slice(11, 16)),
        },
        axis("bar", 3, true),
        axis("sum", 1, false),
      ],
      series: [
        { value: (_chart, time) => (time === null ? "–" : `${moment(time * 1000).slice(0, 16)} UTC`), label: "from" },
        side("longs", "--long"), side("shorts", "--short"),
        line(`longs of ${this.#window}`, "--long"), line(`shorts of ${this.#window}`, "--short"),
      ],
      cursor: { drag: { x: false, y: false } },
      hooks: {
        drawClear: [(chart) => this.#behind(chart)],
        draw: [(chart) => this.#before(chart)],
        setCursor: [(chart) => this.#tell(chart.cursor.idx)],
      },
    };
    this.#chart = new uPlot(options, this.#data, this.#box);
  }

  /** Below the chart: the bar under the cursor, else the newest; and the alerts of that bar. */
  #tell(index) {
    const chosen = index ?? null;
    if (chosen === null && this.#data[0].length) this.#chart?.setLegend({ idx: this.#data[0].length - 1 }, false);
    const from = chosen === null ? 0 : this.#data[0][chosen] * 1000;
    const marks = this.#marks.filter((mark) => mark.at_ms >= from && mark.at_ms < from + this.#step * 1000);
    byId("chart-alert").hidden = marks.length === 0;
    say(byId("chart-alert"), marks.map((mark) => `▼ ${clock(mark.at_ms)} ${mark.headline}`).join(" "));
  }

  /** Left and right, home and end: for who has no mouse. */
  #walk(event) {
    const last = this.#data[0].length - 1;
    const now = this.#chart?.cursor.idx ?? last;
    const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key];
    if (next === undefined || this.#chart === null) return;
    event.preventDefault();
    const at = Math.min(Math.max(next, 0), last);
    this.#chart.setCursor({ left: this.#chart.valToPos(this.#data[0][at], "x"), top: 1 });
    const [times, longs, shorts] = this.#data;
    const amount = (value) => (value === null ? "nobody watched" : money(Math.abs(value)));
    say(byId("chart-said"), `${moment(times[at] * 1000).slice(11, 16)}: longs ${amount(longs[at])}, shorts ${amount(shorts[at])}`);
  }

  #around(low, high) {
    const most = Math.max(Math.abs(low ?? 0), Math.abs(high ?? 0), 1000);
    return [-most * 1.1, most * 1.1];
  }

  #above(high) {
    const next = this.#rungs.map((rung) => rung.usd).filter((usd) => usd > (high ?? 0));
    return Math.max((high ?? 0) * 1.1, Math.min(...next, Infinity) === Infinity ? 0 : Math.min(...next) * 1.05, 1000);
  }

  #behind(chart) {
    const { ctx, bbox } = chart;
    const clip = (y) => Math.min(Math.max(y, bbox.top), bbox.top + bbox.height);
    const height = (usd) => clip(chart.valToPos(usd, "sum", true));
    ctx.save();
    this.#gaps(chart);
    let written = Infinity;
    for (const rung of this.#rungs) {
      const y = height(rung.usd);
      ctx.fillStyle = colour("--band");
      // Each band lies on those below it: the higher the total, the stronger the colour.
      ctx.fillRect(bbox.left, bbox.top, bbox.width, Math.max(0, y - bbox.top));
      if (y <= bbox.top + 2) continue;
      const legible = written - y > (isWall() ? 19 : 13) * devicePixelRatio;
      this.#rung(ctx, bbox, y, legible ? `${rung.side === "both" ? "total" : `${rung.side}s`} ${money(rung.usd)}` : "");
      if (legible) written = y;
    }
    ctx.restore();
  }

  #rung(ctx, bbox, y, words) {
    const ratio = devicePixelRatio;
    ctx.fillStyle = colour("--warn");
    ctx.font = `${(isWall() ? 16 : 11) * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.strokeStyle = colour("--card"); // a halo: it has to be read on the hatching too
    ctx.lineWidth = 4 * ratio;
    ctx.lineJoin = "round";
    ctx.strokeText(words, bbox.left + 4 * ratio, y - 4 * ratio);
    ctx.fillText(words, bbox.left + 4 * ratio, y - 4 * ratio);
    ctx.strokeStyle = colour("--warn");
    ctx.lineWidth = ratio;
    ctx.setLineDash([4 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.setLineDash([]);
  }

  #gaps(chart) {
    const { ctx, bbox } = chart;
    const ratio = devicePixelRatio;
    this.#watched.forEach((share, number) => {
      if (share >= 0.9995) return;
      const from = Math.max(chart.valToPos(this.#data[0][number], "x", true), bbox.left);
      const to = Math.min(chart.valToPos(this.#data[0][number] + this.#step, "x", true), bbox.left + bbox.width);
      if (to <= from) return;
      ctx.fillStyle = colour("--partly");
      if (share > 0) ctx.fillRect(from, bbox.top + bbox.height - 4 * ratio, to - from, 4 * ratio);
      else this.#hatch(ctx, from, bbox.top, to - from, bbox.height, 7 * ratio);
    });
  }

  #hatch(ctx, x, y, width, height, apart) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(x, y, width, height);
    ctx.clip();
    ctx.strokeStyle = colour("--hatch");
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    // Lines stand on a common grid, so that neighbours continue one another.
    for (let at = Math.floor((x - height) / apart) * apart; at < x + width; at += apart) {
      ctx.moveTo(at, y + height);
      ctx.lineTo(at + height, y);
    }
    ctx.stroke();
    ctx.restore();
  }

  #before(chart) {
    const { ctx, bbox } = chart;
    const ratio = devicePixelRatio;
    ctx.save();
    for (const mark of this.#marks) {
      const x = chart.valToPos(mark.at_ms / 1000, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.fillStyle = colour(mark.severity === "critical" ? "--long" : "--warn");
      ctx.beginPath();
      ctx.moveTo(x, bbox.top + 11 * ratio);
      ctx.lineTo(x - 6 * ratio, bbox.top);
      ctx.lineTo(x + 6 * ratio, bbox.top);
      ctx.fill();
      ctx.globalAlpha = 0.35;
      ctx.fillRect(x - ratio / 2, bbox.top, ratio, bbox.height);
      ctx.globalAlpha = 1;
    }
    ctx.restore();
  }
}
