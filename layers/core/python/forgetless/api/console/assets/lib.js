// Preact, its hooks and `html`, which writes elements as text without a build step.

import htm from "./vendor/htm.mjs";
import { h } from "./vendor/preact.mjs";

export { createContext, render } from "./vendor/preact.mjs";
export { useCallback, useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/hooks.mjs";

export const html = htm.bind(h);
