// Validates golden events with ajv, as JSON Schema 2020-12: each against the
// schema of the event, and its data against the schema that dataschema names.
//
//   node ajv.mjs <directory of schemas> <directory of goldens>...
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv/dist/2020.js";
import formats from "ajv-formats";

const [schemas, ...goldens] = process.argv.slice(2);
// Rules name fields that stand in the schema around them: these two checks look
// only at the rule.
const lenient = { strictTypes: false, strictRequired: false };
const ajv = formats(new Ajv({ strict: true, allErrors: true, ...lenient }));
const read = (path) => JSON.parse(readFileSync(path, "utf8"));
let whole;
for (const name of readdirSync(schemas).filter((name) => name.endsWith(".schema.json"))) {
  const schema = read(join(schemas, name));
  ajv.addSchema(schema);
  if (name === "event.schema.json") whole = schema.$id;
}

function problems(event) {
  const data = ajv.getSchema(event.dataschema);
  if (!data) return [{ message: `no schema ${event.dataschema}` }];
  const found = [];
  for (const [validate, value] of [[ajv.getSchema(whole), event], [data, event.data]]) {
    if (!validate(value)) found.push(...validate.errors);
  }
  return found;
}

let events = 0;
const failures = [];
for (const dir of goldens) {
  for (const name of readdirSync(dir)) {
    const event = read(join(dir, name));
    events++;
    for (const problem of problems(event)) {
      failures.push(`${name}: ${problem.instancePath ?? ""} ${problem.message}`);
    }
    // Every event is refused without its action, and with a number as its portal.
    const { action, ...rest } = event.data;
    if (problems({ ...event, data: rest }).length === 0) failures.push(`${name} without its action is accepted`);
    if (problems({ ...event, data: { ...event.data, portal: 1 } }).length === 0) failures.push(`${name} of portal 1 is accepted`);
  }
}
if (events === 0) failures.push("no golden events");
failures.forEach((line) => console.error(line));
console.log(`${events} events`);
process.exitCode = failures.length ? 1 : 0;
