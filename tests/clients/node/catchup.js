// Reads the whole journal once, decodes every event, and says how fast that was.
//
//   node catchup.js SOCKET TOKEN_FILE [MAX_BATCH]     ->  {"events": n, "seconds": s, "bytes": b, "last_seq": q}
//
// ReadEvents, decoded by protobufjs into messages with its own types (positions are Longs): what a program that
// only passes through needs. `positions` must have no gap, or it exits with 1.

import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { PROTO_DIR } from "./kage.js";

const [socket, tokenFile, maxBatch = "1000"] = process.argv.slice(2);
if (!tokenFile) {
  console.error("usage: node catchup.js SOCKET TOKEN_FILE [MAX_BATCH]");
  process.exit(2);
}

const root = new protobuf.Root();
root.resolvePath = (_, target) => (target.startsWith("google/") ? target : `${PROTO_DIR}/${target}`);
root.loadSync("kaged/api/v1/event_service.proto");
const Request = root.lookupType("kaged.api.v1.ReadEventsRequest");
const Batch = root.lookupType("kaged.api.v1.ReadEventsResponse");

const client = new grpc.Client(`unix:${socket}`, grpc.credentials.createInsecure(), {
  "grpc.max_receive_message_length": 16 << 20,
  "grpc.default_authority": "localhost",
  "grpc-node.flow_control_window": 4 << 20,
});
const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${readFileSync(tokenFile, "ascii").trim()}`);

const begun = performance.now();
const call = client.makeServerStreamRequest(
  "/kaged.api.v1.EventService/ReadEvents",
  (request) => Buffer.from(Request.encode(request).finish()),
  (data) => [Batch.decode(data), data.length],
  Request.create({ fromSeq: 1, maxBatch: Number(maxBatch) }),
  metadata,
);

let events = 0;
let bytes = 0;
let lastSeq = 0;
let gaps = 0;
call.on("data", ([batch, size]) => {
  bytes += size;
  for (const event of batch.events) {
    const seq = event.seq.high * 2 ** 32 + (event.seq.low >>> 0);
    if (seq !== lastSeq + 1) gaps += 1;
    lastSeq = seq;
  }
  events += batch.events.length;
});
call.on("error", (error) => {
  console.error(`kaged: ${error.details ?? error.message}`);
  process.exit(1);
});
call.on("end", () => {
  const seconds = (performance.now() - begun) / 1000;
  console.log(JSON.stringify({ events, seconds: Number(seconds.toFixed(6)), bytes, last_seq: lastSeq }));
  client.close();
  process.exitCode = gaps ? 1 : 0;
});
