// The pages, in the order of the navigation. `needs` is the role without which a page is left out; with `whole`, a key
// that is limited to some users does not see it either.

import { Entities } from "./pages/entities.js";
import { Jobs } from "./pages/jobs.js";
import { Keys } from "./pages/keys.js";
import { Memories } from "./pages/memories.js";
import { MemoryPage } from "./pages/memory.js";
import { Overview } from "./pages/overview.js";
import { Playground } from "./pages/playground.js";
import { Settings } from "./pages/settings.js";
import { TimeTravel } from "./pages/time_travel.js";
import { Usage } from "./pages/usage.js";
import { Webhooks } from "./pages/webhooks.js";

export const PAGES = [
  { name: "memories", title: "Memories", needs: "read", show: Memories },
  { name: "memory", title: "Memory", needs: "read", show: MemoryPage, hidden: true, within: "memories" },
  { name: "time", title: "Time travel", needs: "read", show: TimeTravel },
  { name: "overview", title: "Overview", needs: "read", show: Overview },
  { name: "jobs", title: "Jobs", needs: "read", show: Jobs },
  { name: "keys", title: "Keys", needs: "admin", whole: true, show: Keys },
  { name: "playground", title: "Playground", needs: "write", whole: true, show: Playground },
  { name: "entities", title: "Entities", needs: "read", show: Entities },
  { name: "usage", title: "Usage", needs: "read", show: Usage },
  { name: "webhooks", title: "Webhooks", needs: "admin", whole: true, show: Webhooks },
  { name: "settings", title: "Settings", needs: "admin", whole: true, show: Settings },
];
