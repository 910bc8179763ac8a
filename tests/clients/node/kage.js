// How a Node program reaches kaged: the proto files, the Unix socket, the token. Nothing else is needed.
//
//   const { agents, events, close } = connect({ socket, tokenFile });
//   const { agent } = await ask(agents, "SpawnAgent", { spec: { command: ["make", "test"] } });
//
// 64-bit numbers are JavaScript numbers (positions stay below 2^53), enums their names, bytes Buffers.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const HERE = dirname(fileURLToPath(import.meta.url));
export const PROTO_DIR = join(HERE, "../../../proto");
const SERVICES = ["agent_service.proto", "event_service.proto", "daemon_service.proto", "approval_service.proto"];
const SHAPES = { includeDirs: [PROTO_DIR], longs: Number, enums: String, defaults: true, oneofs: true };

/** The stubs of one daemon. The token goes with every call. */
export function connect({ socket, tokenFile }) {
  const definition = loader.loadSync(SERVICES.map((name) => `kaged/api/v1/${name}`), SHAPES);
  const api = grpc.loadPackageDefinition(definition).kaged.api.v1;
  const address = `unix:${socket}`;
  const plain = grpc.credentials.createInsecure();
  const options = {
    "grpc.max_receive_message_length": 16 << 20,
    "grpc.default_authority": "localhost", // a socket's path is no host name
    interceptors: [withToken(readFileSync(tokenFile, "ascii").trim())],
  };
  const agents = new api.AgentService(address, plain, options);
  const shared = { ...options, channelOverride: agents.getChannel() };
  const events = new api.EventService(address, plain, shared);
  return { agents, events, close: () => agents.close() };
}

/** One question, one answer; rejects with grpc's ServiceError. */
export function ask(service, method, request, { timeoutMs = 30_000 } = {}) {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + timeoutMs;
    service[method](request, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

/** What `--socket`, `--token-file` and the environment say, and what is left of the command line. */
export function place(argv) {
  const rest = [...argv];
  const told = {};
  while (rest[0]?.startsWith("--") && rest[0] !== "--") {
    told[rest.shift().slice(2)] = rest.shift();
  }
  if (rest[0] === "--") rest.shift();
  const socket = told.socket ?? process.env.KAGE_SOCKET?.replace(/^unix:/, "");
  if (!socket) throw new Error("say where kaged listens: --socket PATH or KAGE_SOCKET");
  const tokenFile = told["token-file"] ?? process.env.KAGE_TOKEN_FILE ?? join(dirname(socket), "owner.token");
  return { socket, tokenFile, rest };
}

function withToken(token) {
  return (options, next) =>
    new grpc.InterceptingCall(next(options), {
      start(metadata, listener, forward) {
        metadata.set("authorization", `Bearer ${token}`);
        forward(metadata, listener);
      },
    });
}
