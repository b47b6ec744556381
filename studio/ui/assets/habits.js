// What a page does beside showing: it asks for news as often as there may be some, keeps address, title and icon true,
// goes back and forth, tells at the end of a run if one wants to know, and reads values off curves.
window.studio = (() => {
  const BUSY = 1000, IDLE = 15000, AWAY = 5000, ATTENTIVE = 15000; // milliseconds
  let touched = Date.now(), state = {}, shown = "", ended = null, drawn = "";

  const { one, around } = own;
  const query = () => new URLSearchParams(location.search);
  const remembered = (key) => { try { return localStorage.getItem(key); } catch { return null; } };

  // Asking for news: often while something runs or someone is at it, seldom otherwise, not at all when nobody looks.
  function pace() {
    if (document.hidden) return state.busy ? AWAY : null;
    return state.busy || Date.now() - touched < ATTENTIVE ? BUSY : IDLE;
  }
  let timer = null;
  function beat() {
    clearTimeout(timer);
    const wait = pace();
    if (wait === null) return;
    if (landed) one("#tick")?.click(); // not before the address is known: it would be of no run, and could come last
    timer = setTimeout(beat, wait);
  }
  for (const kind of ["pointerdown", "keydown"]) {
    document.addEventListener(kind, () => {
      const slept = pace() !== BUSY;
      touched = Date.now();
      if (slept) timer = (clearTimeout(timer), setTimeout(beat, 300));
    }, { capture: true, passive: true });
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) beat(); });

  // Title, icon, and the end of a run.
  function icon(share) {
    const ring = share === null ? "" : `<circle cx="12" cy="12" r="10.5" fill="none" stroke="#d08700" stroke-width="3"
      pathLength="100" stroke-dasharray="${share} 100" transform="rotate(-90 12 12)"/>`;
    const mark = '<path d="M7 22V12L5 9l6-1 1-5 2 4 1-4 2 6v5l-3 3v5z" fill="none" stroke="#0a8f5b" stroke-width="2"/>';
    return `data:image/svg+xml,${encodeURIComponent(
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">${mark}${ring}</svg>`)}`;
  }
  function show() {
    const text = one("#status-bar [data-studio]")?.dataset.studio;
    if (!text || text === drawn) return;
    drawn = text;
    const wasBusy = state.busy;
    state = JSON.parse(text);
    document.title = state.run
      ? `${state.state} ${Math.floor(state.share)} % · ${state.name} · Guanaco Studio` : "Guanaco Studio";
    let link = one("link#state-icon");
    if (!link) {
      own.all("link[rel~=icon]").forEach((each) => each.remove());
      link = Object.assign(document.createElement("link"), { id: "state-icon", rel: "icon", type: "image/svg+xml" });
      document.head.append(link);
    }
    link.href = icon(state.run ? state.share : null);
    const last = state.ended ? state.ended.slice(0, 2).join(" ") : "";
    if (ended !== null && last && last !== ended) tell(state.ended);
    ended = last;
    if (state.busy && !wasBusy) beat();
  }
  function tell([id, , name, how]) {
    let place = one("#told");
    if (!place) {
      place = Object.assign(document.createElement("div"), { id: "told", className: "unseen" });
      place.setAttribute("role", "status");
      document.body.append(place);
    }
    place.textContent = `The run ${name} is ${how}.`;
    if (remembered("studio-sound") === "yes") ring();
    if (remembered("studio-notify") !== "yes" || !("Notification" in window)) return;
    if (Notification.permission !== "granted") return;
    const note = new Notification(`${name}: ${how}`, { body: "Guanaco Studio", tag: id });
    note.onclick = () => { window.focus(); go(`?page=runs&run=${encodeURIComponent(id)}`); };
  }
  async function wantNotifications(wanted) {
    if (wanted && "Notification" in window && await Notification.requestPermission() !== "granted") wanted = false;
    if (!("Notification" in window)) wanted = false;
    return keep("studio-notify", wanted);
  }
  function wantSound(wanted) {
    if (wanted) ring();
    return keep("studio-sound", wanted);
  }
  function keep(key, wanted) {
    try { localStorage.setItem(key, wanted ? "yes" : "no"); } catch { return false; }
    return wanted;
  }
  function ring() {
    const audio = new AudioContext(), volume = audio.createGain();
    volume.connect(audio.destination);
    [660, 880].forEach((pitch, i) => {
      const tone = audio.createOscillator();
      tone.frequency.value = pitch;
      tone.connect(volume);
      tone.start(audio.currentTime + i * 0.18);
      tone.stop(audio.currentTime + i * 0.18 + 0.16);
    });
    volume.gain.value = 0.15;
    setTimeout(() => audio.close(), 1000);
  }

  // Addresses: /?page=runs&run=ID. A page that was gone to is a step that one can go back. Gradio tells of the first tab
  // as of any other, before the page has turned to the one that the address names: that is no step.
  let landed = false, early = null;
  function went(page) {
    const now = query();
    if (!landed) return;
    if ((now.get("page") || "chat") === page) return;
    const next = new URLSearchParams({ page });
    if (page === "runs" && shown) next.set("run", shown);
    history.pushState(null, "", `?${next}`);
  }
  function showed(run) {
    shown = run;
    const now = query();
    if (now.get("page") !== "runs" || !run || now.get("run") === run) return;
    const first = !now.get("run");
    now.set("run", run);
    history[first ? "replaceState" : "pushState"](null, "", `?${now}`);
  }
  function go(search) {
    if (location.search !== search) history.pushState(null, "", search);
    one("#turn")?.click();
  }
  // To a field that may only now be about to be drawn, and into it.
  function reach(id, until = Date.now() + 3000) {
    const field = id && one(`#${id} :is(input, textarea)`);
    if (field?.offsetParent) {
      field.scrollIntoView({ block: "center" });
      field.focus({ preventScroll: true });
    } else if (id && Date.now() < until) setTimeout(() => reach(id, until), 50);
  }
  window.addEventListener("popstate", () => one("#turn")?.click());
  document.addEventListener("click", (event) => {
    const link = around(event.target, "a[data-go]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go(new URL(link.href).search);
  });

  // What is in a tab takes longer to draw than an answer to a click may: most of all the first time, when it is built.
  // So the tab is first shown as chosen, and opened once that is on the screen.
  let turning = null;
  window.addEventListener("click", (event) => {
    const tab = around(event.target, 'button[role="tab"]');
    if (!tab || !event.isTrusted) return;
    turning?.classList.remove("turning");
    turning = null;
    if (!landed) early = tab;
    if (tab.ariaSelected === "true") return;
    event.stopImmediatePropagation();
    turning = tab;
    tab.classList.add("turning");
    requestAnimationFrame(() => setTimeout(() => {
      tab.classList.remove("turning");
      if (turning !== tab) return; // another was pressed meanwhile
      turning = null;
      tab.click();
    }));
  }, true);

  // Copying a piece of code, or, where the browser does not let a page do that, marking it.
  document.addEventListener("click", async (event) => {
    const button = around(event.target, "[data-copy]"), code = button?.nextElementSibling;
    if (!code) return;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Marked: press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });

  // Reading a curve: the values at the step under the pointer.
  document.addEventListener("pointermove", (event) => {
    const figure = around(event.target, ".chart");
    if (!figure) return;
    const svg = figure.querySelector("svg"), tip = figure.querySelector(".tip"), here = figure.querySelector(".here");
    const box = JSON.parse(figure.dataset.box), values = JSON.parse(figure.dataset.values);
    const across = (event.clientX - svg.getBoundingClientRect().left) / svg.getBoundingClientRect().width;
    const wanted = box.low + (across - box.left) / (box.right - box.left) * (box.high - box.low);
    const near = (points) => points.reduce((a, b) => Math.abs(b[0] - wanted) < Math.abs(a[0] - wanted) ? b : a);
    const found = Object.entries(values).map(([name, points]) => [name, near(points)]);
    if (!found.length) return;
    const step = near(found.map(([, point]) => point))[0];
    const x = (box.left + (step - box.low) / (box.high - box.low) * (box.right - box.left)) * svg.viewBox.baseVal.width;
    here.setAttribute("x1", x);
    here.setAttribute("x2", x);
    tip.textContent = `step ${step}: ${found.filter(([, point]) => point[0] === step)
      .map(([name, point]) => `${name} ${point[1].toFixed(3)}`).join(", ")}`;
  }, { passive: true });

  // Who was quicker than the address, which is only followed once the server has read it, stays where they went.
  function land() {
    landed = true;
    if (early) requestAnimationFrame(() => early.click());
  }

  function begin() {
    // Gradio changes what is drawn where it differs, so that often nothing but this attribute is another.
    const told = { childList: true, subtree: true, attributeFilter: ["data-studio"] };
    new MutationObserver(show).observe(document.body, told);
    timer = setTimeout(beat, BUSY);
  }
  if (document.body) begin();
  else addEventListener("DOMContentLoaded", begin);
  return { went, showed, land, go, reach, wantNotifications, wantSound,
    wanted: () => ["studio-notify", "studio-sound"].map((key) => remembered(key) === "yes") };
})();
