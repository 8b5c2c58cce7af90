// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Run} from "../../src/registry/RegistryTypes.sol";
import {RegistryTest} from "./RegistryTest.sol";

/// Metadata of STARK proofs.
contract StarkProofsTest is RegistryTest {
    struct Proof {
        bytes32 batchId;
        bytes32 proofHash;
        bytes32 prevStateRoot;
        bytes32 newStateRoot;
        uint64 proofSize;
    }

    address private immutable guest = makeAddress("guest");

    function _proof(uint256 number) private pure returns (Proof memory) {
        return _proofOf(batch(number));
    }

    function _proofOf(Commit memory c) private pure returns (Proof memory) {
        return Proof(c.batchId, "proof", c.prevStateRoot, c.newStateRoot, 4096);
    }

    function _prove(Proof memory p) private {
        vm.prank(sequencer);
        registry.commitStarkProof(
            p.batchId, p.proofHash, p.prevStateRoot, p.newStateRoot, "policy", 7, true, p.proofSize, 250
        );
    }

    function _proveReverts(Proof memory p, bytes memory revertData) private {
        vm.expectRevert(revertData);
        _prove(p);
    }

    function test_storesAProofForRecordsOfEitherForm() public {
        commit(batch(1));
        commitRun(run(2, 3));
        for (uint256 number = 1; number <= 3; ++number) {
            Proof memory p = _proof(number);
            vm.assertFalse(registry.hasStarkProof(p.batchId));
            vm.expectEmit(address(registry));
            emit StarkProofCommitted(p.batchId, "proof", "policy", true, 4096);
            _prove(p);
            vm.assertTrue(registry.hasStarkProof(p.batchId));
            vm.assertTrue(registry.verifyStarkProofHash(p.batchId, "proof"));
            vm.assertFalse(registry.verifyStarkProofHash(p.batchId, "other"));
            (
                bytes32 proofHash,
                bytes32 policyHash,
                uint64 policyLimit,
                bool allCompliant,
                uint64 proofSize,
                uint64 provingTimeMs,
                uint64 timestamp
            ) = registry.starkProofs(p.batchId);
            vm.assertEq(
                abi.encode(proofHash, policyHash, policyLimit, allCompliant, proofSize, provingTimeMs, timestamp),
                abi.encode(bytes32("proof"), bytes32("policy"), 7, true, 4096, 250, block.timestamp)
            );
        }
        vm.assertEq(registry.totalStarkProofs(), 3);
        (,,,,, uint256 coverage) = registry.getExtendedRegistryStatus();
        vm.assertEq(coverage, 10_000);
        (bytes32 latest,,, bool hasLatestProof) = registry.getTenantStoreSummary(TENANT, STORE);
        vm.assertEq(latest, batch(3).batchId);
        vm.assertTrue(hasLatestProof);
    }

    function test_checksInTheDocumentedOrder() public {
        Proof memory p = _proof(1);
        p.proofHash = 0;
        p.prevStateRoot = "wrong";
        p.newStateRoot = "wrong";
        _proveReverts(p, abi.encodeWithSelector(BatchNotCommitted.selector));
        commit(batch(1));
        _proveReverts(p, abi.encodeWithSelector(StateRootMismatchInProof.selector));
        p.newStateRoot = batch(1).newStateRoot;
        _proveReverts(p, abi.encodeWithSelector(StateRootMismatchInProof.selector));
        p.prevStateRoot = batch(1).prevStateRoot;
        _proveReverts(p, abi.encodeWithSelector(InvalidProof.selector));
        p.proofHash = "proof";
        p.proofSize = 0;
        _proveReverts(p, abi.encodeWithSelector(InvalidProof.selector));
        p.proofSize = 1;
        _prove(p);
        p.newStateRoot = "wrong";
        _proveReverts(p, abi.encodeWithSelector(StarkProofAlreadyCommitted.selector));

        vm.prank(owner);
        registry.pause();
        _proveReverts(p, abi.encodeWithSelector(EnforcedPause.selector));
        vm.expectRevert(NotAuthorizedSequencer.selector);
        registry.commitStarkProof(p.batchId, 0, 0, 0, 0, 0, true, 0, 0);
    }

    /// The previous root is checked wherever it is kept: with the predecessor, apart, in code.
    function test_refusesAnotherPreviousRootInEveryForm() public {
        Commit memory first = batch(1);
        first.prevStateRoot = "somewhere";
        commit(first);
        commit(batch(2));
        commitRun(run(3, 4));
        for (uint256 number = 1; number <= 4; ++number) {
            Proof memory p = _proof(number);
            if (number == 1) p.prevStateRoot = "somewhere";
            bytes32 right = p.prevStateRoot;
            p.prevStateRoot = bytes32(uint256(right) ^ 1);
            _proveReverts(p, abi.encodeWithSelector(StateRootMismatchInProof.selector));
            p.prevStateRoot = right;
            _prove(p);
        }
    }

    /// Records of a bound stream tell which stream they are of, in slots and at any place in a data contract.
    function test_aBoundStreamsProofsAreBoundToo() public {
        bytes32 otherStore = uuid("other store");
        vm.startPrank(owner);
        registry.setStrictMode(false);
        registry.setStreamSequencer(TENANT, STORE, sequencer);
        registry.setStreamSequencer(TENANT, "bound too", sequencer);
        vm.stopPrank();
        commit(batch(1));
        Run[] memory runs = new Run[](5);
        runs[0] = run(TENANT, otherStore, 1, 2);
        runs[1] = run(2, 4);
        runs[2] = run(TENANT, "bound too", 1, 2);
        runs[3] = run(6, 7);
        runs[3].batches[0].eventsRoot = 0;
        runs[4] = run(TENANT, otherStore, 3, 3);
        vm.assertEq(commitRuns(registry, runs), 9);
        vm.startPrank(owner);
        registry.setStreamSequencer(TENANT, STORE, stranger);
        registry.setStreamSequencer(TENANT, "bound too", guest);
        vm.stopPrank();

        for (uint256 number = 1; number <= 7; ++number) {
            if (number == 5 || number == 6) continue;
            assertStored(batch(number));
            _proveReverts(_proof(number), abi.encodeWithSelector(StreamBoundToSequencer.selector, stranger));
        }
        for (uint256 number = 1; number <= 2; ++number) {
            Commit memory c = batchOf(TENANT, "bound too", number);
            assertStored(c);
            _proveReverts(_proofOf(c), abi.encodeWithSelector(StreamBoundToSequencer.selector, guest));
        }
        for (uint256 number = 1; number <= 3; ++number) {
            assertStored(batchOf(TENANT, otherStore, number));
            _prove(_proofOf(batchOf(TENANT, otherStore, number)));
        }
        vm.prank(owner);
        registry.setStreamSequencer(TENANT, STORE, address(0));
        _prove(_proof(1));
        _prove(_proof(7));
    }

    function test_commitsABatchWithItsProof() public {
        Commit memory c = batch(1);
        vm.expectRevert(InvalidProof.selector);
        _commitWithProof(c, 0);
        vm.assertFalse(registry.batchExists(c.batchId));
        _commitWithProof(c, "proof");
        assertStored(c);
        assertHead(c);
        (bytes32 proofHash, bytes32 policyHash, bool allCompliant, uint64 timestamp) =
            registry.getStarkProofDetails(c.batchId);
        vm.assertEq(
            abi.encode(proofHash, policyHash, allCompliant, timestamp),
            abi.encode(bytes32("proof"), bytes32("policy"), true, block.timestamp)
        );
        (uint256 commitmentCount, uint256 proofCount,,) = registry.getRegistryStats();
        vm.assertEq(commitmentCount, 1);
        vm.assertEq(proofCount, 1);
        vm.expectRevert(BatchAlreadyCommitted.selector);
        _commitWithProof(c, "proof");
    }

    function test_statusOfSeveralBatches() public {
        commitRun(run(1, 2));
        _prove(_proof(2));
        bytes32[] memory ids = new bytes32[](3);
        (ids[0], ids[1], ids[2]) = (batch(1).batchId, batch(2).batchId, batch(3).batchId);
        (bool[] memory hasProofs, bool[] memory allCompliant) = registry.getBatchProofStatuses(ids);
        bool[] memory exists = registry.batchExists(ids);
        vm.assertFalse(hasProofs[0]);
        vm.assertTrue(hasProofs[1] && allCompliant[1]);
        vm.assertFalse(hasProofs[2] || allCompliant[2]);
        vm.assertTrue(exists[0] && exists[1]);
        vm.assertFalse(exists[2]);
        (, bool hasProof, bool compliant) = registry.getBatchWithProofStatus(ids[1]);
        vm.assertTrue(hasProof && compliant);
        vm.assertFalse(registry.verifyStarkProofHash(ids[2], 0));
        (,,,,, uint256 coverage) = registry.getExtendedRegistryStatus();
        vm.assertEq(coverage, 5000);
    }

    function _commitWithProof(Commit memory c, bytes32 proofHash) private {
        vm.prank(sequencer);
        registry.commitBatchWithStarkProof(
            c.batchId,
            c.tenantId,
            c.storeId,
            c.eventsRoot,
            c.prevStateRoot,
            c.newStateRoot,
            c.sequenceStart,
            c.sequenceEnd,
            c.eventCount,
            proofHash,
            "policy",
            7,
            true,
            4096,
            250
        );
    }
}
