// Exports each upgradeable contract's storage layout to storage-layout/: a change there is a change of what deployed
// proxies hold.
// Usage: node tools/layout.js [--check] [contract ...]
import { join } from "node:path";
import { artifact, deployed, root } from "./artifacts.js";
import { keep, selected } from "./compare.js";

/** A type's name without the compiler's node numbers, which move with unrelated code. */
const plain = (type) => type.replace(/\)\d+_storage/g, ")_storage").replace(/\)\d+(?=[,)]|$)/g, ")");

const field = ({ label, slot, offset, type }) => ({ label, slot, offset, type: plain(type) });

for (const name of selected(deployed.filter((contract) => contract !== "ERC1967Proxy"))) {
  const { storage, types } = artifact(name).storageLayout;
  const layout = {
    storage: storage.map(field),
    types: Object.fromEntries(
      Object.entries(types ?? {}).map(([type, { numberOfBytes, members, ...rest }]) => [
        plain(type),
        {
          encoding: rest.encoding,
          numberOfBytes,
          ...(rest.key && { key: plain(rest.key), value: plain(rest.value) }),
          ...(rest.base && { base: plain(rest.base) }),
          ...(members && { members: members.map(field) }),
        },
      ]),
    ),
  };
  keep(join(root, "storage-layout", `${name}.json`), `${JSON.stringify(layout, null, 1)}\n`, "npm run layout");
}
