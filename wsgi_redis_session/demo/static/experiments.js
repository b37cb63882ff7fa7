// What each button does: requests of this browser, in an order that is always the same.

const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, isCalm ? 0 : milliseconds));
}

function post(path, fields = {}) {
  return fetch(path, { method: "POST", body: new URLSearchParams(fields) });
}

async function ask(path, fields) {
  const response = await post(path, fields);
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response.json();
}

function anyOf(values) {
  return values[Math.floor(Math.random() * values.length)];
}

// Where requests wait for each other; see gates.py.
class Gate {
  constructor() {
    this.name = crypto.randomUUID();
  }

  gathered(number) {
    return ask("/gate/gather", { gate: this.name, number });
  }

  open() {
    return ask("/gate/open", { gate: this.name });
  }
}

// One column of an experiment.
export class Lane {
  constructor(element) {
    this.element = element;
    this.name = element.dataset.lane;
  }

  clear() {
    this.element.classList.remove("won", "failed");
    for (const step of this.element.querySelectorAll("[data-step]")) {
      step.className = "";
      step.querySelector("output").replaceChildren();
    }
    this.element.querySelector(".verdict").textContent = "";
  }

  async step(name, work) {
    const step = this.element.querySelector(`[data-step="${name}"]`);
    step.className = "running";
    const [result] = await Promise.all([work(), pause(550)]);
    step.className = "done";
    return result;
  }

  note(name, ...content) {
    this.element.querySelector(`[data-step="${name}"] output`).replaceChildren(...content);
  }

  verdict(isGood, text) {
    this.element.classList.add(isGood ? "won" : "failed");
    this.element.querySelector(".verdict").textContent = text;
  }

  send(act, fields) {
    return ask(`/try/${this.name}/${act}`, fields);
  }

  // What the next page sees.
  async look(names = []) {
    const seen = await this.step("look", () => this.send("look"));
    const values = names.map((name) => `${name}: ${seen.values[name] ?? "lost"}`);
    this.note("look", names.length ? values.join(", ") : (seen.user ?? "a stranger"));
    return seen;
  }
}

// Pairs as a list: what it is, and what becomes of it.
function listOf(pairs) {
  const list = document.createElement("ul");
  for (const [what, answer, works] of pairs) {
    const item = document.createElement("li");
    const outcome = document.createElement("b");
    outcome.textContent = answer;
    item.className = works ? "works" : "";
    item.append(what, outcome);
    list.append(item);
  }
  return list;
}

// Whoever is here, or else Ada.
async function loggedIn(lane) {
  const { user } = await lane.step("login", async () => {
    const seen = await lane.send("look");
    return seen.user ? seen : lane.send("login", { user: "Ada" });
  });
  lane.note("login", user);
  return user;
}

async function twoRequests(lane) {
  const wanted = {
    colour: anyOf(["teal", "amber", "plum", "coral"]),
    size: anyOf(["small", "medium", "large"]),
  };
  const names = Object.keys(wanted);
  const gate = new Gate();
  await lane.send("forget");
  const sent = Promise.all(names.map(
    (name) => lane.send("setting", { name, value: wanted[name], gate: gate.name }),
  ));
  await lane.step("load", () => gate.gathered(2));
  await lane.step("change", () => pause(0));
  lane.note("change", names.map((name) => `${name}: ${wanted[name]}`).join(", "));
  await lane.step("save", () => Promise.all([gate.open(), sent]));
  const { values } = await lane.look(names);
  const lost = names.filter((name) => values[name] !== wanted[name]);
  const text = lost.length ? `${lost.join(" and ")} is lost` : "Both are there";
  lane.verdict(!lost.length, text);
}

async function logout(lane) {
  const gate = new Gate();
  await lane.send("forget");
  await lane.step("login", () => lane.send("login", { user: "Ada" }));
  const slow = lane.send("draft", { gate: gate.name });
  await lane.step("load", () => gate.gathered(1));
  await lane.step("logout", () => lane.send("logout"));
  await lane.step("late", () => Promise.all([gate.open(), slow]));
  const { user } = await lane.look();
  const text = user ? `Nobody asked for it, but ${user} is logged in again` :
    "Logged out it stays; what came late is dropped, and reported as lost";
  lane.verdict(!user, text);
}

async function login(lane) {
  const gate = new Gate();
  await lane.send("logout");
  await lane.send("setting", { name: "colour", value: "teal" });
  const slow = lane.send("poll", { gate: gate.name });
  await lane.step("load", () => gate.gathered(1));
  await lane.step("login", () => lane.send("login", { user: "Ada" }));
  await lane.step("late", () => Promise.all([gate.open(), slow]));
  const { user } = await lane.look();
  const text = user ? `Still logged in as ${user}` :
    "Logged out: the late answer has brought the old cookie back";
  lane.verdict(Boolean(user), text);
}

async function forged(lane) {
  const attempts = await lane.step("try", () => ask("/forge"));
  lane.note("try", listOf(attempts.map(({ what, user, works }) => (
    [what, works ? (user || "you, a guest") : "a stranger", works]
  ))));
  const fooled = attempts.slice(1).filter((attempt) => attempt.works);
  lane.verdict(!fooled.length, "Only your own cookie is you");
}

async function devices(lane) {
  const user = await loggedIn(lane);
  const names = ["phone", "tablet"];
  const others = await lane.step("others", () => Promise.all(
    names.map((device) => ask("/device/login", { device })),
  ));
  const found = await lane.step("list", () => ask("/device/list"));
  lane.note("list", listOf(found.map(({ name, address, current }) => (
    [name, current ? `${address}, this one` : address, true]
  ))));
  const { ended } = await lane.step("elsewhere", () => ask("/device/elsewhere"));
  lane.note("elsewhere", `${ended} sessions ended`);
  const seen = await lane.step("look", () => Promise.all([
    lane.send("look"), ...others.map(({ cookie }) => ask("/device/look", { cookie })),
  ]));
  lane.note("look", listOf(seen.map((each, index) => (
    [["this one", ...names][index], each.user ?? "a stranger", Boolean(each.user)]
  ))));
  const isRight = seen[0].user === user && !seen[1].user && !seen[2].user;
  lane.verdict(isRight, isRight ? `${user} is logged in here and nowhere else` : "Somebody is still there");
}

async function outage(lane) {
  const user = await loggedIn(lane);
  await lane.step("stop", () => ask("/server/stop"));
  const away = await lane.step("ask", () => post("/try/ours/look"));
  lane.note("ask", `${away.status} ${away.statusText}`);
  await lane.step("start", async () => {
    await ask("/server/start");
    // A server that did not answer is left alone for a second.
    for (let tries = 0; tries < 30; tries += 1) {
      if ((await post("/try/ours/look")).ok) return;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  });
  const seen = await lane.look();
  const isRight = away.status === 503 && seen.user === user;
  lane.verdict(isRight, isRight ? `503 while it was away, and still ${user}` :
    `${away.status}, and then ${seen.user ?? "a stranger"}`);
}

export const EXPERIMENTS = {
  "two-requests": twoRequests, logout, login, forged, devices, outage,
};
