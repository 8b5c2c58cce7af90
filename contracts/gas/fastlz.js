// How large a transaction is for the data fee and the DA footprint of an OP Stack chain (Fjord specification, "FastLZ
// implementation"; Jovian, "DA footprint block limit").

const WINDOW = 0x1fff;

/** Length that FastLZ level 1 compresses `bytes` to. */
export function fastLzLength(bytes) {
  const table = new Uint32Array(WINDOW + 1);
  const three = (at) => bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16);
  const hash = (value) => (Math.imul(2654435769, value) >>> 19) & WINDOW;
  const limit = Math.max(bytes.length - 13, 0);
  let length = 0;
  let anchor = 0;

  const literals = (count) => {
    const rest = count % 32;
    length += 33 * Math.floor(count / 32) + (rest === 0 ? 0 : rest + 1);
  };

  for (let at = 2; at < limit; ) {
    let match;
    for (;;) {
      const value = three(at);
      const slot = hash(value);
      match = table[slot];
      table[slot] = at;
      if (at >= limit) break;
      at += 1;
      if (at - 1 - match <= WINDOW && value === three(match)) break;
    }
    if (at >= limit) break;
    at -= 1;
    if (at > anchor) literals(at - anchor);

    // Counts the first differing byte too, as the specification's code does.
    const most = limit + 9 - (at + 3);
    let matched = 0;
    while (matched < most) {
      matched += 1;
      if (bytes[match + 2 + matched] !== bytes[at + 2 + matched]) break;
    }
    length += 3 * Math.floor((matched - 1) / 262) + ((matched - 1) % 262 >= 6 ? 3 : 2);

    at += matched;
    table[hash(three(at))] = at;
    at += 1;
    table[hash(three(at))] = at;
    at += 1;
    anchor = at;
  }
  literals(bytes.length - anchor);
  return length;
}

/** Estimated compressed size of a signed transaction in bytes, at least 100. */
export function estimatedBytes(bytes) {
  return Math.max(100, (836_500 * fastLzLength(bytes) - 42_585_600) / 1_000_000);
}
