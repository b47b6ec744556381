// An answer stays in its box. Gradio lets most HTML of a message through: ids, names, forms, whatever has a place of its
// own (studio/ui/assets/box.css keeps that within the message). What a message brings is made harmless as it is put in,
// before any other script runs, and the page's own parts are looked for outside of messages only. This file comes first.
window.own = (() => {
  const BOX = '.message-content, .thought-group .md, [data-testid="toast-text"], [data-testid="markdown"]';
  const OUTSIDE = `:not(:is(${BOX}) *)`;
  // What an answer could name after itself is not asked: a form's or a document's parts go before their methods.
  const { matches, closest, querySelectorAll, removeAttribute, hasAttribute, setAttribute } = Element.prototype;
  const call = (method, node, ...args) => method.apply(node, args);
  const NAMES = ["id", "name", "for", "form", "action", "formaction", "accesskey", "tabindex", "contenteditable",
    "autofocus", "autoplay", "popover", "popovertarget", "usemap", "slot", "part"];
  const CARRIES = NAMES.map((name) => `[${name}]`).join();
  const CONTROLS = "input, textarea, select, button, dialog, video, audio, iframe, object, embed, fieldset, meter, progress";
  // Made by Gradio from what is said, after it was cleaned: the mark on a drawn diagram cannot come with an answer.
  const MADE = '.code_wrap > button.copy_code_button, .mermaid[data-processed] *';

  function clean(node) {
    if (call(matches, node, CARRIES) && !call(matches, node, MADE)) {
      for (const name of NAMES) call(removeAttribute, node, name);
    }
    if (call(matches, node, CONTROLS) && !call(matches, node, MADE)) {
      if (!call(hasAttribute, node, "inert")) call(setAttribute, node, "inert", "");
      call(setAttribute, node, "style", "display: none !important");
    }
  }
  function cleanAll(node) {
    if (call(closest, node, `:is(${BOX})`)) clean(node);
    for (const each of call(querySelectorAll, node, `:is(${BOX}) :is(${CARRIES}, ${CONTROLS})`)) clean(each);
  }
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) if (node.nodeType === Node.ELEMENT_NODE) cleanAll(node);
    }
  }).observe(document, { childList: true, subtree: true });
  document.addEventListener("submit", (event) => {
    if (call(closest, event.target, BOX)) event.preventDefault();
  }, true);

  const document_ = { one: document.querySelector.bind(document), all: document.querySelectorAll.bind(document) };
  const outside = (selector) => `:is(${selector})${OUTSIDE}`;
  return {
    one: (selector) => document_.one(outside(selector)),
    all: (selector) => document_.all(outside(selector)),
    // From where something happened to the page's own part that it is in; from within a message, to what that is in.
    around: (node, selector) => (node?.nodeType === Node.ELEMENT_NODE && call(closest, node, outside(selector))) || null,
  };
})();
