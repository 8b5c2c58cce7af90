// Keeps a committed file equal to what the build gives: writes it, or with --check fails where it differs.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, relative } from "node:path";
import { root } from "./artifacts.js";

/** Whether this run compares and writes nothing. */
export const checking = process.argv.includes("--check");

/** Names given on the command line, or `all` where there are none. */
export function selected(all) {
  const names = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
  const unknown = names.filter((name) => !all.includes(name));
  if (unknown.length > 0) throw new Error(`unknown: ${unknown.join(", ")}; known: ${all.join(", ")}`);
  return names.length > 0 ? names : all;
}

/** Writes `text` to `file`, or compares; `remedy` is the command that brings the file up to date. */
export function keep(file, text, remedy) {
  const name = relative(root, file);
  if (!checking) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(`wrote ${name}`);
    return;
  }
  let committed = "";
  try {
    committed = readFileSync(file, "utf8");
  } catch {
    // A missing file differs from anything.
  }
  if (committed === text) {
    console.log(`${name} is up to date`);
  } else {
    console.error(`${name} differs from the build: run \`${remedy}\` and commit the result if the change is meant`);
    process.exitCode = 1;
  }
}
