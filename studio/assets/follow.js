// A long answer is followed to its end, unless one has scrolled up to read. Gradio's own following comes 300 ms late and
// pulls back whoever has scrolled up meanwhile, so it is off.
(() => {
  const LOG = '[id^="bot-"] [role="log"]', NEAR = 60; // pixels
  const known = new WeakSet();
  let left = new WeakSet();

  const grown = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    const log = target.closest(LOG);
    if (log && !left.has(log)) log.scrollTop = log.scrollHeight;
  }));
  document.addEventListener("scroll", ({ target: log }) => {
    if (!log.matches?.(LOG)) return;
    if (log.scrollHeight - log.scrollTop - log.clientHeight > NEAR) left.add(log);
    else left.delete(log);
  }, { capture: true, passive: true });

  // Who asks something wants to see what is answered.
  const ask = () => { left = new WeakSet(); };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.closest?.("#composer")) ask();
  }, { capture: true, passive: true });
  document.addEventListener("click", (event) => { if (event.target.closest?.("#send")) ask(); }, { capture: true });

  new MutationObserver(() => document.querySelectorAll(`${LOG} .message-wrap`).forEach((each) => {
    if (known.has(each)) return;
    known.add(each);
    grown.observe(each);
  })).observe(document, { childList: true, subtree: true });
})();
