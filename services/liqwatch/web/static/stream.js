// The stream: connected or not, and what came. The browser goes on where it was; this sees when nothing comes any more.

const SILENT_MS = 5000; // the server says something every second
const AGAIN_MS = 2000;

export class Stream {
  #source = null;
  #heard = 0;
  #last = "";
  #on;

  /** `on.snapshot(data)`, `on.update(data)`, `on.state(live)`. */
  constructor(on) {
    this.#on = on;
    this.#open();
    setInterval(() => this.#watch(), 1000);
    addEventListener("offline", () => this.#on.state(false));
  }

  #open() {
    const query = this.#last ? `?last_event_id=${encodeURIComponent(this.#last)}` : "";
    const source = new EventSource(`/api/v1/stream${query}`);
    this.#source = source;
    this.#heard = performance.now();
    for (const kind of ["snapshot", "update"]) {
      source.addEventListener(kind, (event) => {
        if (source !== this.#source) return;
        this.#heard = performance.now();
        this.#last = event.lastEventId;
        this.#on[kind](JSON.parse(event.data));
        this.#on.state(true);
      });
    }
    source.addEventListener("error", () => {
      if (source === this.#source) this.#on.state(false);
    });
  }

  #watch() {
    const silent = performance.now() - this.#heard;
    if (silent > SILENT_MS) this.#on.state(false);
    const gone = this.#source.readyState === EventSource.CLOSED && silent > AGAIN_MS;
    if (gone || silent > 2 * SILENT_MS) {
      this.#source.close();
      this.#open();
    }
  }
}
