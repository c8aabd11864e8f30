// Loading: what a page has asked the API for. The last content stays while the next one loads, so that nothing jumps.

import { ApiError } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./lib.js";

const RELOAD = "forgetless-reload";
const WAIT_MS = 5000;

// All that pages show is loaded again, because another key may see other things.
export const reloadAll = () => dispatchEvent(new Event(RELOAD));

// How long to wait before a request is tried again that found no service, or a failing one.
export const waitOf = (error) => (error.retryAfter ? error.retryAfter * 1000 : WAIT_MS);

// `ask(signal)` gives the content; it is asked again when one of `inputs` changes, and by `reload`. With `known`, the
// content at the beginning, it is not asked at first.
export function useLoad(ask, inputs, known) {
  const [state, setState] = useState({ data: known, error: null, loading: !known });
  const running = useRef(null);
  const fresh = useRef(Boolean(known));
  const reload = useCallback(() => {
    running.current?.abort();
    const mine = (running.current = new AbortController());
    setState((before) => ({ ...before, loading: true }));
    // What cannot even be asked is an error of the page like any other.
    new Promise((answer) => answer(ask(mine.signal))).then(
      (data) => mine.signal.aborted || setState({ data, error: null, loading: false }),
      (error) => mine.signal.aborted || setState((before) => ({ ...before, error, loading: false })),
    );
  }, inputs);
  useEffect(() => {
    if (!fresh.current) reload();
    fresh.current = false;
    return () => running.current?.abort();
  }, [reload]);
  useRecovery(state.error, reload);
  return { ...state, reload };
}

// Loads again what another key may see otherwise, and what failed, once the service may be back.
function useRecovery(error, reload) {
  useEffect(() => {
    addEventListener(RELOAD, reload);
    return () => removeEventListener(RELOAD, reload);
  }, [reload]);
  const passes = error instanceof ApiError && (error.status === 0 || error.status >= 500);
  useEffect(() => {
    if (!passes) return undefined;
    const due = () => document.visibilityState === "visible" && reload();
    const timer = setInterval(due, waitOf(error));
    addEventListener("online", due);
    return () => {
      clearInterval(timer);
      removeEventListener("online", due);
    };
  }, [passes, reload]);
}

// Calls `work` every `seconds` while the tab is visible, and at once when it becomes visible again.
export function usePolling(work, seconds) {
  const latest = useRef(work);
  latest.current = work;
  useEffect(() => {
    const due = () => document.visibilityState === "visible" && latest.current();
    const timer = setInterval(due, seconds * 1000);
    document.addEventListener("visibilitychange", due);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", due);
    };
  }, [seconds]);
}

// The value as it was when it last stood still for `ms`.
export function useSettled(value, ms = 250) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
