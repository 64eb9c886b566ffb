"use strict";
// What each kind of component looks like. `at` knows the surface: at.value(bound) gives what a bound value is now, at.set(bound,
// value) changes it, at.child(id) draws another component, at.children(list) draws several, at.act(action) tells the agent.
const a2uiWidgets = (() => {
  const make = (name, className, ...inside) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    element.append(...inside.filter((part) => part != null));
    return element;
  };
  const text = (value) => (value == null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));
  const word = (value) => (/^[A-Za-z0-9]+$/.test(value ?? "") ? value : "");

  // Nothing else is fetched: no scripts by address, no files of the device.
  const address = (value, data) => {
    try {
      const url = new URL(text(value), "https://nowhere.invalid/");
      if (url.host === "nowhere.invalid") return null;
      return url.protocol === "https:" || url.protocol === "http:" || (url.protocol === "data:" && data.test(url.pathname))
        ? url.href : null;
    } catch {
      return null;
    }
  };

  const ALONG = { start: "flex-start", center: "center", end: "flex-end", spaceBetween: "space-between",
    spaceAround: "space-around", spaceEvenly: "space-evenly" };
  const ACROSS = { start: "flex-start", center: "center", end: "flex-end", stretch: "stretch" };
  const box = (className) => (is, at) => {
    const element = make("div", className, ...at.children(is.children));
    element.style.justifyContent = ALONG[is.distribution] ?? "";
    element.style.alignItems = ACROSS[is.alignment] ?? "";
    return element;
  };
  const media = (name) => (is, at) => {
    const source = address(at.value(is.url), /^(audio|video)\//i);
    if (!source) return null;
    const element = make(name);
    element.controls = true;
    element.src = source;
    const about = text(at.value(is.description));
    if (about) element.setAttribute("aria-label", about);
    return element;
  };
  const field = (label, input, beside) => {
    const element = make("label", beside ? "beside" : "");
    element.append(...(beside ? [input, label] : [label, input]));
    return element;
  };
  const FIELDS = { number: "number", date: "date", obscured: "password" };

  return {
    Text(is, at) {
      const hint = word(is.usageHint);
      const element = /^h[1-5]$/.test(hint) ? make(hint) : make("p", hint === "caption" ? "caption" : "");
      element.style.whiteSpace = "pre-wrap";
      element.textContent = text(at.value(is.text));
      return element;
    },
    Image(is, at) {
      const source = address(at.value(is.url), /^image\//i);
      if (!source) return null;
      const element = make("img", `picture ${word(is.usageHint)}`.trim());
      element.referrerPolicy = "no-referrer";
      element.alt = text(at.value(is.altText ?? is.description));
      if (["contain", "cover", "fill", "none", "scale-down"].includes(is.fit)) element.style.objectFit = is.fit;
      element.src = source;
      return element;
    },
    Icon(is, at) {
      const name = text(at.value(is.name));
      const element = make("span", "caption", name);
      element.setAttribute("role", "img");
      element.setAttribute("aria-label", name);
      return element;
    },
    Video: media("video"),
    AudioPlayer: media("audio"),
    Divider(is) {
      return make("hr", is.axis === "vertical" ? "vertical" : "");
    },
    Row: box("row"),
    Column: box("column"),
    List(is, at) {
      const items = at.children(is.children).map((child) => make("li", "", child));
      const element = make("ul", is.direction === "horizontal" ? "list horizontal" : "list", ...items);
      element.setAttribute("role", "list");
      element.style.alignItems = ACROSS[is.alignment] ?? "";
      return element;
    },
    Card(is, at) {
      return make("div", "card", at.child(is.child), ...at.children(is.children));
    },
    Tabs(is, at) {
      const items = Array.isArray(is.tabItems) ? is.tabItems : [];
      const panel = make("div");
      panel.setAttribute("role", "tabpanel");
      const heads = items.map((item, number) => {
        const head = make("button", "", text(at.value(item.title)));
        head.type = "button";
        head.setAttribute("role", "tab");
        head.addEventListener("click", () => show(number));
        return head;
      });
      const show = (number) => {
        at.keep("tab", number);
        heads.forEach((head, other) => head.setAttribute("aria-selected", String(other === number)));
        panel.replaceChildren(...[at.child(items[number]?.child)].filter(Boolean));
      };
      const row = make("div", "tabs", ...heads);
      row.setAttribute("role", "tablist");
      show(Math.min(at.kept("tab") ?? 0, Math.max(items.length - 1, 0)));
      return make("div", "", row, panel);
    },
    Modal(is, at) {
      const close = make("button", "", "Close");
      close.type = "button";
      const dialog = make("dialog", "", at.child(is.contentChild), close);
      close.addEventListener("click", () => dialog.close());
      const entry = make("div", "", at.child(is.entryPointChild));
      entry.addEventListener("click", () => dialog.showModal());
      return make("div", "", entry, dialog);
    },
    Button(is, at) {
      const label = at.child(is.child) ?? text(at.value(is.label));
      const element = make("button", is.primary ? "primary" : "", label);
      element.type = "button";
      element.addEventListener("click", () => at.act(is.action));
      return element;
    },
    CheckBox(is, at) {
      const input = make("input");
      input.type = "checkbox";
      input.checked = at.value(is.value) === true;
      input.addEventListener("change", () => at.set(is.value, input.checked));
      return field(text(at.value(is.label)), input, true);
    },
    TextField(is, at) {
      const kind = is.textFieldType ?? is.type;
      const input = make(kind === "longText" ? "textarea" : "input");
      if (input.tagName === "INPUT") input.type = FIELDS[kind] ?? "text";
      input.value = text(at.value(is.text));
      input.addEventListener("input", () => at.set(is.text, input.value));
      return field(text(at.value(is.label)), input);
    },
    DateTimeInput(is, at) {
      const input = make("input");
      input.type = is.enableTime === false ? "date" : is.enableDate === false ? "time" : "datetime-local";
      input.value = text(at.value(is.value));
      input.addEventListener("change", () => at.set(is.value, input.value));
      return field(text(at.value(is.label)) || "When", input);
    },
    Slider(is, at) {
      const input = make("input");
      input.type = "range";
      input.min = Number(is.minValue ?? 0);
      input.max = Number(is.maxValue ?? 100);
      input.value = Number(at.value(is.value) ?? 0);
      input.addEventListener("change", () => at.set(is.value, Number(input.value)));
      return field(text(at.value(is.label)) || "Value", input);
    },
    MultipleChoice(is, at) {
      const input = make("select");
      input.multiple = is.maxAllowedSelections !== 1;
      const chosen = [at.value(is.selections)].flat().map(text);
      for (const option of Array.isArray(is.options) ? is.options : []) {
        const choice = make("option", "", text(at.value(option.label)));
        choice.value = text(option.value);
        choice.selected = chosen.includes(choice.value);
        input.append(choice);
      }
      input.addEventListener("change", () => at.set(is.selections, [...input.selectedOptions].map((one) => one.value)));
      return field(text(at.value(is.label)) || "Choice", input);
    },
  };
})();
