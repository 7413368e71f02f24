// The clock that turns red by itself, and parts of the page that come as they change. The page is whole without this.
"use strict";
(() => {
  const root = document.documentElement.dataset.root;
  const how = document.documentElement.dataset.refresh;
  const clock = document.getElementById("clock");
  const alarm = document.getElementById("alarm");
  if (!clock) return;
  const ago = document.getElementById("ago");
  const time = clock.querySelector("time");
  const STALE = how === "never" ? 60000 : 15000;
  // How old what is shown was when it came, and when that was. This machine's time of day does not matter.
  let age = Number(clock.dataset.age), came = performance.now(), lost = null, title = document.title;

  const words = (s) => (s < 120 ? `${s} s ago` : s < 7200 ? `${Math.floor(s / 60)} min ago` : `${Math.floor(s / 3600)} h ago`);
  const tell = () => {
    const old = age + performance.now() - came;
    ago.textContent = `, ${words(Math.floor(old / 1000))}`;
    const stale = old > STALE;
    clock.classList.toggle("stale", stale);
    document.body.classList.toggle("stale", stale);
    const text = !stale ? "" : how === "never"
      ? `This page is as it was at ${time.textContent} UTC: load it again before you rely on it.`
      : lost
      ? `Disconnected: the agent does not answer. What is shown is old and says nothing of now.`
      : `Stale: the agent answers and knows nothing new. What is shown is old and says nothing of now.`;
    if (alarm.textContent !== text) {
      alarm.textContent = text;
      alarm.hidden = text === "";
      document.title = text === "" ? title : `(old) ${title}`;
    }
  };
  const fresh = (at, text, ms) => {
    if (at !== time.dateTime) [time.dateTime, time.textContent] = [at, text];
    [age, came, lost] = [ms, performance.now(), null];
    tell();
  };
  const gone = () => { lost = lost || performance.now(); tell(); };
  setInterval(tell, 1000);
  tell();

  // A part is replaced without taking the keyboard's place in it away.
  const put = (part, html) => {
    const links = () => [...part.querySelectorAll("a, button")];
    const focus = links().find((e) => e === document.activeElement);
    const name = focus && focus.textContent;
    part.innerHTML = html;
    if (name) (links().find((e) => e.textContent === name) || part.querySelector("a, button"))?.focus();
  };

  if (how === "parts" && window.EventSource) {
    const overview = document.getElementById("overview");
    let source, last = overview.dataset.version;
    const listen = () => {
      source = new EventSource(`${root}events?after=${encodeURIComponent(last)}`);
      source.onmessage = (event) => {
        last = event.lastEventId || last;
        const news = JSON.parse(event.data);
        for (const [id, html] of Object.entries(news.parts)) {
          const part = document.getElementById(`part-${id}`);
          if (part) put(part, html);
        }
        fresh(news.at, news.time, news.age);
      };
      source.onerror = () => {
        gone();
        // What was refused is not tried again by itself.
        if (source.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
      };
    };
    listen();
    addEventListener("pagehide", () => source.close());
  } else if (how === "whole") {
    const main = document.getElementById("main");
    const again = async () => {
      try {
        const answer = await fetch(location.href, { headers: { accept: "text/html" } });
        if (!answer.ok || answer.redirected) throw new Error("no page");
        const next = new DOMParser().parseFromString(await answer.text(), "text/html");
        const then = next.getElementById("clock"), body = next.getElementById("main");
        const said = main.querySelector("p[role=status]");
        if (said && !body.querySelector("p[role=status]")) body.prepend(said);
        if (body.innerHTML !== main.innerHTML) put(main, body.innerHTML);
        const at = then.querySelector("time");
        fresh(at.dateTime, at.textContent, Number(then.dataset.age));
      } catch { gone(); }
      setTimeout(again, 4000);
    };
    setTimeout(again, 4000);
  } else {
    // Nothing is taken from under whoever writes in it.
    clock.classList.add("still");
  }
})();
