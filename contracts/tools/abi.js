// Exports the ABI and creation bytecode of each deployed contract to abi/, which core/chain binds to.
// Usage: node tools/abi.js [--check] [contract ...]
import { join } from "node:path";
import { artifact, deployed, root } from "./artifacts.js";
import { keep, selected } from "./compare.js";

for (const name of selected(deployed)) {
  const { abi, bytecode } = artifact(name);
  keep(join(root, "abi", `${name}.json`), `${JSON.stringify({ abi, bytecode: bytecode.object }, null, 1)}\n`, "npm run abi");
}
