// Keyboard habits of chat: Esc stops the answers. (Enter sends; Shift+Enter breaks the line.)
document.addEventListener("keydown", (event) => {
  const inComposer = event.target.closest && event.target.closest("#composer");
  if (event.key === "Escape") {
    const stop = document.querySelector("#stop-answers");
    if (stop && stop.offsetParent !== null && !stop.disabled) stop.click();
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
