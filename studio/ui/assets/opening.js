// While the page is being built: its outline, in the place of Gradio's spinner.
(() => {
  const there = () => own.one("#composer textarea");
  if (there()) return;
  const bar = (left, top, width, height, shade = "bone") =>
    `linear-gradient(var(--${shade}), var(--${shade})) ${left} ${top} / ${width} ${height} no-repeat`;
  const tabs = [[32, 32], [97, 33], [162, 33], [228, 34], [294, 86], [412, 62], [508, 57]]
    .map(([left, width]) => bar(`${left}px`, "68px", `${width}px`, "13px"));
  const bones = [
    bar("16px", "11px", "calc(100% - 32px)", "36px"), ...tabs,
    bar("16px", "112px", "min(233px, 60%)", "27px"), bar("16px", "147px", "calc(100% - 32px)", "37px"),
    bar("16px", "191px", "calc(100% - 32px)", "calc(100vh - 372px)", "field"),
    bar("16px", "calc(100vh - 134px)", "calc(100% - 130px)", "42px"),
  ];
  const style = document.createElement("style");
  style.textContent = `
    html::before { content: ""; position: fixed; inset: 0; z-index: 1000; max-width: 1500px; margin: 0 auto;
      --bone: #eceae8; --field: #faf9f8; background: ${bones.join(", ")} #fff; box-shadow: 0 0 0 100vw #fff; }
    @media (prefers-color-scheme: dark) {
      html::before { --bone: #26221f; --field: #141110; background-color: #0c0a09; box-shadow: 0 0 0 100vw #0c0a09; } }`;
  document.head.append(style);
  const watching = new MutationObserver(() => { if (there()) done(); });
  watching.observe(document.documentElement, { childList: true, subtree: true });
  const late = setTimeout(done, 15000); // whatever stands in the way is then to be seen
  function done() {
    clearTimeout(late);
    watching.disconnect();
    style.remove();
    stopTheClock();
  }

  // Gradio's loading screen counts the time at every frame, and never ends: it is taken away before it has seen that
  // loading is over. Each count begins by asking performance.now() from a frame's callback; one failure there ends it.
  function stopTheClock() {
    const now = performance.now, stop = new Error("the loading screen is gone");
    performance.now = () => {
      const stack = new Error().stack.split("\n");
      if (stack.length === 3 && stack[2].includes("statustracker")) throw stop;
      return now.call(performance);
    };
    const quietly = (event) => { if (event.error === stop) event.preventDefault(); };
    window.addEventListener("error", quietly);
    setTimeout(() => {
      delete performance.now;
      window.removeEventListener("error", quietly);
    }, 500);
  }
})();
