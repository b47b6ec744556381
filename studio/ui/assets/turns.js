// A button on each turn of a chat that takes it out of the conversation, beside Gradio's own ones. It is put there when
// the turn is pointed at or reached by the keyboard: Gradio draws these rows anew as it likes.
(() => {
  const BIN = '<svg viewBox="0 0 24 24" width="100%" height="100%" fill="none" stroke="currentColor" stroke-width="2" ' +
    'stroke-linecap="round" aria-hidden="true"><path d="M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5"/></svg>';
  const ROW = '[id^="bot-"] :is(.message-row, .message-buttons-left, .message-buttons-right)';
  const SAID = '[data-testid="user"], [data-testid="bot"]';

  function offer(event) {
    const row = own.around(event.target, ROW);
    const panel = row?.matches(".message-row") ? row.nextElementSibling : row;
    const other = panel?.querySelector("button:not(.forget-turn)");
    if (!other) return;
    let button = panel.querySelector(".forget-turn");
    if (!button) {
      button = other.cloneNode(true);
      button.classList.add("forget-turn");
      button.ariaLabel = button.title = "Delete this turn";
      button.querySelector("svg").outerHTML = BIN;
      other.parentElement.append(button);
    }
    button.disabled = Boolean(own.one("#stop-answers")?.offsetParent);
  }
  for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, offer, { passive: true });

  document.addEventListener("click", (event) => {
    const panel = own.around(event.target, ".forget-turn")?.closest(".message-buttons-left, .message-buttons-right");
    if (!panel) return;
    const bot = panel.closest('[id^="bot-"]');
    const last = [...panel.previousElementSibling.querySelectorAll(SAID)].at(-1);
    studio.turn = [...bot.querySelectorAll(SAID)].indexOf(last);
    own.one(`#forget-${bot.id.slice(4)}`).click();
  });
})();
