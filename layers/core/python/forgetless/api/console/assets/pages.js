// The pages, in the order of the navigation. `needs` is the role without which a page is left out.

import { Memories } from "./pages/memories.js";
import { MemoryPage } from "./pages/memory.js";

export const PAGES = [
  { name: "memories", title: "Memories", needs: "read", show: Memories },
  { name: "memory", title: "Memory", needs: "read", show: MemoryPage, hidden: true, within: "memories" },
];
