// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Run} from "../../src/registry/RegistryTypes.sol";
import {RegistryTest} from "./RegistryTest.sol";

/// Inclusion proofs: those of VES v1 trees, and nothing else.
contract InclusionTest is RegistryTest {
    bytes32 private constant PAD = sha256("VES_PAD_LEAF_V1");

    string private vectors;

    function setUp() public override {
        super.setUp();
        vectors = vm.readFile("test/vectors/ves.json");
        _allowGaps();
    }

    /// Every recorded proof of a real sequencer, with its batch committed as it was listed, in slots and in code.
    function test_recordedProofsVerify() public {
        for (uint256 form; form < 2; ++form) {
            registry = newRegistry();
            _allowGaps();
            uint256 proofs;
            for (uint256 b; _has(_batch(b)); ++b) {
                Commit memory c = _recorded(b);
                form == 0 ? commit(c) : _commitInCode(c);
                assertStored(c);
                for (uint256 p; _has(_proof(b, p)); ++p) {
                    (bytes32 leaf, bytes32[] memory path, uint256 index) = _recordedProof(b, p);
                    vm.assertTrue(registry.verifyInclusion(c.batchId, leaf, path, index), _proof(b, p));
                    ++proofs;
                }
            }
            vm.assertEq(proofs, 12);
        }
    }

    /// Of every recorded proof, each bit of the leaf, of each sibling and of the index, turned over on its own.
    function test_noSingleBitChangeOfARecordedProofVerifies() public {
        for (uint256 b; _has(_batch(b)); ++b) {
            bytes32 batchId = _recorded(b).batchId;
            commit(_recorded(b));
            for (uint256 p; _has(_proof(b, p)); ++p) {
                (bytes32 leaf, bytes32[] memory path, uint256 index) = _recordedProof(b, p);
                for (uint256 bit; bit < 256; ++bit) {
                    uint256 flip = 1 << bit;
                    vm.assertFalse(registry.verifyInclusion(batchId, bytes32(uint256(leaf) ^ flip), path, index));
                    vm.assertFalse(registry.verifyInclusion(batchId, leaf, path, index ^ flip));
                    for (uint256 level; level < path.length; ++level) {
                        path[level] = bytes32(uint256(path[level]) ^ flip);
                        vm.assertFalse(registry.verifyInclusion(batchId, leaf, path, index));
                        path[level] = bytes32(uint256(path[level]) ^ flip);
                    }
                }
            }
        }
    }

    /// Each recorded batch once more, with each bit of its root turned over, before all of its proofs.
    function test_noSingleBitChangeOfTheRootVerifies() public {
        for (uint256 b; _has(_batch(b)); ++b) {
            Commit memory c = _recorded(b);
            bytes32[] memory batchIds = new bytes32[](256);
            for (uint256 bit; bit < 256; ++bit) {
                Commit memory other = batchOf(TENANT, bytes32(256 * b + bit + 1), 1);
                other.eventsRoot = bytes32(uint256(c.eventsRoot) ^ (1 << bit));
                other.sequenceEnd = c.eventCount;
                other.eventCount = c.eventCount;
                commit(other);
                batchIds[bit] = other.batchId;
            }
            for (uint256 p; _has(_proof(b, p)); ++p) {
                (bytes32 leaf, bytes32[] memory path, uint256 index) = _recordedProof(b, p);
                for (uint256 bit; bit < 256; ++bit) {
                    vm.assertFalse(registry.verifyInclusion(batchIds[bit], leaf, path, index));
                }
            }
        }
    }

    /// All proofs of trees of every shape up to 20 leaves verify; pads and inner nodes never pass for an event.
    function test_exactlyTheEventsOfATreeVerify() public {
        for (uint256 count = 1; count <= 20; ++count) {
            bytes32[] memory leaves = _leaves(count);
            bytes32 batchId = _commitTree(count, leaves);
            uint256 depth = _depth(count);
            for (uint256 index; index < 1 << depth; ++index) {
                (bytes32 leaf, bytes32[] memory path) = (_leaf(leaves, index), _path(leaves, depth, index));
                vm.assertTrue(registry.verifyInclusion(batchId, leaf, path, index) == index < count);
                _assertNothingShorterOrLonger(batchId, leaves, path, index);
            }
        }
    }

    /// @dev Neither the inner nodes on the way up, with what is left of the path, nor the leaf with a longer path.
    function _assertNothingShorterOrLonger(
        bytes32 batchId,
        bytes32[] memory leaves,
        bytes32[] memory path,
        uint256 index
    ) private view {
        bytes32 node = _leaf(leaves, index);
        for (uint256 up = 1; up <= path.length; ++up) {
            node = _parent(node, path[up - 1], index >> (up - 1));
            bytes32[] memory rest = new bytes32[](path.length - up);
            for (uint256 i; i < rest.length; ++i) {
                rest[i] = path[up + i];
            }
            vm.assertFalse(registry.verifyInclusion(batchId, node, rest, index >> up));
        }
        bytes32[] memory longer = new bytes32[](path.length + 1);
        for (uint256 i; i < path.length; ++i) {
            longer[i] = path[i];
        }
        vm.assertFalse(registry.verifyInclusion(batchId, _leaf(leaves, index), longer, index));
    }

    function testFuzz_largeTreesVerify(uint256 count, uint256 index) public {
        count = bound(count, 21, 300);
        index = bound(index, 0, count - 1);
        bytes32[] memory leaves = _leaves(count);
        bytes32 batchId = _commitTree(count, leaves);
        bytes32[] memory path = _path(leaves, _depth(count), index);
        vm.assertTrue(registry.verifyInclusion(batchId, leaves[index], path, index));
        vm.assertFalse(registry.verifyInclusion(batchId, leaves[index], path, index ^ 1));
    }

    function test_aWordThatIsNoBatchProvesNothing() public view {
        vm.assertFalse(registry.verifyInclusion("nothing", 0, new bytes32[](0), 0));
        vm.assertFalse(
            registry.verifyMultipleInclusions("nothing", new bytes32[](1), new bytes32[][](1), new uint256[](1))
        );
    }

    function test_severalVerifyOnlyTogether() public {
        bytes32[] memory leaves = _leaves(3);
        bytes32 batchId = _commitTree(3, leaves);
        bytes32[][] memory paths = new bytes32[][](3);
        uint256[] memory indices = new uint256[](3);
        for (uint256 i; i < 3; ++i) {
            (paths[i], indices[i]) = (_path(leaves, 2, i), i);
        }
        vm.assertTrue(registry.verifyMultipleInclusions(batchId, leaves, paths, indices));
        indices[1] = 0;
        vm.assertFalse(registry.verifyMultipleInclusions(batchId, leaves, paths, indices));
        indices[1] = 1;
        vm.assertFalse(registry.verifyMultipleInclusions(batchId, leaves, paths, new uint256[](2)));
        vm.assertFalse(registry.verifyMultipleInclusions(batchId, leaves, new bytes32[][](4), indices));
        vm.assertFalse(
            registry.verifyMultipleInclusions(batchId, new bytes32[](0), new bytes32[][](0), new uint256[](0))
        );
    }

    // ------------------------------------------------------------------ recorded batches

    /// @dev The recording leaves batches of its stream out.
    function _allowGaps() private {
        vm.prank(owner);
        registry.setStrictMode(false);
    }

    function _batch(uint256 b) private pure returns (string memory) {
        return string.concat(".batches[", vm.toString(b), "]");
    }

    function _proof(uint256 b, uint256 p) private pure returns (string memory) {
        return string.concat(_batch(b), ".proofs[", vm.toString(p), "]");
    }

    function _has(string memory key_) private view returns (bool) {
        return vm.keyExistsJson(vectors, key_);
    }

    function _recorded(uint256 b) private view returns (Commit memory c) {
        string memory pending = string.concat(_batch(b), ".pending.");
        c.batchId = _uuid(string.concat(pending, "batch_id"));
        c.tenantId = _uuid(string.concat(pending, "tenant_id"));
        c.storeId = _uuid(string.concat(pending, "store_id"));
        c.eventsRoot = _hash(string.concat(pending, "events_root"));
        c.prevStateRoot = _hash(string.concat(pending, "prev_state_root"));
        c.newStateRoot = _hash(string.concat(pending, "new_state_root"));
        c.sequenceStart = uint64(vm.parseJsonUint(vectors, string.concat(pending, "sequence_start")));
        c.sequenceEnd = uint64(vm.parseJsonUint(vectors, string.concat(pending, "sequence_end")));
        c.eventCount = uint32(vm.parseJsonUint(vectors, string.concat(pending, "event_count")));
    }

    function _recordedProof(uint256 b, uint256 p)
        private
        view
        returns (bytes32 leaf, bytes32[] memory path, uint256 index)
    {
        string memory proof = _proof(b, p);
        leaf = _hash(string.concat(proof, ".leaf_hash"));
        index = vm.parseJsonUint(vectors, string.concat(proof, ".leaf_index"));
        path = new bytes32[](vm.parseJsonUint(vectors, string.concat(_batch(b), ".created.tree_depth")));
        for (uint256 level; level < path.length; ++level) {
            path[level] = _hash(string.concat(proof, ".proof_path[", vm.toString(level), "]"));
        }
        vm.assertFalse(_has(string.concat(proof, ".proof_path[", vm.toString(path.length), "]")));
    }

    function _uuid(string memory key_) private view returns (bytes32) {
        return bytes32(_hex(vm.parseJsonString(vectors, key_)));
    }

    function _hash(string memory key_) private view returns (bytes32) {
        return bytes32(_hex(vm.parseJsonString(vectors, key_)));
    }

    /// @dev The bytes of hex digits, with or without 0x and dashes; at most 32 of them.
    function _hex(string memory text) private pure returns (bytes memory out) {
        bytes memory digits = bytes(text);
        uint256 value;
        uint256 count;
        for (uint256 i = digits[1] == "x" ? 2 : 0; i < digits.length; ++i) {
            if (digits[i] == "-") continue;
            uint8 digit = uint8(digits[i]);
            value = value << 4 | (digit >= 97 ? digit - 87 : digit - 48);
            ++count;
        }
        return abi.encodePacked(bytes32(value << (256 - 4 * count)));
    }

    function _commitInCode(Commit memory c) private {
        Run memory r = run(1, 1);
        (r.tenantId, r.storeId, r.prevStateRoot, r.sequenceStart) =
        (c.tenantId, c.storeId, c.prevStateRoot, c.sequenceStart);
        r.batches[0].batchId = c.batchId;
        r.batches[0].eventsRoot = c.eventsRoot;
        r.batches[0].newStateRoot = c.newStateRoot;
        r.batches[0].eventCount = c.eventCount;
        vm.assertEq(commitRun(r), 1);
    }

    // ------------------------------------------------------------------ VES v1 trees, built level by level

    function _commitTree(uint256 count, bytes32[] memory leaves) private returns (bytes32) {
        Commit memory c = batchOf(TENANT, bytes32(count), 1);
        c.eventsRoot = _node(leaves, _depth(count), 0);
        c.sequenceEnd = uint64(count);
        c.eventCount = uint32(count);
        commit(c);
        return c.batchId;
    }

    function _leaves(uint256 count) private pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](count);
        for (uint256 i; i < count; ++i) {
            leaves[i] = sha256(abi.encode("leaf", i));
        }
    }

    function _leaf(bytes32[] memory leaves, uint256 index) private pure returns (bytes32) {
        return index < leaves.length ? leaves[index] : PAD;
    }

    function _depth(uint256 count) private pure returns (uint256 depth) {
        while (1 << depth < count) ++depth;
    }

    function _node(bytes32[] memory leaves, uint256 level, uint256 index) private pure returns (bytes32) {
        if (level == 0) return _leaf(leaves, index);
        return sha256(
            abi.encodePacked(
                "VES_NODE_V1", _node(leaves, level - 1, 2 * index), _node(leaves, level - 1, 2 * index + 1)
            )
        );
    }

    function _path(bytes32[] memory leaves, uint256 depth, uint256 index) private pure returns (bytes32[] memory path) {
        path = new bytes32[](depth);
        for (uint256 level; level < depth; ++level) {
            path[level] = _node(leaves, level, (index >> level) ^ 1);
        }
    }

    function _parent(bytes32 node, bytes32 sibling, uint256 position) private pure returns (bytes32) {
        return position & 1 == 0
            ? sha256(abi.encodePacked("VES_NODE_V1", node, sibling))
            : sha256(abi.encodePacked("VES_NODE_V1", sibling, node));
    }
}
