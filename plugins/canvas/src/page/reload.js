(() => {
  // The socket lies beside the page, below the same address.
  const here = /^(.*?)\/__(clawdbot|moltbot|openclaw)__\/canvas(?:\/|$)/.exec(location.pathname);
  if (!here) return;
  const socket = here[2] === "openclaw" ? "/__openclaw__/ws" : `/__${here[2]}/ws`;
  const since = document.currentScript?.dataset.since ?? "";
  const address = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${here[1]}${socket}?since=${since}`;
  let pause = 500;
  const listen = () => {
    const open = new WebSocket(address);
    open.onopen = () => { pause = 500; };
    open.onmessage = (message) => { if (message.data === "reload") location.reload(); };
    open.onclose = () => {
      setTimeout(listen, pause * (0.75 + Math.random() / 2));
      pause = Math.min(pause * 2, 30000);
    };
  };
  listen();
})();
