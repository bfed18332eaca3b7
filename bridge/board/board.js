// A simple board: the events that the user may see, newest first, and counts of what is open. Uses docs/protocol.md only.
// Names come from devices, so text goes through textContent only.
"use strict";

const MAX_ROWS = 200; // of the table; older events remain in the journal
const MAX_NAMED = 10; // devices without effect; `floor watch line` lists all
const PING_MS = 1500; // of silence before a ping, which a live server answers
const SILENCE_MS = 4000; // then the board turns stale: within the 5 s of promise P5
const LOST_MS = 12000; // then the board reconnects: a half-open connection is never reported as closed
const CHECK_MS = 250;
const STOP = {
  1000: "the server closed the connection",
  1008: "the token was refused",
  1009: "the server refused a frame that was too large",
  4401: "the token has expired: enter a new one",
  4403: "access was revoked",
};
const SUBSCRIPTION = { id: "board", subscription_type: "line", target_id: "all" };
const ENDED = new Set(["closed", "confirmed", "resolved", "cancelled", "completed", "cleared"]);
const PRIORITIES = new Set(["critical", "high", "medium", "low"]);
const DETAILS = [
  "status", "cause", "andon_type", "level", "window", "oee", "unknown_seconds", "unknown_count",
  "good_count", "reject_count", "product", "job_id",
  "parameter", "value", "unit", "to_product", "outcome", "reason_code", "description", "duration_seconds",
];

const byId = (id) => document.getElementById(id);
const positions = {}; // stream -> {epoch, offset}: the only thing to resume from
const current = new Map(); // state key -> event
let seen = new Set(); // ids since the last position, which a resume may repeat
let pending = []; // events not yet shown, oldest first
let token = null;
let socket = null;
let pause = 500;
let retry = null;
let retryAt = 0; // time of the next attempt
let receivedAt = 0; // time of the last frame
let pingedAt = 0;
let drawing = false;
let link = { live: false, text: "not connected" }; // as last reported
let refused = false; // the board must not look live then: no calls shown does not mean no calls

function showLink(live, text) {
  link = { live, text };
  show(link);
}

function show({ live, text }) {
  document.body.classList.toggle("stale", !live || refused);
  byId("link").textContent = live && refused ? "no events: this token has no read access" : text;
}

function connect() {
  clearTimeout(retry);
  retry = null;
  const url = new URL("ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  url.hash = url.search = "";
  const opened = new WebSocket(url, ["floor.v1"]);
  socket = opened;
  refused = false;
  receivedAt = performance.now();
  showLink(false, "connecting");
  opened.onopen = () => opened.send(JSON.stringify({ type: "auth", token }));
  opened.onmessage = (message) => {
    if (opened !== socket) return;
    const frames = JSON.parse(message.data);
    for (const frame of Array.isArray(frames) ? frames : [frames]) processFrame(frame);
    receivedAt = performance.now();
    show(link);
  };
  opened.onclose = (closed) => {
    if (opened === socket) onClosed(closed);
  };
}

function watchSilence() {
  if (!socket) return retry && countDown();
  const now = performance.now();
  if (now - receivedAt > LOST_MS) {
    socket.close(); // the close event may come hours later, and is ignored
    return onClosed({ code: 1006, reason: "" });
  }
  if (now - receivedAt > SILENCE_MS) show({ live: false, text: "the server is silent" });
  if (socket.subscribed && now - Math.max(receivedAt, pingedAt) > PING_MS) {
    pingedAt = now;
    send({ type: "ping" });
  }
}

function onClosed({ code, reason }) {
  socket = null;
  if (code in STOP) {
    showLink(false, STOP[code]);
    sessionStorage.removeItem("token");
    byId("entry").hidden = false;
    return;
  }
  const wait = retryAfter(reason) ?? pause * (0.5 + Math.random() / 2);
  pause = Math.min(pause * 2, 30000);
  retryAt = performance.now() + wait;
  clearTimeout(retry);
  retry = setTimeout(connect, wait);
  countDown();
}

function countDown() {
  const seconds = Math.max(1, Math.ceil((retryAt - performance.now()) / 1000));
  showLink(false, `connection lost: reconnecting in ${seconds} s`);
}

function retryAfter(reason) {
  try {
    const seconds = JSON.parse(reason).retry_after;
    return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds, 300) * 1000 : null;
  } catch {
    return null; // no reason given
  }
}

function send(body) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(body));
}

function processFrame(frame) {
  if ("offset" in frame && "subject" in frame) return processEvent(frame);
  switch (frame.type) {
    case "auth_ok":
      pause = 500;
      byId("entry").hidden = true;
      byId("user").textContent = `${frame.user_id} (${frame.roles.join(", ")})`;
      byId("simulated").hidden = !frame.simulated;
      byId("notice").textContent = "";
      if (socket.subscribed && refused) return send({ type: "subscribe", ...SUBSCRIPTION });
      if (socket.subscribed) return; // a refresh in place: the subscription continues
      socket.subscribed = true;
      showLink(false, "connected, waiting for the link state");
      send({ type: "options", batch: true, batch_ms: 100 });
      if (Object.keys(positions).length) send({ type: "resume", subscriptions: [SUBSCRIPTION], since: positions });
      else send({ type: "subscribe", ...SUBSCRIPTION });
      return;
    case "subscription_confirmed":
      refused = false;
      return;
    case "snapshot_begin":
      current.clear();
      return draw();
    case "position":
      Object.assign(positions, frame.streams);
      seen = new Set();
      return;
    case "link":
      return processLink(frame);
    case "revoked":
      // What was revoked must not stay on the board: start over with what is left.
      return forget();
    case "expiring":
      byId("entry").hidden = false;
      byId("notice").textContent = "The token expires within a minute: enter a new one.";
      return;
    case "error":
      byId("notice").textContent = `${frame.code}: ${frame.message}`;
      refused ||= frame.id === SUBSCRIPTION.id;
  }
}

