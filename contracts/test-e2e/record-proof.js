// Proves a registry's records to somebody who trusts nothing but a block's state root: the verifier of LAYOUT.md, version 1.
// It asks no getter, so that it also tests that the layout is what the document says.
import { encodeAbiParameters, fromRlp, hexToBigInt, hexToBytes, keccak256, numberToHex, toHex } from "viem";
import { provenValue } from "./merkle-patricia.js";

const STATUS_SLOT = 0n;
const RECORDS_SLOT = 1n;
const EXPLICIT_PREVIOUS_ROOT_SLOT = 2n;
const LAYOUT_VERSION = 1n;
const DATA_CONTRACT_VERSION = 1;

const word = (number) => numberToHex(number, { size: 32 });

/** Storage slot of `key` in the mapping at `slot`. */
const mappingSlot = (key, slot) =>
  hexToBigInt(keccak256(encodeAbiParameters([{ type: "bytes32" }, { type: "uint256" }], [key, slot])));

/** Bits [low, low + size) of `value`. */
const bits = (value, low, size) => (value >> BigInt(low)) & ((1n << BigInt(size)) - 1n);

/** State of one block, of which only the root is trusted; `client` may lie about everything else. */
export class ProvenState {
  constructor(client, blockNumber, stateRoot) {
    Object.assign(this, { client, blockNumber, stateRoot });
  }

  /** The proven account and storage words of `address`; an absent slot is zero. */
  async #account(address, slots) {
    const answer = await this.client.request({
      method: "eth_getProof",
      params: [address, slots.map(word), numberToHex(this.blockNumber)],
    });
    const account = provenValue(this.stateRoot, address, answer.accountProof);
    if (account === null) throw new Error(`there is no account at ${address}`);
    const [, , storageRoot, codeHash] = fromRlp(account);
    const values = slots.map((slot, position) => {
      const value = provenValue(storageRoot, word(slot), answer.storageProof[position].proof);
      return value === null ? 0n : hexToBigInt(fromRlp(value));
    });
    return { codeHash, values };
  }

  async #code(address) {
    const { codeHash } = await this.#account(address, []);
    const code = await this.client.request({ method: "eth_getCode", params: [address, numberToHex(this.blockNumber)] });
    if (keccak256(code) !== codeHash) throw new Error(`the code of ${address} has another hash than the account says`);
    return hexToBytes(code);
  }

  /** The record of `batchId` in the registry, or null where it is proven that there is none. */
  async record(registry, batchId) {
    const base = mappingSlot(batchId, RECORDS_SLOT);
    const explicit = mappingSlot(batchId, EXPLICIT_PREVIOUS_ROOT_SLOT);
    const { values } = await this.#account(registry, [STATUS_SLOT, base, base + 1n, base + 2n, explicit]);
    const [status, eventsRoot, newStateRoot, packed, explicitRoot] = values;
    if (bits(status, 0, 8) !== LAYOUT_VERSION) throw new Error(`unknown layout version ${bits(status, 0, 8)}`);
    if (packed === 0n) return null;
    const sequenceStart = bits(packed, 192, 64);
    if (eventsRoot === 0n) return this.#recordInCode(packed, sequenceStart);

    const eventCount = bits(packed, 160, 32);
    const predecessor = bits(packed, 0, 128);
    return {
      eventsRoot: word(eventsRoot),
      newStateRoot: word(newStateRoot),
      sequenceStart,
      sequenceEnd: sequenceStart + eventCount - 1n,
      eventCount: Number(eventCount),
      timestamp: bits(packed, 128, 32),
      prevStateRoot:
        predecessor === 0n
          ? word(explicitRoot)
          : (await this.record(registry, word(predecessor << 128n))).newStateRoot,
    };
  }

  async #recordInCode(packed, sequenceStart) {
    const code = await this.#code(numberToHex(bits(packed, 0, 160), { size: 20 }));
    if (code[0] !== 0 || code[1] !== DATA_CONTRACT_VERSION) throw new Error("not a data contract of version 1");
    const offset = Number(bits(packed, 160, 16));
    const at = (start, size) => toHex(code.slice(start, start + size));
    const eventCount = hexToBigInt(at(offset + 32, 4));
    return {
      eventsRoot: at(offset, 32),
      newStateRoot: at(offset + 36, 32),
      sequenceStart,
      sequenceEnd: sequenceStart + eventCount - 1n,
      eventCount: Number(eventCount),
      timestamp: hexToBigInt(at(2, 8)),
      prevStateRoot: at(offset - 32, 32),
    };
  }
}
