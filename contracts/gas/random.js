// Random values that are the same in every run, so that a gas snapshot can be compared exactly.
import { createHash } from "node:crypto";

/** A source of bytes from `seed`: SHA-256 in counter mode. */
export class Random {
  #seed;
  #counter = 0;

  constructor(seed) {
    this.#seed = seed;
  }

  /** 32 random bytes as 0x-hex: a Merkle or state root. */
  bytes32() {
    return `0x${createHash("sha256").update(`${this.#seed}/${this.#counter++}`).digest("hex")}`;
  }

  /** A random UUID as a bytes32: 16 bytes, then zeros. */
  uuid() {
    return `${this.bytes32().slice(0, 34)}${"00".repeat(16)}`;
  }

  /** A random 20-byte address. */
  address() {
    return `0x${this.bytes32().slice(2, 42)}`;
  }

  /** A whole number in [low, high]. */
  integer(low, high) {
    return low + Number(BigInt(this.bytes32()) % BigInt(high - low + 1));
  }
}
