// Puts a chat button on any page: <script src="https://your-server/widget.js" async></script>
"use strict";
(() => {
  const home = new URL("./", document.currentScript.src);
  const openLabel = "{{web.widget_open}}", closeLabel = "{{web.widget_close}}", title = "{{web.title}}";
  if (document.getElementById("sangdam-launcher")) return;

  const styled = (element, rules) => Object.assign(element.style, rules) && element;
  const button = styled(document.createElement("button"), {
    position: "fixed", right: "20px", bottom: "20px", zIndex: "2147483000", width: "60px", height: "60px",
    padding: "0", border: "0", borderRadius: "50%", background: "#17695f", cursor: "pointer",
    boxShadow: "0 6px 24px rgba(16, 36, 32, .3)",
  });
  button.id = "sangdam-launcher";
  button.type = "button";
  const icon = document.createElement("img");
  icon.src = new URL("static/launcher.svg", home);
  icon.alt = "";
  icon.width = icon.height = 30;
  styled(icon, { display: "block", margin: "auto" });
  button.append(icon);
  let frame = null;

  const show = (open) => {
    if (open && !frame) {
      frame = document.createElement("iframe");
      frame.src = home;
      frame.title = title;
      document.body.append(frame);
    }
    if (frame) {
      const phone = innerWidth < 480;
      styled(frame, {
        position: "fixed", zIndex: "2147483001", border: "0", background: "transparent", colorScheme: "normal",
        right: phone ? "0" : "20px", bottom: phone ? "0" : "92px",
        width: phone ? "100%" : "400px", height: phone ? "100%" : "min(680px, calc(100% - 112px))",
        borderRadius: phone ? "0" : "18px", boxShadow: "0 12px 48px rgba(16, 36, 32, .28)",
        display: open ? "block" : "none",
      });
      if (open) frame.focus();
    }
    button.setAttribute("aria-expanded", String(open));
    button.setAttribute("aria-label", open ? closeLabel : openLabel);
    if (!open && frame) button.focus();
  };

  button.addEventListener("click", () => show(button.getAttribute("aria-expanded") !== "true"));
  addEventListener("message", (event) => {
    if (frame && event.source === frame.contentWindow && event.data === "sangdam:close") show(false);
  });
  show(false);
  document.body.append(button);
})();
