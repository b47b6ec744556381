// Keyboard habits of chat: Esc stops the answers, or leaves the question that is being changed; the arrow up in an
// empty composer changes the last question. (Enter sends; Shift+Enter breaks the line.)
document.addEventListener("keydown", (event) => {
  const inComposer = own.around(event.target, "#composer");
  const press = (selector) => own.one(selector)?.click();
  if (event.key === "Escape") {
    const stop = own.one("#stop-answers");
    if (stop && stop.offsetParent !== null && !stop.disabled) stop.click();
    else if (own.one("#composer-note .note")) press("#leave-editing");
  }
  if (inComposer && event.key === "ArrowUp" && event.target.value === "") {
    event.preventDefault();
    press("#edit-last");
  }
  if (inComposer && event.key === "Enter" && event.shiftKey && !event.isComposing) {
    // Gradio would send on Shift+Enter too.
    event.stopImmediatePropagation();
    event.preventDefault();
    const box = event.target;
    box.setRangeText("\n", box.selectionStart, box.selectionEnd, "end");
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
}, true);
