// The session: the key of this tab and what it may do. Pages that a key may not use are left out.

import { call, storeKey } from "./api.js";
import { createContext, useContext } from "./lib.js";

const RANK = { read: 0, write: 1, admin: 2 };

export const SessionContext = createContext(null);
export const useSession = () => useContext(SessionContext);

// Signs in with a key; throws ApiError if it is not valid. The key is stored only then.
export async function signIn(key) {
  const { role, limited, org_id: organization, project_id: project } = await call("GET", "v1/ping/", { key });
  storeKey(key);
  return { role, limited, place: { organization, project }, may: (needed) => RANK[role] >= RANK[needed] };
}

export const signOut = () => storeKey(null);
