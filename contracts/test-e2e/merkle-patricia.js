// Verifies proofs of Ethereum's Merkle-Patricia tries (Yellow Paper, appendix D), as eth_getProof gives them.
import { fromRlp, hexToBytes, keccak256 } from "viem";

const nibbles = (bytes) => [...bytes].flatMap((byte) => [byte >> 4, byte & 15]);

/**
 * The RLP value that the trie with `root` holds under keccak256(key), or null where it holds none.
 * Throws where the proof does not lead from the root to an answer.
 */
export function provenValue(root, key, proof) {
  if (proof.length === 0 && root === keccak256("0x80")) return null;
  let path = nibbles(hexToBytes(keccak256(key)));
  let expected = root;
  const nodes = [...proof];
  let node = take();

  for (;;) {
    if (node.length === 17) {
      if (path.length === 0) return node[16] === "0x" ? null : node[16];
      const child = node[path[0]];
      path = path.slice(1);
      if (child === "0x") return end(null);
      node = follow(child);
    } else {
      const [prefix, ...rest] = nibbles(hexToBytes(node[0]));
      const isLeaf = prefix >= 2;
      const step = prefix % 2 === 1 ? rest : rest.slice(1);
      const matches = step.every((nibble, position) => nibble === path[position]);
      if (isLeaf) return end(matches && step.length === path.length ? node[1] : null);
      if (!matches) return end(null);
      path = path.slice(step.length);
      node = follow(node[1]);
    }
  }

  /** A child is a hash of the proof's next node or, if shorter than a hash, the node itself. */
  function follow(child) {
    if (Array.isArray(child)) return child;
    expected = child;
    return take();
  }

  function take() {
    const encoded = nodes.shift();
    if (encoded === undefined) throw new Error("the proof ends before an answer");
    if (keccak256(encoded) !== expected) throw new Error("a node of the proof has another hash than its parent says");
    return fromRlp(encoded);
  }

  function end(value) {
    if (nodes.length > 0) throw new Error("the proof goes on after its answer");
    return value;
  }
}
