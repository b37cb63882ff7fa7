// Keeps the page as it is in the store, and runs the experiments.
import { EXPERIMENTS, Lane } from "/experiments.js";

const panel = document.querySelector("#panel");
const you = document.querySelector("#you");
const light = document.querySelector("#live");
let asking = false;
let askAgain = false;
let source = null;
let shown = you.innerHTML;

function prints() {
  const entries = panel.querySelectorAll("[data-key]");
  return new Map([...entries].map((entry) => [entry.dataset.key, entry.dataset.print]));
}

function showAway(isAway) {
  panel.classList.toggle("away", isAway);
  light.className = isAway ? "dot off" : "dot on";
  const notice = panel.querySelector(".notice");
  if (isAway && !notice) {
    const text = document.createElement("p");
    text.className = "notice";
    text.setAttribute("role", "status");
    text.textContent = "The store does not answer. This is what was there before.";
    panel.prepend(text);
  } else if (!isAway) {
    notice?.remove();
  }
}

// One request at a time: an answer that comes late would show what is no longer so.
async function refresh() {
  askAgain = asking;
  if (asking) return;
  asking = true;
  try {
    const response = await fetch("/live");
    if (response.ok) show(await response.text());
    showAway(!response.ok);
  } catch {
    showAway(true);
  } finally {
    asking = false;
    if (askAgain) refresh();
  }
}

function show(markup) {
  const fresh = new DOMParser().parseFromString(markup, "text/html");
  showYou(fresh.querySelector("#you").innerHTML);
  const before = prints();
  const top = panel.scrollTop;
  panel.innerHTML = fresh.querySelector("#panel").innerHTML;
  panel.scrollTop = top;
  for (const entry of panel.querySelectorAll("[data-key]")) {
    const isFresh = before.get(entry.dataset.key) !== entry.dataset.print;
    entry.classList.toggle("fresh", isFresh);
  }
}

// Who is filling in a form here is not interrupted.
function showYou(markup) {
  if (markup === shown || you.contains(document.activeElement)) return;
  shown = markup;
  you.innerHTML = markup;
}

// A page that nobody sees holds no connection: browsers have six for a site.
function listen() {
  source?.close();
  source = null;
  if (document.hidden) return;
  source = new EventSource("/events");
  source.addEventListener("change", refresh);
  source.onopen = refresh;
  source.onerror = () => { light.className = "dot off"; };
}

async function run(button) {
  const name = button.dataset.run;
  const buttons = document.querySelectorAll("[data-run]");
  const lanes = [...document.querySelectorAll(`#${name} [data-lane]`)];
  for (const each of buttons) each.disabled = true;
  for (const element of lanes) new Lane(element).clear();
  // One lane after the other, so that the eye can follow, and so that the requests
  // that wait do not take all connections.
  for (const element of lanes) {
    const lane = new Lane(element);
    try {
      await EXPERIMENTS[name](lane);
    } catch (error) {
      lane.verdict(false, `This did not work: ${error.message}`);
    }
    refresh();
  }
  for (const each of buttons) each.disabled = false;
  button.textContent = "Run it again";
  button.focus({ preventScroll: true });
}

async function runAll(button) {
  button.disabled = true;
  for (const each of document.querySelectorAll("[data-run]")) {
    document.getElementById(each.dataset.run).scrollIntoView();
    await run(each);
  }
  button.disabled = false;
}

for (const button of document.querySelectorAll("[data-run]")) {
  button.hidden = false;
  button.addEventListener("click", () => run(button));
}
const all = document.querySelector("#run-all");
all.hidden = false;
all.addEventListener("click", () => runAll(all));
document.addEventListener("visibilitychange", listen);
listen();
