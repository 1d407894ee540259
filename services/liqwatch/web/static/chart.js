// The last 24 hours: bars by side, the rolling total, the rungs of the rules, alerts, and the time nobody watched.

import { dollars, moment, money } from "./words.js";

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

  constructor(box) {
    this.#box = box;
    new ResizeObserver(() => this.#resize()).observe(box);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#build());
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
    this.#watched = answer.bars.map((bar) => bar.watched);
    const starts = answer.bars.map((bar) => bar.start_ms / 1000);
    this.#data = [starts, amounts.long, amounts.short, amounts.longSum, amounts.shortSum];
    this.#box.setAttribute("aria-label", this.#summary(answer));
    if (this.#chart === null) this.#build();
    else this.#chart.setData(this.#data);
  }

  /** Thresholds in dollars with the side they are for; alerts as `{at_ms, severity}`. */
  annotate(rungs, marks) {
    this.#rungs = rungs;
    this.#marks = marks;
    if (this.#chart !== null) this.#chart.redraw();
  }

  #summary(answer) {
    const total = (name) => answer.bars.reduce((sum, bar) => sum + dollars(bar[name]), 0);
    return `Chart of the last 24 hours: longs ${money(total("long_usd"))}, shorts ${money(total("short_usd"))}`;
  }

  #resize() {
    if (this.#chart !== null && this.#box.clientWidth) this.#chart.setSize(this.#size());
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
        line("longs in the window", "--long"), line("shorts in the window", "--short"),
      ],
      cursor: { drag: { x: false, y: false } },
      hooks: { drawClear: [(chart) => this.#behind(chart)], draw: [(chart) => this.#before(chart)] },
    };
    this.#chart = new uPlot(options, this.#data, this.#box);
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
    this.#gaps(chart);
    ctx.restore();
  }

  #rung(ctx, bbox, y, words) {
    const ratio = devicePixelRatio;
    ctx.fillStyle = colour("--warn");
    ctx.font = `${(isWall() ? 16 : 11) * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.fillText(words, bbox.left + 4 * ratio, y - 3 * ratio);
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
