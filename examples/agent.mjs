#!/usr/bin/env node
// The same agent as agent.py, for Node.js 18 or later: speaks jsonl (docs/jsonl-protocol.md) and asks before it acts.
//
//     kagectl run --adapter jsonl -- node examples/agent.mjs
import { appendFileSync, readdirSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";

// writeSync, because process.exit() would cut off what console.log has only queued for a pipe
const tell = (type, fields = {}) => writeSync(1, JSON.stringify({ type, ...fields }) + "\n");
const waiting = new Map();
const input = createInterface({ input: process.stdin });
input.on("line", (line) => {
  const heard = JSON.parse(line);
  if (heard.type === "approval.answer") waiting.get(heard.id)?.(heard);
});
input.on("close", () => waiting.forEach((answer) => answer({ outcome: "denied", note: "nobody is there to ask" })));
const ask = (id, title, fields) =>
  new Promise((answer) => {
    waiting.set(id, answer);
    tell("approval.request", { id, title, ...fields });
  });

tell("session", { version: 1, id: `example-${process.pid}` });
tell("turn.started");
tell("tool.started", { id: "t1", tool: "ls", input: { path: "." } });
tell("tool.finished", { id: "t1", tool: "ls", outcome: "ok", output: { entries: readdirSync(".").length } });
const { outcome, note } = await ask("q1", "write notes.txt", { tool: "write", input: { path: "notes.txt" }, timeout_s: 3600 });
if (outcome === "approved") appendFileSync("notes.txt", "Kage said yes\n");
tell("usage", { input_tokens: 1200, output_tokens: 80, cost_usd: 0.0042 });
tell("message", { text: `The answer was ${outcome}. ${note}`.trim() });
tell("turn.ended", { outcome: "ok" });
process.exit(0);
