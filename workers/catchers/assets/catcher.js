// Refreshes the part of a page that lives, in place: rows that stay are not touched, new ones glow briefly.
"use strict";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const long = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

function localTimes(root) {
  const now = new Date();
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const today = moment.toDateString() === now.toDateString();
    const near = moment.getFullYear() === now.getFullYear();
    time.textContent = ("full" in time.dataset ? full : today ? clock : near ? day : long).format(moment);
  }
}

function merge(old, fresh) {
  // Rows are moved through another document, which takes the focus from them: remember where it was.
  const focused = document.activeElement;
  const seen = new Map([...old.querySelectorAll("[data-id]")].map((row) => [row.dataset.id, row]));
  const known = seen.size > 0;
  for (const row of fresh.querySelectorAll("[data-id]")) {
    const before = seen.get(row.dataset.id);
    if (before && before.dataset.state === row.dataset.state) {
      before.classList.remove("fresh");
      row.replaceWith(before);
    }
    else if (known && !before) row.classList.add("fresh");
  }
  const scrolled = [...old.querySelectorAll("[data-scroll]")].map((box) => [box.id, box.scrollTop, box.scrollHeight - box.scrollTop - box.clientHeight < 40]);
  old.replaceChildren(...fresh.childNodes);
  for (const [id, top, atEnd] of scrolled) {
    const box = document.getElementById(id);
    if (box) box.scrollTop = atEnd ? box.scrollHeight : top;
  }
  if (focused && focused !== document.activeElement && old.contains(focused)) focused.focus({ preventScroll: true });
}

let etag = null;
let generation = 0;

async function refresh(address, force) {
  const mine = ++generation;
  const answer = await fetch(address, { headers: etag && !force ? { "If-None-Match": etag } : {}, cache: "no-store" });
  if (mine !== generation || answer.status === 304 || !answer.ok) return;
  etag = answer.headers.get("ETag");
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (mine !== generation) return;
  localTimes(next);
  merge(document.getElementById("live"), next.getElementById("live"));
  for (const id of ["count", "clear"]) {
    const here = document.getElementById(id), there = next.getElementById(id);
    if (here && there && here.outerHTML !== there.outerHTML) here.replaceWith(there);
  }
  document.title = next.title;
}

function start() {
  localTimes(document);
  for (const box of document.querySelectorAll("[data-scroll]")) box.scrollTop = box.scrollHeight;

  const search = document.querySelector("form[data-live]");
  let waiting = null;
  search?.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const address = "/?" + new URLSearchParams(new FormData(search));
      history.replaceState(null, "", address);
      refresh(address, true).catch(() => {});
    }, 150);
  });

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (form.dataset.confirm && !confirm(form.dataset.confirm)) event.preventDefault();
    if ("send" in form.dataset) {
      event.preventDefault();
      const body = JSON.stringify(Object.fromEntries(new FormData(form, event.submitter)));
      await fetch(form.dataset.send, { method: "POST", headers: { "Content-Type": "application/json" }, body });
      form.reset();
      refresh(location.href, true).catch(() => {});
    }
  });

  const pause = Number(document.body.dataset.refresh);
  if (pause) setInterval(() => { if (!document.hidden) refresh(location.href, false).catch(() => {}); }, pause);
}

start();
