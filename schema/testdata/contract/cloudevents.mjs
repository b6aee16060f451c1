// Reads messages as NDJSON, {"headers": {...}, "body": "..."}, has the
// CloudEvents SDK parse each, and writes what it found as NDJSON.
import { createInterface } from "node:readline";
import { HTTP } from "cloudevents";

for await (const line of createInterface({ input: process.stdin })) {
  const { headers, body } = JSON.parse(line);
  const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const { data, ...attributes } = HTTP.toEvent({ headers: lower, body }).toJSON();
  console.log(JSON.stringify({ Attributes: attributes, Data: JSON.stringify(data) }));
}
