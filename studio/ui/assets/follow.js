// A long answer is followed to its end, unless one has scrolled up to read. Gradio's own following comes 300 ms late and
// pulls back whoever has scrolled up meanwhile, so it is off.
(() => {
  const LOG = '[id^="bot-"] [role="log"]', NEAR = 60; // pixels
  const known = new WeakSet();
  let left = new WeakSet();

  const grown = new ResizeObserver((entries) => entries.forEach(({ target }) => {
    const log = own.around(target, LOG);
    if (log && !left.has(log)) log.scrollTop = log.scrollHeight;
  }));
  document.addEventListener("scroll", ({ target: log }) => {
    if (own.around(log, LOG) !== log) return;
    if (log.scrollHeight - log.scrollTop - log.clientHeight > NEAR) left.add(log);
    else left.delete(log);
  }, { capture: true, passive: true });

  // Who asks something wants to see what is answered.
  const ask = () => { left = new WeakSet(); };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && own.around(event.target, "#composer")) ask();
  }, { capture: true, passive: true });
  document.addEventListener("click", (event) => { if (own.around(event.target, "#send")) ask(); }, { capture: true });

  new MutationObserver(() => own.all(`${LOG} .message-wrap`).forEach((each) => {
    if (known.has(each)) return;
    known.add(each);
    grown.observe(each);
  })).observe(document, { childList: true, subtree: true });
})();
