// Reads messages as NDJSON, {"headers": {...}, "body": "..."}, has the
// CloudEvents SDK parse each, and writes what it found as NDJSON.
import { createInterface } from "node:readline";
import { HTTP } from "cloudevents";

for await (const line of createInterface({ input: process.stdin })) {
  const { headers, body } = JSON.parse(line);
  const { data, ...attributes } = HTTP.toEvent({ headers, body }).toJSON();
  console.log(JSON.stringify({ Attributes: attributes, Data: JSON.stringify(data) }));
}
