// The committed contracts: abi/<name>.json, `{abi, bytecode}`.
import {readFileSync} from "node:fs";

const read = (name) => JSON.parse(readFileSync(new URL(`../abi/${name}.json`, import.meta.url), "utf8"));

export const registry = read("SetRegistry");
export const paymaster = read("SetPaymaster");
export const proxy = read("ERC1967Proxy");
