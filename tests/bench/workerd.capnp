# The peer with isolates: one worker, the default limits (none).
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .hello)],
  sockets = [(name = "http", address = "127.0.0.1:@PORT@", http = (), service = "main")],
);
const hello :Workerd.Worker = (
  modules = [(name = "hello", esModule =
    "export default { async fetch() { return Response.json({ hello: 'world' }) } }")],
  compatibilityDate = "2025-01-01",
);
