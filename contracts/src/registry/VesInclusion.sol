// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title VesInclusion
/// @notice Verifies that an event is in a batch by the Merkle trees of VES v1, as the stateset-sequencer builds them.
/// @dev `node = SHA-256("VES_NODE_V1" || left || right)`; leaves in sequence order, padded to the next power of two with one
/// constant leaf; a single leaf is its own root. The root says nothing of how many leaves there are, and a pad or an
/// inner node would pass as a leaf of a shorter path. So the depth must be exactly that of a tree of `eventCount` leaves,
/// and the index below the count.
library VesInclusion {
    /// @dev The SHA-256 precompile failed, which only a lack of gas can cause.
    error Sha256Failed();

    /// @param root The batch's events root.
    /// @param eventCount Number of the batch's events, at least 1.
    /// @param leaf The event's leaf hash.
    /// @param path Sibling hashes, bottom-up.
    /// @param index The event's position in the batch, from 0; bit d tells whether the node at depth d is a right child.
    function verify(bytes32 root, uint32 eventCount, bytes32 leaf, bytes32[] calldata path, uint256 index)
        internal
        view
        returns (bool)
    {
        return index < eventCount && path.length == depth(eventCount) && computeRoot(leaf, path, index) == root;
    }

    /// @dev ceil(log2(eventCount)) for a count of at least 1.
    function depth(uint32 eventCount) internal pure returns (uint256 levels) {
        unchecked {
            for (uint256 last = eventCount - 1; last != 0; last >>= 1) {
                ++levels;
            }
        }
    }

    /// @dev The root that `path` leads to from `leaf` at `index`.
    function computeRoot(bytes32 leaf, bytes32[] calldata path, uint256 index) internal view returns (bytes32 node) {
        node = leaf;
        bool ok = true;
        assembly ("memory-safe") {
            // One preimage of 75 bytes for all levels: the domain stays, the two children are rewritten.
            let preimage := mload(0x40)
            mstore(preimage, "VES_NODE_V1")
            for { let level := 0 } lt(level, path.length) { level := add(level, 1) } {
                let isRight := shl(5, and(shr(level, index), 1))
                mstore(add(add(preimage, 11), isRight), node)
                mstore(add(add(preimage, 11), xor(isRight, 32)), calldataload(add(path.offset, shl(5, level))))
                let called := staticcall(gas(), 2, preimage, 75, 0, 32)
                ok := and(ok, and(called, eq(returndatasize(), 32)))
                node := mload(0)
            }
        }
        if (!ok) revert Sha256Failed();
    }
}
