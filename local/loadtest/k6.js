// The scenario for k6: users who send requests with think time between them. One JSON line for each answer goes to the console,
// which local/loadtest/run_load_tool.py directs to the file of samples; k6's own outputs need several times the CPU.
import http from 'k6/http';
import exec from 'k6/execution';
import { sleep } from 'k6';
import { SharedArray } from 'k6/data';

const folder = __ENV.FORGETLESS_LOAD_FOLDER;
const plan = JSON.parse(open(`${folder}/plan.json`));
const requests = new SharedArray('requests', () => JSON.parse(open(`${folder}/requests.json`)));
const [shortest, longest] = plan.think_s;
const parameters = {
  headers: { 'Content-Type': 'application/json', 'X-API-Key': __ENV.FORGETLESS_LOAD_KEY },
  timeout: '40s',
};

function stages() {
  const steps = [];
  for (const stage of plan.stages) {
    steps.push({ duration: `${Math.round(plan.ramp_s * 1000)}ms`, target: stage.users });
    steps.push({ duration: `${Math.round(stage.seconds * 1000)}ms`, target: stage.users });
  }
  return steps;
}

export const options = {
  scenarios: {
    users: { executor: 'ramping-vus', startVUs: 0, stages: stages(), gracefulRampDown: '40s', gracefulStop: '40s' },
  },
};

export default function () {
  const request = requests[exec.scenario.iterationInTest % requests.length];
  const began = Date.now();
  const answer = http.post(plan.url + request.path, request.body, parameters);
  // A broken connection has status 0; an answer without results is an error.
  const good = answer.status === 200 && answer.body && answer.body.includes('"results"');
  console.log(
    JSON.stringify({
      sent: began,
      at: began - exec.scenario.startTime,
      kind: request.kind,
      // Of a request that broke off, k6 has no duration: then the time until now tells whether Ctrl-C broke it off.
      ms: answer.error ? Date.now() - began : answer.timings.duration,
      status: answer.status,
      ok: Boolean(good),
      timing: answer.headers['Server-Timing'] || '',
    }),
  );
  if (longest > 0) {
    sleep(shortest + Math.random() * (longest - shortest));
  }
}
