"use strict";
// Draws A2UI messages of version 0.8. What agents say is data: it becomes text and attributes, never markup and never code.
(() => {
  const DEEPEST = 64;
  const surfaces = new Map();
  const place = document.getElementById("surfaces");

  const surface = (id) => {
    id = String(id ?? "main");
    if (!surfaces.has(id)) {
      surfaces.set(id, { id, components: new Map(), data: Object.create(null), root: null, kept: new Map(), element: null });
    }
    return surfaces.get(id);
  };

  // Paths like /user/name, or user/name below the place of a list's item.
  const steps = (path, base) => {
    const own = String(path ?? "").split("/").filter((step) => step && step !== ".");
    return String(path ?? "").startsWith("/") ? own : [...base, ...own];
  };
  const isSafe = (step) => step !== "__proto__" && step !== "constructor" && step !== "prototype";
  const look = (data, way) =>
    way.reduce((here, step) => (here != null && typeof here === "object" && Object.hasOwn(here, step) ? here[step] : undefined), data);
  const put = (on, way, value) => {
    if (!way.every(isSafe)) return;
    if (!way.length) {
      if (value && typeof value === "object") on.data = value;
      return;
    }
    let here = on.data;
    for (const step of way.slice(0, -1)) {
      if (!Object.hasOwn(here, step) || here[step] === null || typeof here[step] !== "object") here[step] = Object.create(null);
      here = here[step];
    }
    here[way.at(-1)] = value;
  };

  const LITERALS = ["literalString", "literalNumber", "literalBoolean", "literalArray", "literal"];
  const valueOf = (on, bound, base) => {
    if (bound === null || typeof bound !== "object") return bound;
    if (typeof bound.path === "string") {
      const found = look(on.data, steps(bound.path, base));
      if (found !== undefined) return found;
    }
    const name = LITERALS.find((literal) => bound[literal] !== undefined);
    return name && bound[name];
  };

  const VALUES = ["valueString", "valueNumber", "valueBoolean"];
  const entryOf = (entry) => {
    if (Array.isArray(entry.valueMap)) return tableOf(entry.valueMap);
    if (Array.isArray(entry.valueList)) return entry.valueList.map(entryOf);
    const name = VALUES.find((value) => entry[value] !== undefined);
    return name ? entry[name] : entry.value;
  };
  const tableOf = (entries) => {
    const table = Object.create(null);
    for (const entry of entries) {
      if (entry && isSafe(String(entry.key))) table[entry.key] = entryOf(entry);
    }
    return table;
  };

  const tell = (on, source, action, base) => {
    const context = {};
    for (const entry of Array.isArray(action?.context) ? action.context : []) {
      if (entry && isSafe(String(entry.key))) context[entry.key] = valueOf(on, entry.value, base) ?? null;
    }
    const userAction = { id: crypto.randomUUID?.() ?? String(Date.now()), name: String(action?.name ?? ""), surfaceId: on.id,
      sourceComponentId: source, timestamp: new Date().toISOString(), context };
    dispatchEvent(new CustomEvent("a2uiaction", { detail: userAction }));
    for (const brand of ["openclaw", "moltbot", "clawdbot"]) {
      const name = `${brand}CanvasA2UIAction`;
      const apple = window.webkit?.messageHandlers?.[name];
      if (apple) return apple.postMessage({ userAction });
      if (window[name]?.postMessage) return window[name].postMessage(JSON.stringify({ userAction }));
    }
  };

  const component = (on, id, base, above) => {
    const found = on.components.get(id);
    if (!found || above.length >= DEEPEST || above.includes(id)) return null;
    const [kind, is] = Object.entries(found.component ?? {})[0] ?? [];
    if (!kind || !Object.hasOwn(a2uiWidgets, kind) || is === null || typeof is !== "object") return null;
    const inside = [...above, id];
    const key = `${id} ${base.join("/")}`;
    const at = {
      value: (bound) => valueOf(on, bound, base),
      set: (bound, value) => { if (typeof bound?.path === "string") put(on, steps(bound.path, base), value); },
      child: (other) => component(on, other, base, inside),
      children: (list) => children(on, list, base, inside),
      act: (action) => tell(on, id, action, base),
      keep: (name, value) => on.kept.set(`${key} ${name}`, value),
      kept: (name) => on.kept.get(`${key} ${name}`),
    };
    const element = a2uiWidgets[kind](is, at);
    if (element && Number.isFinite(found.weight)) element.style.flex = String(found.weight);
    return element;
  };

  const children = (on, list, base, above) => {
    const each = Array.isArray(list) ? list : list?.explicitList;
    if (Array.isArray(each)) return each.map((id) => component(on, id, base, above)).filter(Boolean);
    const template = list?.template;
    if (!template) return [];
    const way = steps(template.dataBinding, base);
    const items = look(on.data, way);
    if (items === null || typeof items !== "object") return [];
    return Object.keys(items).map((item) => component(on, template.componentId, [...way, item], above)).filter(Boolean);
  };

  const draw = (on) => {
    if (on.root === null) return;
    if (!on.element) {
      on.element = document.createElement("section");
      on.element.dataset.surface = on.id;
      place.append(on.element);
    }
    const drawn = component(on, on.root, [], []);
    on.element.replaceChildren(...(drawn ? [drawn] : []));
  };

  const remove = (id) => {
    surfaces.get(id)?.element?.remove();
    surfaces.delete(id);
  };

  const KINDS = {
    surfaceUpdate(is) {
      const on = surface(is.surfaceId);
      for (const part of Array.isArray(is.components) ? is.components : []) {
        if (typeof part?.id === "string") on.components.set(part.id, part);
      }
      return on;
    },
    dataModelUpdate(is) {
      const on = surface(is.surfaceId);
      const way = steps(is.path, []);
      const table = Array.isArray(is.contents) ? tableOf(is.contents) : is.contents;
      const there = look(on.data, way);
      const merges = Array.isArray(is.contents) && there !== null && typeof there === "object" && !Array.isArray(there);
      put(on, way, merges ? Object.assign(Object.create(null), there, table) : table);
      return on;
    },
    beginRendering(is) {
      const on = surface(is.surfaceId);
      on.root = String(is.root ?? "root");
      const color = is.styles?.primaryColor;
      draw(on);
      if (/^#[0-9a-f]{3,8}$/i.test(color ?? "")) on.element.style.setProperty("--accent", color);
      return on;
    },
    deleteSurface(is) {
      remove(String(is.surfaceId ?? "main"));
    },
  };

  const api = Object.freeze({
    applyMessages(messages) {
      const changed = new Set();
      for (const message of Array.isArray(messages) ? messages : [messages]) {
        for (const [kind, is] of Object.entries(message ?? {})) {
          if (!Object.hasOwn(KINDS, kind) || is === null || typeof is !== "object") continue;
          const on = KINDS[kind](is);
          if (on) changed.add(on);
        }
      }
      for (const on of changed) if (surfaces.get(on.id) === on) draw(on);
      return { ok: true, surfaces: [...surfaces.keys()] };
    },
    reset() {
      [...surfaces.keys()].forEach(remove);
      return { ok: true };
    },
    getSurfaces: () => [...surfaces.keys()],
  });
  for (const name of ["openclawA2UI", "moltbotA2UI", "clawdbotA2UI"]) globalThis[name] = api;
})();
