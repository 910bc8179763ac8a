// Spawns an agent, follows its events (standard error) and its output (standard output), exits with its code.
//
//   node run.js [--socket PATH] [--token-file FILE] -- command ...
//
// Exit code: the agent's; 128 + n after signal n; 127 when the program could not be started; 69 when the daemon cannot be reached or refuses.

import { randomUUID } from "node:crypto";
import { ask, connect, place } from "./kage.js";

const { rest: command, ...where } = place(process.argv.slice(2));
const kage = connect(where);

try {
  const spec = { command, workingDirectory: process.cwd(), labels: { client: "node" } };
  const { agent } = await ask(kage.agents, "SpawnAgent", { spec, requestId: randomUUID() });
  console.error(`spawned ${agent.id} (${agent.name}) at seq ${agent.asOfSeq}`);
  const [ended] = await Promise.all([followEvents(agent), followLogs(agent)]);
  process.exitCode = ended.signal ? 128 + ended.signal : ended.exitCode < 0 ? 127 : ended.exitCode;
} catch (error) {
  console.error(`kaged: ${error.details ?? error.message}`);
  process.exitCode = 69;
} finally {
  kage.close();
}

/** Print every event of the agent, from its first on; what `agent.ended` said. */
async function followEvents(agent) {
  const call = kage.events.SubscribeEvents({ afterSeq: 0, filter: `agent = "${agent.id}"` });
  for await (const message of call) {
    for (const event of message.batch?.events ?? []) {
      console.error(`${String(event.seq).padStart(6)}  ${event.meta.type}`);
      if (event.meta.type === "agent.ended") {
        call.on("error", () => {}); // our own cancel
        call.cancel();
        return event.meta.fact.agentEnded;
      }
    }
  }
  throw new Error("the subscription ended before the agent did");
}

/** The agent's output as it was written, byte for byte. */
async function followLogs(agent) {
  const call = kage.agents.StreamLogs({ agent: agent.id, follow: true, raw: true });
  for await (const message of call) {
    for (const line of message.lines) process.stdout.write(line.data);
  }
}
