// The state of a page stands after # in the address, so that it can be shared and gone back to. It never reaches a server.

import { useLayoutEffect, useState } from "./lib.js";

export const HOME = "memories";

// `#/page?name=value` as a page and its parameters.
export function routeOf(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { page: path || HOME, params: Object.fromEntries(new URLSearchParams(query)) };
}

export function hrefOf(page, params = {}) {
  const kept = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(kept).toString();
  return `#/${page}${query ? `?${query}` : ""}`;
}

// Goes to a page. `replace` changes the present entry of the browser's history, for what changes at each key stroke.
export function go(page, params = {}, { replace = false } = {}) {
  const href = hrefOf(page, params);
  if (href === location.hash) return;
  if (replace) {
    history.replaceState(null, "", href);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = href;
  }
}

export function useRoute() {
  const [route, setRoute] = useState(() => routeOf(location.hash));
  // Before the effects of the page, which may already go elsewhere.
  useLayoutEffect(() => {
    const changed = () => setRoute(routeOf(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}
