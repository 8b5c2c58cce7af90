// Measures what the contracts cost and keeps gas/snapshot.json: fails where a number is over its limit, and with --check where
// one differs from the snapshot.
import { join } from "node:path";
import { root } from "../tools/artifacts.js";
import { keep } from "../tools/compare.js";
import { withChain } from "./chain.js";
import { measurePaymaster } from "./paymaster.js";
import { measureRegistry } from "./registry.js";

const measurements = [measureRegistry, measurePaymaster];

const rows = [];
for (const measure of measurements) rows.push(...(await withChain(measure)));

console.table(
  Object.fromEntries(rows.map(({ name, ...row }) => [name, { ...row, reference: row.reference ?? "-" }])),
);
for (const { name, unit, measured, limit } of rows.filter((row) => row.measured > row.limit)) {
  console.error(`${name}: ${measured} ${unit}, over the limit of ${limit}`);
  process.exitCode = 1;
}
keep(join(root, "gas", "snapshot.json"), `${JSON.stringify(rows, null, 1)}\n`, "npm run gas");
