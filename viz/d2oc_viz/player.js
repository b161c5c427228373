/* Plays a mission on a canvas: from streams packed into the page (replay.py), or from a running mission (live.py).
   Times are seconds, lengths metres, angles radians; a frame is a tick that is shown. */
"use strict";

(() => {
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]; // Okabe and Ito, as in style.mplstyle
  const MANY_AGENTS = 12; // beyond, agents share one colour and carry no number
  const TRAIL_POINTS = 20000; // points drawn of all trails together
  const CELLS_ACROSS = 90; // as in maps.py
  const SAMPLES_PER_CELL = 3;
  const BESIDE = 0.5; // as in maps.py
  const SPEEDS = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]; // times real time
  const WHOLE_IN_S = 30; // the speed at first plays the whole mission in about this time
  const MOST_LINKS = 5000; // radio links drawn at once; of more, only those of the selected drone
  const REACH_PX = 24; // a click selects a drone that is nearer than this
  const HEAT = [[255, 224, 130], [254, 178, 76], [253, 141, 60], [240, 59, 32], [189, 0, 38], [110, 0, 38]];

  // ---- numbers out of the page -------------------------------------------------------------------------------------

  function bytesOf(base64) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }

  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** Undo `replay.pack`: bytes by place, folded differences. */
  async function unpack(base64) {
    const planes = await inflate(bytesOf(base64));
    const n = planes.length / 4;
    const numbers = new Int32Array(n);
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const folded = planes[i] | (planes[n + i] << 8) | (planes[2 * n + i] << 16) | (planes[3 * n + i] << 24);
      sum = (sum + ((folded >>> 1) ^ -(folded & 1))) | 0;
      numbers[i] = sum;
    }
    return numbers;
  }

  function embedded(run, name) {
    const element = document.querySelector(`script[data-run="${run}"][data-name="${name}"]`);
    return element ? element.textContent : "";
  }

  /** An array that grows at its end. */
  class Growing {
    constructor(Type, array = new Type(1024), length = 0) {
      this.Type = Type;
      this.array = array;
      this.length = length;
    }

    append(values) {
      if (this.length + values.length > this.array.length) {
        const larger = new this.Type(2 * (this.length + values.length));
        larger.set(this.array.subarray(0, this.length));
        this.array = larger;
      }
      this.array.set(values, this.length);
      this.length += values.length;
    }
  }

  const whole = (array) => new Growing(array.constructor, array, array.length);

  // ---- a mission ---------------------------------------------------------------------------------------------------

  /** What is known of a mission; grows while it is flown. */
  class Flight {
    constructor(head) {
      this.head = head;
      this.n = head.n_agents;
      this.tick = new Growing(Int32Array); // of each frame
      this.columns = new Map(); // name -> values, frame by frame
      this.remaining = new Growing(Float64Array);
      this.taken = { tick: new Growing(Int32Array), sample: new Growing(Int32Array), amount: new Growing(Int32Array) };
      this.links = { pair: new Growing(Int32Array), first: new Growing(Int32Array), last: new Growing(Int32Array) };
      this.openLinks = new Map();
      this.cells = []; // of an assignment: tick, and the corners of each agent's cell
      for (const column of head.columns) this.columns.set(column.name, new Growing(Float32Array));
    }

    /** What holds the field and all places flown to so far: [x0, y0, x1, y1]. */
    get reach() {
      this.seen = this.seen || { frames: 0, box: this.ground };
      const [xs, ys] = [this.columns.get("x_m").array, this.columns.get("y_m").array];
      const box = this.seen.box;
      for (let i = this.seen.frames * this.n; i < this.nFrames * this.n; i++) {
        if (xs[i] < box[0]) box[0] = xs[i];
        if (ys[i] < box[1]) box[1] = ys[i];
        if (xs[i] > box[2]) box[2] = xs[i];
        if (ys[i] > box[3]) box[3] = ys[i];
      }
      this.seen.frames = this.nFrames;
      return box;
    }

    /** What holds the field and, not too far beside it, all places that samples come to: [x0, y0, x1, y1]. */
    get ground() {
      const [x0, y0, x1, y1] = boxOf(this.head.boundary_m);
      const box = [x0, y0, x1, y1];
      if (!this.moves) return box;
      const beside = BESIDE * Math.max(x1 - x0, y1 - y0);
      for (const x of this.wayX) [box[0], box[2]] = [Math.min(box[0], Math.max(x, x0 - beside)), Math.max(box[2], Math.min(x, x1 + beside))];
      for (const y of this.wayY) [box[1], box[3]] = [Math.min(box[1], Math.max(y, y0 - beside)), Math.max(box[3], Math.min(y, y1 + beside))];
      return box;
    }

    /** Whether the density moves. */
    get moves() { return Boolean(this.head.way_ticks && this.head.way_ticks.length); }

    /** Bring the samples to where they are at a tick, which may lie between two. */
    carry(tick) {
      const ticks = this.head.way_ticks;
      let k = 0;
      while (k < ticks.length - 2 && ticks[k + 1] <= tick) k += 1;
      const next = Math.min(k + 1, ticks.length - 1);
      const part = next > k ? Math.min(1, Math.max(0, (tick - ticks[k]) / (ticks[next] - ticks[k]))) : 0;
      for (let i = 0; i < this.sampleX.length; i++) {
        const at = i * ticks.length;
        this.sampleX[i] = this.wayX[at + k] + part * (this.wayX[at + next] - this.wayX[at + k]);
        this.sampleY[i] = this.wayY[at + k] + part * (this.wayY[at + next] - this.wayY[at + k]);
      }
    }

    get nFrames() { return this.tick.length; }
    get end() { return this.nFrames ? this.time(this.nFrames - 1) : 0; }
    time(frame) { return this.tick.array[frame] * this.head.time_step_s; }

    /** The last frame that is not after a time. */
    frameAt(time) {
      const tick = time / this.head.time_step_s + 1e-6;
      let low = 0;
      let high = this.nFrames - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (this.tick.array[middle] <= tick) low = middle; else high = middle - 1;
      }
      return low;
    }

    value(name, frame, agent) {
      const column = this.columns.get(name);
      return column ? column.array[frame * this.n + agent] : NaN;
    }

    /** Add a frame of a running mission. */
    append(frame, columns) {
      const f = this.nFrames;
      this.tick.append([frame.tick]);
      this.remaining.append([frame.remaining]);
      this.head.columns.forEach((column, i) => {
        this.columns.get(column.name).append(columns.subarray(i * this.n, (i + 1) * this.n));
      });
      this.extendLinks(f, new Int32Array(bytesOf(frame.pairs).buffer));
    }

    extendLinks(frame, pairs) {
      const still = new Map();
      for (const pair of pairs) {
        let link = this.openLinks.get(pair);
        if (link === undefined) {
          link = this.links.pair.length;
          this.links.pair.append([pair]);
          this.links.first.append([frame]);
          this.links.last.append([frame]);
        }
        this.links.last.array[link] = frame;
        still.set(pair, link);
      }
      this.openLinks = still;
    }

    appendTaken(taken) {
      for (const name of ["tick", "sample", "amount"]) {
        this.taken[name].append(new Int32Array(bytesOf(taken[name]).buffer));
      }
    }
  }

  /** The flight whose streams stand in this page. */
  async function flightInPage(run) {
    const head = JSON.parse(embedded(run, "head"));
    const flight = new Flight(head);
    const frames = head.n_frames;
    const stream = async (name) => unpack(embedded(run, name));
    const ticks = Int32Array.from({ length: frames }, (_, i) => Math.min(i * head.stride, head.n_ticks - 1));
    flight.tick = whole(ticks);
    for (const column of head.columns) {
      flight.columns.set(column.name, whole(byFrame(await stream(column.name), column, frames, flight.n)));
    }
    flight.remaining = whole(Float64Array.from(await stream("remaining"), (x) => x / 1e9));
    await readSamples(flight, stream);
    flight.taken.tick = whole((await stream("taken_frame")).map((frame) => ticks[frame]));
    flight.taken.sample = whole(await stream("taken_sample"));
    flight.taken.amount = whole(await stream("taken_amount"));
    if (head.doses) {
      flight.wanted = await stream("wanted");
      flight.laid = {
        tick: (await stream("laid_frame")).map((frame) => ticks[frame]), cell: await stream("laid_cell"), amount: await stream("laid_amount"),
      };
    }
    if (head.cell_ticks && head.cell_ticks.length) await readCells(flight, stream);
    if (head.links.n) {
      const first = await stream("link_first");
      flight.links.pair = whole(await stream("link_pair"));
      flight.links.first = whole(first);
      flight.links.last = whole((await stream("link_frames")).map((span, i) => first[i] + span));
    }
    return flight;
  }

  async function readSamples(flight, stream) {
    const ground = flight.head.ground_quantum_m;
    flight.sampleX = Float32Array.from(await stream("sample_x"), (x) => x * ground);
    flight.sampleY = Float32Array.from(await stream("sample_y"), (y) => y * ground);
    flight.sampleWeight = await stream("sample_weight");
    if (!flight.moves) return;
    flight.wayX = Float32Array.from(await stream("way_x"), (x) => x * ground);
    flight.wayY = Float32Array.from(await stream("way_y"), (y) => y * ground);
  }

  async function readCells(flight, stream) {
    const [counts, xs, ys] = [await stream("cell_corners"), await stream("cell_x"), await stream("cell_y")];
    const ground = flight.head.ground_quantum_m;
    let at = 0;
    flight.cells = flight.head.cell_ticks.map((tick, i) => {
      const corners = [];
      for (let r = 0; r < flight.n; r++) {
        const n = counts[i * flight.n + r];
        corners.push(Array.from({ length: n }, (_, k) => [xs[at + k] * ground, ys[at + k] * ground]));
        at += n;
      }
      return { tick, corners };
    });
  }

  /** Values of a column, frame by frame, from whole numbers agent by agent. */
  function byFrame(numbers, column, frames, agents) {
    const values = new Float32Array(numbers.length);
    for (let r = 0; r < agents; r++) {
      for (let f = 0; f < frames; f++) {
        const number = numbers[r * frames + f];
        values[f * agents + r] = number === 0 ? NaN : column.offset + (number - 1) * column.quantum;
      }
    }
    return values;
  }

  function boxOf(corners) {
    const [xs, ys] = [corners.map((c) => c[0]), corners.map((c) => c[1])];
    return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  }

  // ---- remaining weight --------------------------------------------------------------------------------------------

  /** The weight left, in cells on the ground; goes to any moment by taking, or giving back, what was consumed. */
  class Weights {
    constructor(flight) {
      this.flight = flight;
      this.left = Int32Array.from(flight.sampleWeight);
      this.applied = 0;
      this.stale = true;
      this.layOut();
    }

    layOut() {
      const [bx0, by0, bx1, by1] = boxOf(this.flight.head.boundary_m);
      [this.x0, this.y0, this.x1, this.y1] = this.flight.ground;
      const n = this.left.length;
      const across = Math.min(CELLS_ACROSS, Math.max(8, Math.sqrt(n / SAMPLES_PER_CELL)));
      const side = Math.max(bx1 - bx0, by1 - by0) / across;
      this.columns = Math.max(1, Math.ceil((this.x1 - this.x0) / side - 1e-9));
      this.rows = Math.max(1, Math.ceil((this.y1 - this.y0) / side - 1e-9));
      this.hectares = ((this.x1 - this.x0) / this.columns) * ((this.y1 - this.y0) / this.rows) / 1e4;
      this.cell = new Int32Array(n);
      this.whole = new Int32Array(this.columns * this.rows);
      this.now = new Int32Array(this.columns * this.rows);
      this.gather();
      this.top = Math.max(1, quantile(this.whole.filter((w) => w > 0), 0.995));
      const total = this.left.reduce((sum, w) => sum + w, 0) || 1;
      this.label = "untreated [% of the whole per ha]";
      this.most = 100 * this.top / total / this.hectares;
      this.picture = newPicture(this.columns, this.rows);
    }

    /** Sum up the samples where they are; those beyond the map are left out. */
    gather() {
      this.whole.fill(0);
      this.now.fill(0);
      for (let i = 0; i < this.left.length; i++) {
        this.cell[i] = this.cellOf(this.flight.sampleX[i], this.flight.sampleY[i]);
        if (this.cell[i] < 0) continue;
        this.whole[this.cell[i]] += this.flight.sampleWeight[i];
        this.now[this.cell[i]] += Math.max(this.left[i], 0);
      }
    }

    /** Cell of a place, -1 beyond the map; row 0 is the north, as in a picture. */
    cellOf(x, y) {
      const slack = 1e-3 * (this.x1 - this.x0);
      if (x < this.x0 - slack || x > this.x1 + slack || y < this.y0 - slack || y > this.y1 + slack) return -1;
      const column = Math.min(this.columns - 1, Math.max(0, Math.floor((x - this.x0) / (this.x1 - this.x0) * this.columns)));
      const row = Math.min(this.rows - 1, Math.max(0, Math.floor((this.y1 - y) / (this.y1 - this.y0) * this.rows)));
      return row * this.columns + column;
    }

    /** Go to a tick; samples that move go on to the moment between it and the next. */
    moveTo(tick, moment = tick) {
      const taken = this.flight.taken;
      const { array: when, length } = taken.tick;
      while (this.applied < length && when[this.applied] <= tick) this.change(this.applied++, -1);
      while (this.applied > 0 && when[this.applied - 1] > tick) this.change(--this.applied, 1);
      if (this.flight.moves && moment !== this.moment) {
        this.flight.carry(moment);
        this.gather();
        this.moment = moment;
        this.stale = true;
      }
    }

    change(i, sign) {
      const sample = this.flight.taken.sample.array[i];
      const before = Math.max(this.left[sample], 0);
      this.left[sample] += sign * this.flight.taken.amount.array[i];
      if (this.cell[sample] >= 0) this.now[this.cell[sample]] += Math.max(this.left[sample], 0) - before;
      this.stale = true;
    }

    /** The cells as a small picture: what is left in warm colours, what was there in grey. */
    paint() {
      if (this.stale) paintCells(this.picture, (i) => i, (i) => this.now[i] / this.top, (i) => this.whole[i] / this.top);
      this.stale = false;
      return this.picture;
    }
  }

  /** Doses of a spraying mission in the cells of its raster: what came down so far, or what is wanted. */
  class Doses {
    constructor(flight, wanted) {
      const { n_rows: rows, n_columns: columns, cell_m: side, origin_x_m: x0, origin_y_m: y0 } = flight.head.doses;
      Object.assign(this, { flight, rows, columns, x0, y0, x1: x0 + columns * side, y1: y0 + rows * side });
      this.onlyWanted = wanted;
      this.label = wanted ? "dose wanted [L/ha]" : "dose laid [L/ha]";
      this.most = flight.head.doses.top_l_ha;
      this.top = this.most / flight.head.doses.quantum_l_ha;
      this.now = wanted ? flight.wanted : new Int32Array(rows * columns);
      this.applied = 0;
      this.stale = true;
      this.picture = newPicture(columns, rows);
    }

    moveTo(tick) {
      const { tick: when, cell, amount } = this.flight.laid;
      const before = this.applied;
      if (this.onlyWanted) return;
      while (this.applied < when.length && when[this.applied] <= tick) this.now[cell[this.applied]] += amount[this.applied++];
      while (this.applied > 0 && when[this.applied - 1] > tick) this.now[cell[--this.applied]] -= amount[this.applied];
      this.stale = this.stale || before !== this.applied;
    }

    /** Doses in warm colours; in grey where something is wanted and nothing lies yet. The raster begins in the south. */
    paint() {
      const from = (i) => (this.rows - 1 - Math.floor(i / this.columns)) * this.columns + (i % this.columns);
      if (this.stale) paintCells(this.picture, from, (i) => this.now[i] / this.top, (i) => this.flight.wanted[i] / this.top);
      this.stale = false;
      return this.picture;
    }
  }

  function newPicture(columns, rows) {
    const picture = document.createElement("canvas");
    picture.width = columns;
    picture.height = rows;
    return picture;
  }

  /** Paint a picture: each pixel by the number of its cell, shares that are shown warm, else shares shown in grey. */
  function paintCells(picture, cellAt, warm, grey) {
    const context = picture.getContext("2d");
    const pixels = context.createImageData(picture.width, picture.height);
    for (let i = 0; i < picture.width * picture.height; i++) {
      const cell = cellAt(i);
      const [left, was] = [Math.min(1, warm(cell)), Math.min(1, grey(cell))];
      if (left > 0.004) {
        const [r, g, b] = heat(left);
        pixels.data.set([r, g, b, 255 * Math.min(1, 0.3 + 2 * left)], 4 * i);
      } else if (was > 0.004) {
        pixels.data.set([128, 128, 128, 255 * (0.06 + 0.3 * was)], 4 * i);
      }
    }
    context.putImageData(pixels, 0, 0);
  }

  function quantile(values, share) {
    const sorted = Float64Array.from(values).sort();
    const at = share * (sorted.length - 1);
    const below = Math.floor(at);
    return sorted.length ? sorted[below] + (at - below) * (sorted[Math.ceil(at)] - sorted[below]) : 0;
  }

  function heat(share) {
    const at = share * (HEAT.length - 1);
    const i = Math.min(HEAT.length - 2, Math.floor(at));
    return HEAT[i].map((c, k) => Math.round(c + (HEAT[i + 1][k] - c) * (at - i)));
  }

  // ---- the view ----------------------------------------------------------------------------------------------------

  /** Where the ground lies on the canvas; x east is right, y north is up. */
  class View {
    constructor(flight) {
      this.flight = flight;
      this.zoom = 1;
      this.moved = [0, 0]; // pixels of the canvas
    }

    fit(width, height) {
      const margin = 34;
      const [x0, y0, x1, y1] = this.flight.reach;
      const [w, h] = [x1 - x0, y1 - y0];
      this.size = [width, height];
      this.scale = Math.min((width - 2 * margin) / w, (height - 2 * margin) / h) * this.zoom;
      this.left = width / 2 - this.scale * (x0 + w / 2) + this.moved[0];
      this.bottom = height / 2 + this.scale * (y0 + h / 2) + this.moved[1];
    }

    x(x) { return this.left + this.scale * x; }
    y(y) { return this.bottom - this.scale * y; }

    /** Zoom so that the ground under a pixel stays there. */
    zoomAt(px, py, factor) {
      const zoom = Math.min(200, Math.max(1, this.zoom * factor));
      const by = zoom / this.zoom;
      const [cx, cy] = [this.size[0] / 2 + this.moved[0], this.size[1] / 2 + this.moved[1]];
      this.moved = zoom === 1 ? [0, 0] : [this.moved[0] + (px - cx) * (1 - by), this.moved[1] + (py - cy) * (1 - by)];
      this.zoom = zoom;
    }

    reset() { this.zoom = 1; this.moved = [0, 0]; }
  }

  function ink(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function outline(context, view, corners) {
    context.beginPath();
    corners.forEach(([x, y], i) => (i ? context.lineTo(view.x(x), view.y(y)) : context.moveTo(view.x(x), view.y(y))));
    context.closePath();
  }

  function drawGround(context, view, layer, head) {
    context.imageSmoothingEnabled = false;
    const width = view.scale * (layer.x1 - layer.x0);
    const height = view.scale * (layer.y1 - layer.y0);
    context.drawImage(layer.paint(), view.x(layer.x0), view.y(layer.y1), width, height);
    for (const [zones, colour] of [[head.no_fly_zones_m, "#D55E00"], [head.no_spray_zones_m, "#CC79A7"]]) {
      for (const zone of zones) drawZone(context, view, zone, colour);
    }
    outline(context, view, head.boundary_m);
    context.strokeStyle = ink("--ink");
    context.lineWidth = 1.2;
    context.stroke();
  }

  function drawZone(context, view, zone, colour) {
    outline(context, view, zone);
    context.fillStyle = colour + "2e";
    context.fill();
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.setLineDash([6, 4]);
    context.stroke();
    context.setLineDash([]);
  }

  function drawScale(context, view) {
    const metres = roundLength(Math.max(60, view.size[0] * 0.18) / view.scale);
    const [x, y] = [14, view.size[1] - 14];
    const end = x + metres * view.scale;
    context.strokeStyle = context.fillStyle = ink("--ink");
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(end, y);
    context.stroke();
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "left";
    context.fillText(`${metres} m`, x, y - 6);
  }

  function roundLength(longest) {
    const decade = 10 ** Math.floor(Math.log10(longest));
    const step = longest / decade >= 5 ? 5 : longest / decade >= 2 ? 2 : 1;
    return Number((step * decade).toPrecision(1));
  }

  function drawKey(context, view, layer) {
    const [width, height] = [120, 8];
    const [x, y] = [view.size[0] - width - 14, view.size[1] - 27];
    for (let i = 0; i < width; i++) {
      const [r, g, b] = heat(i / width);
      context.fillStyle = `rgba(${r},${g},${b},${Math.min(1, 0.3 + 2 * i / width)})`;
      context.fillRect(x + i, y, 1, height);
    }
    context.fillStyle = ink("--ink");
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.fillText(layer.label, x + width, y - 5);
    context.fillText(short(layer.most), x + width, y + height + 10);
    context.textAlign = "left";
    context.fillText("0", x, y + height + 10);
  }

  // ---- numbers for people ------------------------------------------------------------------------------------------

  function short(value) {
    if (!Number.isFinite(value)) return "–";
    const size = Math.abs(value);
    return size >= 10000 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : size >= 0.1 || size === 0 ? value.toFixed(2) : value.toPrecision(2);
  }

  function clock(seconds) {
    if (seconds < 600) return `${seconds.toFixed(1)} s`;
    const minutes = Math.floor(seconds / 60);
    return `${minutes} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  }

  // ---- the player --------------------------------------------------------------------------------------------------

  class Player {
    constructor(section, flight) {
      this.section = section;
      this.flight = flight;
      this.weights = new Weights(flight);
      this.layers = { untreated: this.weights };
      if (flight.wanted) Object.assign(this.layers, { laid: new Doses(flight, false), wanted: new Doses(flight, true) });
      this.view = new View(flight);
      this.now = 0; // seconds since the start
      this.playing = false;
      this.live = false;
      this.selected = -1;
      this.drawn = 0;
      this.ground = section.querySelector(".ground");
      this.course = section.querySelector(".course");
      this.fillControls();
      this.listen();
      new ResizeObserver(() => this.resize()).observe(this.ground.parentElement);
      this.resize();
      section.dataset.ready = "yes";
    }

    part(name) { return this.section.querySelector("." + name); }

    fillControls() {
      const speed = this.part("speed");
      for (const times of SPEEDS) speed.add(new Option(`${times} ×`, times));
      const wanted = this.flight.end / WHOLE_IN_S;
      speed.value = SPEEDS.find((times) => times >= wanted) || SPEEDS[SPEEDS.length - 1];
      const who = this.part("who");
      who.add(new Option("none", -1));
      for (let r = 0; r < this.flight.n; r++) who.add(new Option(`drone ${r}`, r));
      this.part("layer").parentElement.hidden = !this.flight.wanted;
      if (this.flight.wanted) this.part("layer").value = "laid";
      this.part("cells").parentElement.hidden = !this.flight.cells.length;
      this.part("note").textContent = this.leftOut();
      this.fillScrub();
    }

    fillScrub() {
      this.part("scrub").max = this.flight.end;
      this.part("scrub").step = "any";
    }

    /** What the page does not show, in sentences. */
    leftOut() {
      const head = this.flight.head;
      const notes = [];
      if (head.stride > 1) notes.push(`Every ${head.stride}th tick is shown, and the last.`);
      if (head.links && head.links.note) notes.push(`${head.links.note}.`);
      if (head.n_events > (head.events || []).length) notes.push(`The first ${head.events.length} of ${head.n_events} events are listed.`);
      return notes.join(" ");
    }

    // -- what the user does

    listen() {
      this.part("play").addEventListener("click", () => this.toggle());
      this.part("first").addEventListener("click", () => this.seek(0));
      this.part("last").addEventListener("click", () => this.seek(this.flight.end));
      this.part("scrub").addEventListener("input", (event) => this.seek(Number(event.target.value)));
      this.part("who").addEventListener("change", (event) => this.select(Number(event.target.value)));
      for (const name of ["speed", "trail", "radio", "goals", "layer", "cells"]) this.part(name).addEventListener("change", () => this.draw());
      this.section.addEventListener("keydown", (event) => this.key(event));
      this.course.addEventListener("pointerdown", (event) => this.seekOnCourse(event));
      this.course.addEventListener("pointermove", (event) => event.buttons && this.seekOnCourse(event));
      this.listenToGround();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
      document.addEventListener("themechange", () => this.draw());
    }

    listenToGround() {
      const fingers = new Map();
      let travelled = 0;
      const at = (event) => [event.offsetX, event.offsetY];
      this.ground.addEventListener("wheel", (event) => {
        if (!(event.ctrlKey || event.metaKey || document.activeElement === this.ground)) return; // the page scrolls
        event.preventDefault();
        this.view.zoomAt(...at(event), Math.exp(-event.deltaY / 400));
        this.draw();
      }, { passive: false });
      this.ground.addEventListener("pointerdown", (event) => {
        this.ground.focus({ preventScroll: true });
        this.ground.setPointerCapture(event.pointerId);
        fingers.set(event.pointerId, at(event));
        travelled = 0;
      });
      this.ground.addEventListener("pointermove", (event) => {
        if (!fingers.has(event.pointerId)) return;
        travelled += this.drag(fingers, event.pointerId, at(event));
      });
      const up = (event) => {
        if (fingers.delete(event.pointerId) && travelled < 6 && event.type === "pointerup") this.pick(...at(event));
      };
      this.ground.addEventListener("pointerup", up);
      this.ground.addEventListener("pointercancel", up);
      this.ground.addEventListener("dblclick", () => { this.view.reset(); this.draw(); });
    }

    /** One finger moves the ground, two zoom it; returns how far the finger went. [px] */
    drag(fingers, id, to) {
      const from = fingers.get(id);
      const others = [...fingers].filter(([other]) => other !== id).map(([, place]) => place);
      fingers.set(id, to);
      const step = [to[0] - from[0], to[1] - from[1]];
      if (others.length) {
        const distance = (place) => Math.hypot(place[0] - others[0][0], place[1] - others[0][1]);
        this.view.zoomAt((to[0] + others[0][0]) / 2, (to[1] + others[0][1]) / 2, distance(to) / Math.max(distance(from), 1));
      } else if (this.view.zoom > 1) {
        this.view.moved = [this.view.moved[0] + step[0], this.view.moved[1] + step[1]];
      }
      this.draw();
      return Math.hypot(...step);
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "TEXTAREA"].includes(event.target.tagName)) return;
      const frames = event.shiftKey ? 10 : 1;
      const actions = {
        " ": () => this.toggle(),
        ArrowLeft: () => this.stepFrames(-frames),
        ArrowRight: () => this.stepFrames(frames),
        ArrowUp: () => this.changeSpeed(1),
        ArrowDown: () => this.changeSpeed(-1),
        Home: () => this.seek(0),
        End: () => this.seek(this.flight.end),
        "+": () => this.zoomBy(1.4),
        "-": () => this.zoomBy(1 / 1.4),
        "0": () => this.zoomBy(0),
        Escape: () => this.select(-1),
      };
      if (!actions[event.key] || (event.key === " " && event.target.tagName === "BUTTON")) return;
      event.preventDefault();
      actions[event.key]();
    }

    zoomBy(factor) {
      if (factor) this.view.zoomAt(this.view.size[0] / 2, this.view.size[1] / 2, factor); else this.view.reset();
      this.draw();
    }

    changeSpeed(by) {
      const speed = this.part("speed");
      speed.selectedIndex = Math.min(SPEEDS.length - 1, Math.max(0, speed.selectedIndex + by));
    }

    stepFrames(by) {
      this.pause();
      const frame = this.flight.frameAt(this.now) + by;
      this.seek(this.flight.time(Math.min(this.flight.nFrames - 1, Math.max(0, frame))));
    }

    seekOnCourse(event) {
      const share = event.offsetX / this.course.clientWidth;
      this.seek(Math.min(1, Math.max(0, share)) * this.flight.end);
    }

    seek(time) {
      this.now = Math.min(this.flight.end, Math.max(0, time));
      this.following = this.live && this.now >= this.flight.end;
      this.draw();
    }

    toggle() { if (this.playing) this.pause(); else this.play(); }

    play() {
      if (this.now >= this.flight.end && !this.live) this.now = 0;
      this.playing = true;
      this.following = this.live && this.now >= this.flight.end;
      this.showPlaying();
      this.before = performance.now();
      requestAnimationFrame((moment) => this.advance(moment));
    }

    pause() {
      this.playing = false;
      this.following = false;
      this.showPlaying();
    }

    showPlaying() {
      const button = this.part("play");
      button.textContent = this.playing ? "❚❚" : "▶";
      button.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    }

    advance(moment) {
      if (!this.playing) return;
      const passed = Math.min(0.25, Math.max(0, (moment - this.before) / 1000));
      this.before = moment;
      this.now = this.following ? this.flight.end : Math.min(this.flight.end, this.now + passed * Number(this.part("speed").value));
      if (this.now >= this.flight.end && this.live) this.following = true;
      this.draw();
      if (this.now >= this.flight.end && !this.live) this.pause();
      else requestAnimationFrame((next) => this.advance(next));
    }

    /** Select the drone nearest to a pixel, none if none is near. */
    pick(px, py) {
      let [nearest, least] = [-1, REACH_PX];
      for (let r = 0; r < this.flight.n; r++) {
        const [x, y] = this.place(r);
        const distance = Math.hypot(this.view.x(x) - px, this.view.y(y) - py);
        if (distance < least) [nearest, least] = [r, distance];
      }
      this.select(nearest);
    }

    select(agent) {
      this.selected = agent;
      this.part("who").value = agent;
      this.draw();
    }

    // -- what is drawn

    resize() {
      const { clientWidth: mapWidth, clientHeight: mapHeight } = this.ground.parentElement;
      const ratio = devicePixelRatio || 1;
      for (const [canvas, width, height] of [[this.ground, mapWidth, mapHeight], [this.course, this.course.clientWidth, this.course.clientHeight]]) {
        canvas.width = Math.max(1, Math.round(width * ratio));
        canvas.height = Math.max(1, Math.round(height * ratio));
        canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
      }
      this.size = [mapWidth, mapHeight];
      this.draw();
    }

    /** Place of a drone now, between two frames. */
    place(r) {
      const { frame, part } = this.moment;
      const next = Math.min(frame + 1, this.flight.nFrames - 1);
      return ["x_m", "y_m"].map((name) => {
        const from = this.flight.value(name, frame, r);
        return from + part * (this.flight.value(name, next, r) - from);
      });
    }

    setMoment() {
      const frame = this.flight.frameAt(this.now);
      const next = Math.min(frame + 1, this.flight.nFrames - 1);
      const span = this.flight.time(next) - this.flight.time(frame);
      this.moment = { frame, part: span > 0 ? Math.min(1, Math.max(0, (this.now - this.flight.time(frame)) / span)) : 0 };
    }

    draw() {
      if (!this.flight.nFrames || !this.size || this.size[0] < 2) return;
      const context = this.ground.getContext("2d");
      this.setMoment();
      const { frame, part } = this.moment;
      const tick = this.flight.tick.array[frame];
      const layer = this.layers[this.part("layer").value];
      layer.moveTo(tick, tick + part * (this.flight.tick.array[Math.min(frame + 1, this.flight.nFrames - 1)] - tick));
      this.view.fit(...this.size);
      context.clearRect(0, 0, ...this.size);
      drawGround(context, this.view, layer, this.flight.head);
      if (this.part("cells").checked) this.drawCells(context, tick);
      this.drawTrails(context);
      if (this.part("radio").checked) this.drawLinks(context);
      this.drawGoals(context);
      this.drawDrones(context);
      drawScale(context, this.view);
      drawKey(context, this.view, layer);
      this.drawCourse();
      this.showNumbers();
      this.drawn += 1;
    }

    colour(r) { return this.flight.n <= MANY_AGENTS ? COLOURS[r % COLOURS.length] : COLOURS[0]; }

    /** Cells of the assignment as they were last divided, within the field. */
    drawCells(context, tick) {
      const division = this.flight.cells.findLast((cells) => cells.tick <= tick);
      if (!division) return;
      context.save();
      outline(context, this.view, this.flight.head.boundary_m);
      context.clip();
      context.strokeStyle = ink("--ink");
      context.lineWidth = 1;
      division.corners.forEach((corners, r) => {
        if (!corners.length) return;
        outline(context, this.view, corners);
        context.fillStyle = this.colour(r) + (r === this.selected ? "66" : this.flight.n <= MANY_AGENTS ? "22" : "00");
        context.fill();
        context.globalAlpha = 0.6;
        context.stroke();
        context.globalAlpha = 1;
      });
      context.restore();
    }

    drawTrails(context) {
      const { frame } = this.moment;
      const share = Number(this.part("trail").value);
      const frames = Math.min(frame, Math.ceil(share * this.flight.nFrames));
      if (!frames) return;
      const stride = Math.ceil(frames * this.flight.n / TRAIL_POINTS);
      const [xs, ys, n] = [this.flight.columns.get("x_m").array, this.flight.columns.get("y_m").array, this.flight.n];
      context.lineJoin = "round";
      for (let r = 0; r < n; r++) {
        context.globalAlpha = r === this.selected ? 1 : n <= MANY_AGENTS ? 0.75 : 0.4;
        context.lineWidth = r === this.selected ? 2.4 : n <= MANY_AGENTS ? 1.6 : 0.9;
        context.strokeStyle = r === this.selected ? ink("--accent") : this.colour(r);
        context.beginPath();
        context.moveTo(...this.place(r).map((v, i) => (i ? this.view.y(v) : this.view.x(v))));
        for (let f = frame - (frame % stride); f >= frame - frames; f -= stride) {
          context.lineTo(this.view.x(xs[f * n + r]), this.view.y(ys[f * n + r]));
        }
        context.stroke();
      }
      context.globalAlpha = 1;
    }

    /** Who hears whom; where these are too many to tell apart, only who hears the selected drone. */
    drawLinks(context) {
      const { pair, first, last } = this.flight.links;
      const { frame } = this.moment;
      const n = this.flight.n;
      let heard = [];
      for (let i = 0; i < pair.length && first.array[i] <= frame; i++) if (last.array[i] >= frame) heard.push(pair.array[i]);
      this.contacts = heard.length;
      if (heard.length > MOST_LINKS) heard = heard.filter((code) => Math.floor(code / n) === this.selected || code % n === this.selected);
      context.beginPath();
      for (const code of heard) {
        const [a, b] = [this.place(Math.floor(code / n)), this.place(code % n)];
        context.moveTo(this.view.x(a[0]), this.view.y(a[1]));
        context.lineTo(this.view.x(b[0]), this.view.y(b[1]));
      }
      context.strokeStyle = ink("--radio");
      context.lineWidth = 1;
      context.globalAlpha = heard.length > 1000 ? 0.12 : heard.length > 300 ? 0.25 : 0.7;
      context.setLineDash(heard.length > 1000 ? [] : [3, 3]);
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 1;
    }

    drawGoals(context) {
      const all = this.part("goals").checked;
      context.strokeStyle = ink("--ink");
      context.lineWidth = 1;
      for (let r = 0; r < this.flight.n; r++) {
        if (!all && r !== this.selected) continue;
        const [x, y] = [this.flight.value("goal_x_m", this.moment.frame, r), this.flight.value("goal_y_m", this.moment.frame, r)];
        if (!Number.isFinite(x)) continue;
        const [px, py] = [this.view.x(x), this.view.y(y)];
        context.beginPath();
        context.moveTo(px - 5, py - 5);
        context.lineTo(px + 5, py + 5);
        context.moveTo(px - 5, py + 5);
        context.lineTo(px + 5, py - 5);
        context.stroke();
      }
    }

    drawDrones(context) {
      const n = this.flight.n;
      const radius = n <= MANY_AGENTS ? 7 : n <= 150 ? 4 : 2.5;
      context.font = "bold 9px system-ui, sans-serif";
      context.textAlign = "center";
      for (let r = 0; r < n; r++) {
        const [x, y] = this.place(r);
        const [px, py] = [this.view.x(x), this.view.y(y)];
        const lost = this.flight.value("fault", this.moment.frame, r) > 0;
        context.beginPath();
        context.arc(px, py, radius, 0, 2 * Math.PI);
        context.fillStyle = lost ? ink("--paper") : this.colour(r);
        context.fill();
        context.lineWidth = lost ? 2 : 1;
        context.strokeStyle = lost ? ink("--bad") : "#ffffff";
        if (lost || n <= 150) context.stroke();
        if (n <= MANY_AGENTS) {
          context.fillStyle = lost ? ink("--bad") : "#ffffff";
          context.fillText(lost ? "×" : r, px, py + 3.2);
        }
      }
      if (this.selected >= 0) this.ring(context, radius);
    }

    ring(context, radius) {
      const [x, y] = this.place(this.selected);
      context.beginPath();
      context.arc(this.view.x(x), this.view.y(y), radius + 4, 0, 2 * Math.PI);
      context.strokeStyle = ink("--accent");
      context.lineWidth = 2.5;
      context.stroke();
    }

    /** Remaining weight over the whole time, with a mark at now and at every event. */
    drawCourse() {
      const [width, height] = [this.course.clientWidth, this.course.clientHeight];
      const context = this.course.getContext("2d");
      const end = Math.max(this.flight.end, 1e-9);
      const x = (time) => time / end * width;
      const y = (share) => 3 + (1 - Math.min(1, share)) * (height - 6);
      const stride = Math.max(1, Math.floor(this.flight.nFrames / (2 * width)));
      context.clearRect(0, 0, width, height);
      context.beginPath();
      context.moveTo(0, height);
      for (let f = 0; f < this.flight.nFrames; f += stride) context.lineTo(x(this.flight.time(f)), y(this.flight.remaining.array[f]));
      context.lineTo(width, y(this.flight.remaining.array[this.flight.nFrames - 1]));
      context.lineTo(width, height);
      context.fillStyle = ink("--accent");
      context.globalAlpha = 0.25;
      context.fill();
      context.globalAlpha = 1;
      context.fillStyle = ink("--bad");
      for (const { agent, tick } of this.flight.head.lost || []) context.fillRect(x(tick * this.flight.head.time_step_s) - 1, 0, 2, height);
      context.fillStyle = ink("--warn");
      for (const [tick] of this.flight.head.events || []) context.fillRect(x(tick * this.flight.head.time_step_s), height - 5, 1, 5);
      context.fillStyle = ink("--ink");
      context.fillRect(x(this.now) - 1, 0, 2, height);
    }

    showNumbers() {
      const { frame } = this.moment;
      const { head } = this.flight;
      this.part("clock").textContent = `${clock(this.now)} of ${clock(this.flight.end)}`;
      this.part("scrub").value = this.now;
      this.part("scrub").setAttribute("aria-valuetext", clock(this.now));
      this.part("left").textContent = `${(100 * this.flight.remaining.array[frame]).toFixed(2)} %`;
      const after = this.flight.tick.array[frame] - head.n_steps; // the way home of vehicles that flew
      this.part("tick").textContent = after > 0 ? `${head.n_steps} of ${head.n_steps}, + ${after}` : `${head.n_steps + after} of ${head.n_steps}`;
      this.part("contacts").textContent = this.part("radio").checked ? this.contacts : "–";
      this.section.dataset.frame = frame;
      this.showState(frame);
    }

    showState(frame) {
      const body = this.part("state");
      if (this.selected < 0) {
        body.replaceChildren();
        this.part("hint").hidden = false;
        return;
      }
      this.part("hint").hidden = true;
      const rows = [["model", this.flight.head.models[this.selected], ""]];
      for (const column of this.flight.head.columns) rows.push([column.label, this.told(column, frame), column.unit]);
      this.fillTable(body, rows);
    }

    fillTable(body, rows) {
      while (body.rows.length > rows.length) body.deleteRow(-1);
      while (body.rows.length < rows.length) {
        const row = body.insertRow();
        row.append(document.createElement("th"), document.createElement("td"), document.createElement("td"));
      }
      rows.forEach((texts, i) => texts.forEach((text, k) => {
        const cell = body.rows[i].cells[k];
        if (cell.textContent !== String(text)) cell.textContent = text;
      }));
    }

    /** A value of the selected drone, in words where a number stands for words. */
    told(column, frame) {
      const value = this.flight.value(column.name, frame, this.selected);
      if (column.name === "active") return value > 0 ? "yes" : "no";
      if (column.name === "fault") return value > 0 ? this.flight.head.faults[value] || value : "none";
      if (column.name === "phase") return this.flight.head.phases[value] || "–";
      return short(value);
    }
  }

  // ---- a running mission -------------------------------------------------------------------------------------------

  async function follow(section) {
    const source = new EventSource("ticks");
    const say = (text) => { section.querySelector(".note").textContent = text; };
    let player;
    let begun; // settles once the head is read: frames that come meanwhile wait
    source.addEventListener("begin", (event) => {
      if (begun) location.reload(); // the connection was made anew, and all is told again
      begun = beginLive(section, JSON.parse(event.data)).then((made) => { player = made; });
    });
    source.addEventListener("frames", async (event) => {
      await begun;
      const { taken, frames } = JSON.parse(event.data);
      player.flight.appendTaken(taken);
      for (const frame of frames) takeFrame(player.flight, frame);
      showLive(player);
    });
    source.addEventListener("end", async (event) => {
      source.close();
      await begun;
      player.live = false;
      player.following = false;
      section.dataset.ended = "yes";
      say(`The mission has ended: ${event.data}. This page keeps what it saw.`);
      player.seek(player.flight.end);
    });
    source.onerror = () => { if (source.readyState !== EventSource.CLOSED) say("No connection to the mission; trying again."); };
    source.onopen = () => say("Following the running mission.");
  }

  async function beginLive(section, content) {
    const flight = new Flight(content.head);
    await readSamples(flight, async (name) => unpack(content.streams[name]));
    const player = new Player(section, flight);
    section.player = player;
    player.live = true;
    player.part("speed").value = 1;
    player.play();
    document.title = `${content.head.name}, live`;
    for (const element of document.querySelectorAll(".mission-name, .panel h3:first-child")) element.textContent = content.head.name;
    return player;
  }

  function takeFrame(flight, frame) {
    if (flight.nFrames && frame.tick <= flight.tick.array[flight.nFrames - 1]) return; // known from before
    flight.append(frame, new Float32Array(bytesOf(frame.columns).buffer));
  }

  function showLive(player) {
    player.fillScrub();
    if (player.following) player.now = player.flight.end;
    if (!player.playing || player.flight.nFrames === 1) player.resize();
  }

  // ---- the page ----------------------------------------------------------------------------------------------------

  /** Tabs of a page: one part is shown, all are printed but the replay. */
  function listenToTabs() {
    const tabs = [...document.querySelectorAll("[role=tab]")];
    const show = (shown) => {
      for (const tab of tabs) {
        const chosen = tab === shown;
        tab.setAttribute("aria-selected", chosen);
        tab.tabIndex = chosen ? 0 : -1;
        document.getElementById(tab.getAttribute("aria-controls")).classList.toggle("away", !chosen);
      }
      openPlayers();
    };
    tabs.forEach((tab, i) => {
      tab.addEventListener("click", () => show(tab));
      tab.addEventListener("keydown", (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!by) return;
        const next = tabs[(i + by + tabs.length) % tabs.length];
        show(next);
        next.focus();
      });
    });
  }

  function listenToTheme() {
    const button = document.querySelector(".theme");
    if (!button) return;
    button.addEventListener("click", () => {
      const root = document.documentElement;
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      document.dispatchEvent(new Event("themechange"));
    });
  }

  /** Players unpack their streams when they are first seen. */
  function openPlayers() {
    for (const section of document.querySelectorAll(".player:not([data-opened])")) {
      if (!section.offsetParent) continue;
      section.dataset.opened = "yes";
      openPlayer(section).catch((error) => {
        section.querySelector(".note").textContent = `This browser cannot play it: ${error.message}`;
        console.error(error);
      });
    }
  }

  async function openPlayer(section) {
    if (section.dataset.run === "live") return follow(section);
    section.player = new Player(section, await flightInPage(section.dataset.run));
    return section.player;
  }

  listenToTabs();
  listenToTheme();
  openPlayers();
})();
