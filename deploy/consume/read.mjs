// Prints the events stored since a time, one JSON document a line, and ends.
//
//   node read.mjs 2026-09-21T00:00:00Z
//
// NATS_URL, NATS_USER and NATS_PASSWORD say where and who.
//
// The time is when an event was stored; its own time is event.time. Without
// one it prints all events. The SDK writes them with the fields in an order of
// its own, and their time with milliseconds.

import { connect } from "@nats-io/transport-node";
import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { HTTP } from "cloudevents";

const since = process.argv[2] && new Date(process.argv[2]);
if (since && Number.isNaN(since.getTime())) {
  console.error(`start time: must be like 2026-09-21T00:00:00Z, got ${process.argv[2]}`);
  process.exit(2);
}

// Whoever reads may have enough: read.mjs | head.
process.stdout.on("error", (error) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const nc = await connect({
  servers: process.env.NATS_URL,
  user: process.env.NATS_USER,
  pass: process.env.NATS_PASSWORD,
});

// An ordered consumer: nothing to create before, nothing left behind, and it
// starts again by itself where it was when the connection breaks.
const consumer = await jetstream(nc).consumers.get("DOCSPACE", {
  filter_subjects: "docspace.folder.>",
  ...(since
    ? { deliver_policy: DeliverPolicy.StartTime, opt_start_time: since.toISOString() }
    : { deliver_policy: DeliverPolicy.All }),
});

if ((await consumer.info()).num_pending > 0) {
  for await (const message of await consumer.consume()) {
    const event = HTTP.toEvent({
      headers: { "content-type": message.headers.get("Content-Type") },
      body: message.string(),
    });
    console.log(JSON.stringify(event));
    if (message.info.pending === 0) break;
  }
}
await nc.drain();
