// Clients of the public Set Chain contracts must work unchanged: each function, event and error that they know exists here with
// the same selector or topic, the same results, and the same meaning of what may be written.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAbiItem } from "viem";
import { root } from "../tools/artifacts.js";

const read = (...path) => readFileSync(join(root, "abi", ...path), "utf8");

/** A type with its components spelled out, whatever its struct is called. */
const shape = ({ type, components }) =>
  components ? type.replace("tuple", `(${components.map(shape).join(",")})`) : type;

/** What the selector or topic is the hash of, after the item's kind. */
const signature = ({ type, name, inputs }) => `${type} ${name}(${inputs.map(shape).join(",")})`;

/** Everything of an ABI item that a client depends on. */
const surface = (item) => ({
  outputs: item.outputs?.map(shape),
  constant: item.stateMutability && ["view", "pure"].includes(item.stateMutability),
  payable: item.stateMutability && item.stateMutability === "payable",
  indexed: item.type === "event" ? item.inputs.map(({ indexed }) => Boolean(indexed)) : undefined,
});

/** What clients of OpenZeppelin's contracts expect besides; renounceOwnership is the one deliberate break. */
const inherited = [
  "function owner() view returns (address)",
  "function pendingOwner() view returns (address)",
  "function transferOwnership(address newOwner)",
  "function acceptOwnership()",
  "function proxiableUUID() view returns (bytes32)",
  "function upgradeToAndCall(address newImplementation, bytes data) payable",
  "function UPGRADE_INTERFACE_VERSION() view returns (string)",
  "event OwnershipTransferred(address indexed previousOwner, address indexed newOwner)",
  "event Upgraded(address indexed implementation)",
  "error OwnableUnauthorizedAccount(address account)",
];
const pausable = [
  "function paused() view returns (bool)",
  "event Paused(address account)",
  "event Unpaused(address account)",
  "error EnforcedPause()",
  "error ExpectedPause()",
];

for (const name of ["SetRegistry", "SetPaymaster"]) {
  test(`${name} answers the public interface`, () => {
    const { abi } = JSON.parse(read(`${name}.json`));
    const ours = new Map(
      abi
        .filter(({ type }) => ["function", "event", "error"].includes(type))
        .map((item) => [signature(item), surface(item)]),
    );
    const lines = read("public", `${name}.txt`).trim().split("\n");
    assert.ok(lines.length > 50);
    for (const line of [...lines, ...inherited, ...pausable]) {
      const item = parseAbiItem(line);
      assert.deepEqual(ours.get(signature(item)), surface(item), line);
    }
  });
}
