// What forge compiled, read from its output folder.
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The contracts/ folder. */
export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** The contracts that are deployed, in the order in which the tools report them. */
export const deployed = ["SetRegistry", "SetPaymaster", "ERC1967Proxy"];

/** Forge's artifact of `name`: its ABI, bytecode and storage layout. */
export function artifact(name) {
  const file = resolve(root, process.env.FOUNDRY_OUT ?? "out", `${name}.sol`, `${name}.json`);
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(`no artifact of ${name} (${error.message}): run \`npm run build\` first`);
  }
}
