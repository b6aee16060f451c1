// Parses AsyncAPI documents and writes one line of JSON for each: its
// diagnostics as text, "error" first in those that make it invalid, and the
// messages of its channels.
//
//   node asyncapi.mjs <document>...
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const levels = ["error", "warning", "info", "hint"];
const parser = new Parser();
for (const file of process.argv.slice(2)) {
  const { document, diagnostics } = await parser.parse(readFileSync(file, "utf8"), { source: file });
  const messages = [];
  for (const channel of document?.channels() ?? []) {
    for (const message of channel.messages()) {
      const { data } = message.payload().allOf()[1].properties();
      messages.push(`${message.id()} as ${message.contentType()} with ${data.title()}`);
    }
  }
  console.log(JSON.stringify({
    Diagnostics: diagnostics.map(({ severity, path, message, code }) =>
      `${levels[severity]} ${code} at ${path.join(".")}: ${message}`),
    Messages: messages,
  }));
}