function processLink(frame) {
  const stale = Object.entries(frame.streams).filter(([, stream]) => !stream.live);
  if (!frame.broker) return showLink(false, "the bridge has lost the broker");
  if (stale.length) return showLink(false, `not live: ${stale.map(([name]) => name).join(", ")}`);
  showLink(true, "live");
}

function forget() {
  current.clear();
  pending = [];
  byId("events").replaceChildren();
  draw();
  send({ type: "unsubscribe", id: SUBSCRIPTION.id });
  send({ type: "subscribe", ...SUBSCRIPTION });
}

function processEvent(event) {
  const key = [event.line_id, event.equipment_code, event.category, event.subject].join("/");
  const held = current.get(key);
  const same = held && held.stream === event.stream && held.epoch === event.epoch;
  if (seen.has(event.id) || (same && held.offset >= event.offset)) return;
  seen.add(event.id);
  if (ENDED.has(event.data.status) || event.data.closed || event.data.outcome) current.delete(key);
  else if (!event.data_quality.historical) current.set(key, event);
  pending.push(event);
  if (pending.length > MAX_ROWS) pending = pending.slice(-MAX_ROWS); // a hidden tab draws nothing for hours
  draw();
}

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const body = byId("events");
    body.prepend(...pending.reverse().map(row));
    pending = [];
    while (body.rows.length > MAX_ROWS) body.deleteRow(-1);
    drawCounts();
  });
}

function row(event) {
  const line = document.createElement("tr");
  if (PRIORITIES.has(event.priority)) line.className = event.priority;
  line.dataset.id = event.id;
  const where = [event.area, event.line_id, event.equipment_code].filter(Boolean).join(" / ");
  const what = DETAILS.filter((name) => event.data[name] != null).map((name) => `${name} ${shown(event.data[name])}`);
  const quality = event.data_quality;
  for (const name of ["ineffective", "estimated", "unplaced"]) if (quality[name]) what.push(name);
  for (const name of ["pieces_held", "gap"]) if (quality[name]) what.push(`${name} ${quality[name]}`);
  if (event.subject !== "_") what.unshift(event.subject);
  if (quality.stale) {
    line.classList.add("doubtful"); // P5: nothing stale looks live
    what.unshift("STALE");
  }
  const time = new Date(event.timestamp).toLocaleTimeString();
  for (const text of [time, where, event.type, event.priority, what.join(" · ")]) {
    line.insertCell().textContent = text;
  }
  return line;
}

function shown(value) {
  return typeof value === "number" ? String(Math.round(value * 1000) / 1000) : String(value);
}

function ineffectiveDevices() {
  const statuses = [...current.values()].filter((event) => event.category === "line" && event.data_quality.ineffective);
  const machines = statuses.filter((event) => event.equipment_code);
  const lines = new Set(machines.map((event) => event.line_id));
  // a line's status has the flag of the machine that decides it: the line is named where no machine of it is
  const devices = statuses.filter((event) => event.equipment_code || !lines.has(event.line_id));
  return devices.map((event) => [event.line_id, event.equipment_code].filter(Boolean).join(" / ")).sort();
}

function drawCounts() {
  const counts = new Map([["open calls", 0], ["open downtimes", 0], ["jobs running", 0], ["active alerts", 0]]);
  const add = (name) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const { category, data, data_quality: quality } of current.values()) {
    if (category === "line" && data.scope === "line") add(`lines ${data.status}${quality.stale ? ", stale" : ""}`);
    else if (category === "andon") add("open calls");
    else if (category === "downtime") add("open downtimes");
    else if (category === "quality") add("active alerts");
    else if (category === "job" && data.status === "in_progress") add("jobs running");
    else if (category === "changeover") add("changeovers");
  }
  const boxes = [...counts].map(([name, count]) => tile(name, count));
  const devices = ineffectiveDevices();
  if (devices.length) boxes.push(tile("devices without effect", devices.length, devices));
  byId("counts").replaceChildren(...boxes);
}

function tile(name, count, named = []) {
  const box = document.createElement("div");
  for (const [tag, text] of [["dt", name], ["dd", count]]) {
    box.append(document.createElement(tag));
    box.lastChild.textContent = text;
  }
  if (named.length) {
    const more = named.length - MAX_NAMED;
    const names = document.createElement("small");
    names.textContent = named.slice(0, MAX_NAMED).join(", ") + (more > 0 ? ` and ${more} more` : "");
    box.children[1].append(names);
  }
  return box;
}

function begin(newToken) {
  token = newToken;
  sessionStorage.setItem("token", token); // of this tab only: a wall board survives a reload
  if (socket?.readyState === WebSocket.OPEN) return send({ type: "auth", token }); // refresh in place
  connect();
}

byId("entry").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  const entered = byId("token").value.trim();
  byId("token").value = "";
  byId("entry").hidden = true;
  begin(entered);
});

function beginFromAddress() {
  const fromAddress = new URLSearchParams(location.hash.slice(1)).get("token");
  if (fromAddress) history.replaceState(null, "", location.pathname + location.search); // out of the address bar
  const saved = fromAddress ?? sessionStorage.getItem("token");
  if (saved) begin(saved);
}

setInterval(watchSilence, CHECK_MS);
addEventListener("hashchange", beginFromAddress);
beginFromAddress();
