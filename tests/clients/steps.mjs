// What the scripts of TypeScript clients share: a check, waiting, and one JSON line a step.
export function check(holds, shown) {
  if (!holds) throw new Error(`not so: ${JSON.stringify(shown)}`);
}

export async function until(holds) {
  for (const end = Date.now() + 60_000; !(await holds()); ) {
    check(Date.now() < end, "not within a minute");
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Runs each in order, later ones after what earlier ones left, and ends the process. */
export async function play(steps) {
  for (const [method, run] of Object.entries(steps)) {
    let failed = null;
    try {
      await run();
    } catch (error) {
      failed = `${error?.name}: ${error?.message}`.slice(0, 2000);
    }
    console.log(JSON.stringify({ method, error: failed }));
  }
  process.exit(0);
}
