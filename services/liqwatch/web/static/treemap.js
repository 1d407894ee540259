// The coins of a window as areas, squarified, coloured by the side that weighs more.

import { make } from "./dom.js";
import { dollars, money, percent } from "./words.js";

function worst(row, side) {
  const sum = row.reduce((total, tile) => total + tile.area, 0);
  const thick = sum / side;
  return Math.max(...row.map((tile) => Math.max(thick ** 2 / tile.area, tile.area / thick ** 2)));
}

/** Places tiles (largest first, each with an `area`) into a rectangle. */
export function squarify(tiles, x, y, width, height) {
  const placed = [];
  let left = tiles.slice();
  while (left.length) {
    const side = Math.min(width, height);
    const row = [left[0]];
    let at = 1;
    while (at < left.length && worst([...row, left[at]], side) <= worst(row, side)) row.push(left[at++]);
    left = left.slice(at);
    const thick = row.reduce((total, tile) => total + tile.area, 0) / side;
    let along = 0;
    for (const tile of row) {
      const long = tile.area / thick;
      placed.push(
        width >= height
          ? { ...tile, x, y: y + along, width: thick, height: long }
          : { ...tile, x: x + along, y, width: long, height: thick },
      );
      along += long;
    }
    if (width >= height) { x += thick; width -= thick; } else { y += thick; height -= thick; }
  }
  return placed;
}

function tone(share) {
  if (share >= 0.8) return "long";
  if (share >= 0.6) return "longish";
  if (share > 0.4) return "mixed";
  return share > 0.2 ? "shortish" : "short";
}

/** Draws `{rows, other}` into the list. */
export function drawTreemap(list, coins) {
  const rows = [...coins.rows, { name: "other", ...coins.other }]
    .map((row) => ({ ...row, long: dollars(row.long_usd), short: dollars(row.short_usd) }))
    .map((row) => ({ ...row, usd: row.long + row.short }))
    .filter((row) => row.usd > 0)
    .sort((one, other) => other.usd - one.usd);
  const { clientWidth: width, clientHeight: height } = list;
  const whole = rows.reduce((total, row) => total + row.usd, 0);
  const tiles = rows.map((row) => ({ ...row, area: (row.usd / whole) * width * height }));
  list.replaceChildren(...squarify(tiles, 0, 0, width, height).map(draw));
}

function draw(tile) {
  const share = tile.long / tile.usd;
  const words = `${money(tile.usd)}, ${percent(share)} longs`;
  const item = make("li", "", make("span", "coin", tile.name));
  item.append(make("span", tile.width > 64 && tile.height > (tile.width > 140 ? 36 : 66) ? "" : "unseen", words));
  item.dataset.tone = tone(share);
  item.title = `${tile.name}: ${words}`;
  item.style.left = `${tile.x}px`;
  item.style.top = `${tile.y}px`;
  item.style.width = `${tile.width}px`;
  item.style.height = `${tile.height}px`;
  return item;
}
