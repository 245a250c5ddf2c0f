// The chat page: one socket, resumed after a reload; every text from outside goes in through textContent.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const log = byId("log"), draft = byId("draft"), scroll = byId("scroll"), input = byId("text");
  const composer = byId("composer"), problem = byId("problem"), state = byId("state");
  const longest = Number(input.dataset.longest);
  const address = new URL("channels/web/socket", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const ACK_WITHIN = 10_000, WRITING_AT_MOST = 120_000, KEEP_UNANSWERED = 600_000, REMEMBER_TIMES = 200;
  const RATED = ["answer", "quoted", "abstained"];

  // ---- What outlives a reload. Where storage is blocked (some embedded frames) it lives in the page.
  const memory = {};
  const load = (key, otherwise) => {
    try {
      return JSON.parse(localStorage.getItem("sangdam." + key)) ?? otherwise;
    } catch {
      return memory[key] ?? otherwise;
    }
  };
  const save = (key, value) => {
    memory[key] = value;
    try {
      localStorage.setItem("sangdam." + key, JSON.stringify(value));
    } catch { /* kept in memory */ }
  };
  // Messages without an answer so far, oldest first: {id, text, at, state: sending | sent | failed}.
  const outbox = () => load("outbox", []);
  const mark = (id, change) => save("outbox", outbox().map((item) => item.id === id ? { ...item, ...change } : item));
  const timeOf = (id, now) => {
    const times = load("times", {});
    if (!(id in times) && now) {
      times[id] = now;
      save("times", Object.fromEntries(Object.entries(times).slice(-REMEMBER_TIMES)));
    }
    return times[id];
  };
  // crypto.randomUUID exists only on https and localhost.
  const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");

  // ---- Markdown subset: paragraphs, lists, bold, code, web links. Nothing is ever loaded.
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const link = (label, target) => {
    let url;
    try {
      url = new URL(target);
    } catch {
      return label;
    }
    if (!/^https?:$/.test(url.protocol) || url.username || url.password) return label;
    const anchor = element("a", "", label);
    anchor.href = url.href;
    anchor.target = "_blank";
    anchor.rel = "noopener noreferrer nofollow";
    if (label === target) return anchor;
    const both = document.createDocumentFragment();
    both.append(anchor, element("span", "site", ` (${url.host})`));
    return both;
  };
  const INLINE = /\*\*([^*\n]+)\*\*|`([^`\n]+)`|(!?)\[([^\]\n]+)\]\(([^\s)]+)\)|(https?:\/\/[\w\-.~:/?#@!$&'*+,;=%]+)/g;
  const inline = (parent, text) => {
    let end = 0;
    for (const found of text.matchAll(INLINE)) {
      const [all, bold, code, image, label, target, bare] = found;
      parent.append(text.slice(end, found.index));
      end = found.index + all.length;
      if (bold) parent.append(element("strong", "", bold));
      else if (code) parent.append(element("code", "", code));
      else if (label) parent.append(image ? all : link(label, target));
      else {
        const address = bare.replace(/[.,;:!?'*]+$/, "");
        parent.append(link(address, address), bare.slice(address.length));
      }
    }
    parent.append(text.slice(end));
    return parent;
  };
  const rich = (text) => {
    const whole = document.createDocumentFragment();
    let block = null;
    const open = (name) => {
      if (block?.localName !== name) whole.append(block = document.createElement(name));
      return block;
    };
    for (const line of text.split("\n")) {
      const bullet = /^\s*[-*•]\s+(.*)/.exec(line), number = /^\s*(\d{1,3})[.)]\s+(.*)/.exec(line);
      const heading = /^#{1,6}\s+(.*)/.exec(line);
      if (!line.trim()) block = block?.localName === "p" ? null : block;
      else if (bullet) open("ul").append(inline(element("li"), bullet[1]));
      else if (number) {
        const list = open("ol");
        if (!list.children.length) list.start = Number(number[1]);
        list.append(inline(element("li"), number[2]));
      } else if (heading) {
        block = null;
        open("p").append(inline(element("strong"), heading[1]));
        block = null;
      } else {
        const paragraph = open("p");
        if (paragraph.hasChildNodes()) paragraph.append(element("br"));
        inline(paragraph, line);
      }
    }
    return whole;
  };

  // ---- The log
  const clock = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "numeric", minute: "2-digit" });
  const stamp = (message, at) => {
    if (!at) return;
    const time = message.querySelector("time");
    time.dateTime = new Date(at).toISOString();
    time.textContent = clock.format(at);
  };
  const find = (id) => log.querySelector(`[data-id="${CSS.escape(id)}"]`);
  let follow = true;
  const toEnd = () => { scroll.scrollTop = scroll.scrollHeight; };
  const settle = () => {
    if (follow) toEnd();
    byId("latest").hidden = follow;
  };
  scroll.addEventListener("scroll", () => {
    follow = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
    if (follow) byId("latest").hidden = true;
  }, { passive: true });
  byId("latest").addEventListener("click", () => { follow = true; settle(); });
  new ResizeObserver(() => { if (follow) toEnd(); }).observe(scroll);

  const mine = (id, text, at) => {
    const message = byId("mine").content.cloneNode(true).firstElementChild;
    message.dataset.id = id;
    message.querySelector(".bubble").textContent = text;
    message.querySelector(".retry").addEventListener("click", () => { retry(id); });
    stamp(message, at);
    return message;
  };
  const showStatus = (item) => {
    const message = find(item.id);
    if (!message) return;
    const status = message.querySelector(".status");
    status.textContent = status.dataset[item.state] ?? "";
    status.classList.toggle("failed", item.state === "failed");
    message.querySelector(".retry").hidden = item.state !== "failed";
  };
  const theirs = (reply, at) => {
    const message = byId("theirs").content.cloneNode(true).firstElementChild;
    const part = (selector) => message.querySelector(selector);
    message.dataset.id = reply.id;
    message.dataset.kind = reply.kind;
    part(".words").append(rich(reply.text));
    if (reply.author) {
      message.classList.add("person");
      part(".mark").textContent = [...reply.author][0];
      part(".author").textContent = `${reply.author} ${part(".author").dataset.person}`;
    }
    for (const source of reply.sources) {
      const item = element("li");
      const heading = source.heading.replaceAll(" > ", " › ");
      item.append(element("span", "heading", heading || source.document));
      if (heading) item.append(element("span", "document", source.document));
      part(".sources ul").append(item);
    }
    part(".sources").hidden = !reply.sources.length;
    part(".sources .number").textContent = reply.sources.length;
    for (const choice of reply.choices) {
      const button = element("button", "", choice.label);
      button.type = "button";
      button.addEventListener("click", () => say(choice.text));
      part(".choices").append(button);
    }
    part(".choices").hidden = !reply.choices.length;
    part(".feedback").hidden = !RATED.includes(reply.kind);
    part(".feedback").addEventListener("click", (event) => vote(reply.id, part(".feedback"), event.target.closest("button")));
    stamp(message, at);
    return message;
  };
  const retry = (id) => {
    mark(id, { state: "sending" });
    showStatus({ id, state: "sending" });
    transmit(id);
  };
  const vote = (about, group, pressed) => {
    if (!pressed || !emit({ type: "action", id: newId(), kind: "feedback", value: pressed.value, about })) return;
    for (const button of group.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button === pressed));
    group.querySelector(".thanks").textContent = group.querySelector(".thanks").dataset.text;
  };

  // ---- The reply being written: seen, but read out only when it is finished
  let latest = null, giveUp = 0;
  const writing = (text) => {
    clearTimeout(giveUp);
    giveUp = setTimeout(quiet, WRITING_AT_MOST);
    if (latest === null) requestAnimationFrame(draw);
    latest = text;
    byId("writing").textContent ||= byId("writing").dataset.text;
  };
  const draw = () => {
    if (latest === null) return;
    draft.querySelector(".words").replaceChildren(rich(latest));
    draft.querySelector(".dots").hidden = latest !== "";
    draft.hidden = false;
    latest = null;
    settle();
  };
  const quiet = () => {
    clearTimeout(giveUp);
    latest = null;
    draft.hidden = true;
    draft.querySelector(".words").replaceChildren();
    byId("writing").textContent = "";
  };
  // A reply answers the message it names and everything that was said before it.
  const answered = (ids) => {
    const items = outbox();
    const last = items.findLastIndex((item) => ids.has(item.id));
    const recent = Date.now() - KEEP_UNANSWERED;
    const open = (item, i) => !ids.has(item.id) && (item.state !== "sent" || (i > last && item.at > recent));
    save("outbox", items.filter(open));
  };
  const awaitAnswer = () => { if (outbox().at(-1)?.state === "sent") writing(""); };

  const rebuild = (turns) => {
    answered(new Set(turns.map((turn) => turn.reply.in_reply_to)));
    const all = document.createDocumentFragment();
    for (const { text, reply } of turns) {
      if (text) all.append(mine(reply.in_reply_to, text, timeOf(reply.in_reply_to)));
      all.append(theirs(reply, timeOf(reply.id)));
    }
    const waiting = outbox();
    for (const item of waiting) all.append(mine(item.id, item.text, item.at));
    // What was there before is not news.
    log.setAttribute("aria-live", "off");
    log.replaceChildren(all);
    waiting.forEach(showStatus);
    quiet();
    awaitAnswer();
    follow = true;
    settle();
    setTimeout(() => log.setAttribute("aria-live", "polite"), 500);
  };
  const receive = {
    hello({ session }) {
      save("session", session);
      attempts = 0;
      ready = true;
      setState("online");
      for (const item of outbox()) if (item.state !== "sent") retry(item.id);
    },
    history: ({ items }) => rebuild(items),
    ack({ id }) {
      mark(id, { state: "sent" });
      showStatus({ id, state: "sent" });
      problem.textContent = "";
    },
    said({ id, text }) {
      if (find(id)) return;
      log.append(mine(id, text, timeOf(id, Date.now())));
      settle();
    },
    typing: () => { if (draft.hidden) writing(""); },
    draft: ({ text }) => writing(text),
    silent: quiet,
    reply(reply) {
      answered(new Set([reply.in_reply_to]));
      quiet();
      const shown = find(reply.id), message = theirs(reply, timeOf(reply.id, Date.now()));
      if (shown) shown.replaceWith(message);
      else log.append(message);
      awaitAnswer();
      settle();
    },
    error({ code, text, id }) {
      const item = outbox().find((waiting) => waiting.id === id);
      if (item && (code === "not_accepted" || code === "slow_down")) {
        mark(id, { state: "failed" });
        showStatus({ id, state: "failed" });
      } else if (item) {
        // It will never be taken as it is: back to the customer's hands.
        save("outbox", outbox().filter((waiting) => waiting.id !== id));
        find(id)?.remove();
        input.value ||= item.text;
        measure();
      }
      if (item) quiet();
      problem.textContent = text;
    },
  };

  // ---- The socket
  let socket = null, ready = false, attempts = 0, again = 0;
  const setState = (name) => {
    state.dataset.state = name;
    state.textContent = state.dataset[name];
  };
  const emit = (frame) => {
    if (!ready || socket.readyState !== WebSocket.OPEN) return false;
    socket.send(JSON.stringify(frame));
    return true;
  };
  const connect = () => {
    clearTimeout(again);
    ready = false;
    const opened = socket = new WebSocket(address);
    opened.addEventListener("open", () => opened.send(JSON.stringify({ type: "hello", session: load("session", null) })));
    opened.addEventListener("message", ({ data }) => {
      const frame = JSON.parse(data);
      if (opened === socket) receive[frame.type]?.(frame);
    });
    opened.addEventListener("close", () => { if (opened === socket) lost(); });
  };
  const lost = () => {
    ready = false;
    quiet();
    setState("offline");
    outbox().forEach(showStatus);
    const wait = Math.min(30_000, 500 * 2 ** attempts++);
    again = setTimeout(connect, wait * (0.5 + Math.random() / 2));
  };
  addEventListener("online", () => { if (!ready) connect(); });

  // ---- Saying something
  const transmit = (id) => {
    const item = outbox().find((waiting) => waiting.id === id);
    if (!item) return;
    const over = socket;
    if (emit({ type: "message", id, text: item.text })) {
      setTimeout(() => {
        // A connection that died without a word shows only in what stays unanswered.
        if (over === socket && outbox().some((waiting) => waiting.id === id && waiting.state === "sending")) over.close();
      }, ACK_WITHIN);
    }
  };
  const say = (text) => {
    const item = { id: newId(), text, at: Date.now(), state: "sending" };
    timeOf(item.id, item.at);
    save("outbox", [...outbox(), item]);
    log.append(mine(item.id, text, item.at));
    transmit(item.id);
    if (ready) writing("");
    else showStatus(item);
    follow = true;
    settle();
  };
  const length = () => [...input.value.trim()].length;
  const measure = () => {
    input.style.height = "auto";
    input.style.height = `${input.scrollHeight}px`;
    const count = length(), over = count > longest;
    byId("send").disabled = !count;
    byId("count").hidden = count < longest * 0.8;
    byId("count").textContent = `${count.toLocaleString()} / ${longest.toLocaleString()}`;
    composer.classList.toggle("invalid", over);
    input.setAttribute("aria-invalid", String(over));
    if (!over) problem.textContent = "";
  };
  composer.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    if (length() > longest) {
      problem.textContent = problem.dataset.tooLong;
      return;
    }
    input.value = "";
    measure();
    input.focus();
    say(text);
  });
  input.addEventListener("input", measure);
  input.addEventListener("keydown", (event) => {
    // 229: the Enter that ends a Hangul syllable in Safari.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    composer.requestSubmit();
  });

  if (parent !== window) {
    const close = () => parent.postMessage("sangdam:close", "*");
    byId("close").hidden = false;
    byId("close").addEventListener("click", close);
    addEventListener("keydown", (event) => { if (event.key === "Escape" && !event.isComposing) close(); });
  } else if (matchMedia("(pointer: fine)").matches) input.focus();
  connect();
})();
