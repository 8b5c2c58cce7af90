// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SetRegistry} from "../../src/SetRegistry.sol";
import {Batch, Run} from "../../src/registry/RegistryTypes.sol";
import {Vm} from "../Vm.sol";
import {RegistryTest} from "./RegistryTest.sol";

/// Many batches in one call, each settled on its own.
contract CommitBatchesTest is RegistryTest {
    function test_commitsRunsOfSeveralStreams() public {
        bytes32 otherStore = uuid("other store");
        commit(batchOf(TENANT, otherStore, 1));
        Run[] memory runs = new Run[](2);
        runs[0] = run(1, 5);
        runs[1] = run(TENANT, otherStore, 2, 4);
        vm.assertEq(commitRuns(registry, runs), 8);

        for (uint256 number = 1; number <= 5; ++number) {
            assertStored(batch(number));
        }
        for (uint256 number = 2; number <= 4; ++number) {
            assertStored(batchOf(TENANT, otherStore, number));
        }
        assertHead(batch(5));
        vm.assertEq(registry.totalCommitments(), 9);
        vm.assertEq(registry.getHeadSequence(TENANT, otherStore), 40);
    }

    function test_goesOnInLaterCallsOfEitherKind() public {
        commitRun(run(1, 2));
        commit(batch(3));
        commitRun(run(4, 4));
        commit(batch(5));
        for (uint256 number = 1; number <= 5; ++number) {
            assertStored(batch(number));
        }
        assertHead(batch(5));
    }

    function test_aStreamMayAppearInSeveralRuns() public {
        Run[] memory runs = new Run[](3);
        runs[0] = run(1, 2);
        runs[1] = run(TENANT, uuid("other store"), 1, 3);
        runs[2] = run(3, 4);
        vm.assertEq(commitRuns(registry, runs), 7);
        assertStored(batch(3));
        assertStored(batch(4));
        assertHead(batch(4));
    }

    function test_aSkippedBatchTellsWhichAndWhyAndStopsNobodyElse() public {
        bytes32 otherStore = uuid("other store");
        Run[] memory runs = new Run[](2);
        runs[0] = run(1, 3);
        runs[0].batches[1].eventsRoot = 0;
        runs[1] = run(TENANT, otherStore, 1, 1);

        vm.expectEmit(address(registry));
        emit BatchSkipped(batch(2).batchId, key(TENANT, STORE), EmptyEventsRoot.selector);
        vm.expectEmit(address(registry));
        emit BatchSkipped(batch(3).batchId, key(TENANT, STORE), StateRootMismatch.selector);
        vm.assertEq(commitRuns(registry, runs), 2);
        assertHead(batch(1));
        vm.assertFalse(registry.batchExists(batch(2).batchId));
        assertStored(batchOf(TENANT, otherStore, 1));
    }

    /// Where the first batch of a stream fails, the second must not become the first.
    function test_aRunDoesNotOpenAStreamInItsMiddle() public {
        Run memory r = run(1, 2);
        r.batches[0].eventsRoot = 0;
        vm.expectEmit(address(registry));
        emit BatchSkipped(batch(2).batchId, key(TENANT, STORE), StateRootMismatch.selector);
        vm.assertEq(commitRun(r), 0);
        vm.assertEq(commitRun(run(1, 2)), 2);
        assertHead(batch(2));
    }

    /// The sender can't know whether a call was lost: sending it again, and more, must do the rest and nothing else.
    function test_aRepeatedCallDoesNoHarm() public {
        commitRun(run(1, 3));
        vm.recordLogs();
        vm.assertEq(commitRun(run(1, 3)), 0);
        vm.assertEq(vm.getRecordedLogs().length, 3);
        vm.assertEq(commitRun(run(1, 5)), 2);
        assertStored(batch(5));
        assertHead(batch(5));
        vm.assertEq(registry.totalCommitments(), 5);
    }

    function test_anIdTwiceInACallIsCommittedOnce() public {
        Run memory r = run(1, 2);
        r.batches[1].batchId = r.batches[0].batchId;
        vm.expectEmit(address(registry));
        emit BatchSkipped(r.batches[0].batchId, key(TENANT, STORE), BatchAlreadyCommitted.selector);
        vm.assertEq(commitRun(r), 1);
        assertStored(batch(1));
        assertHead(batch(1));
    }

    function test_nothingIsCreatedWhereNothingIsCommitted() public {
        Run memory r = run(1, 1);
        r.batches[0].eventCount = 0;
        vm.expectEmit(address(registry));
        emit BatchSkipped(batch(1).batchId, key(TENANT, STORE), InvalidSequenceRange.selector);
        vm.record();
        vm.assertEq(commitRun(r), 0);
        (, bytes32[] memory writes) = vm.accesses(address(registry));
        vm.assertEq(writes.length, 0);
        vm.assertEq(registry.totalCommitments(), 0);
    }

    function test_aRunPastTheLastSequenceNumberIsSkippedFromThere() public {
        Run memory r = run(1, 3);
        r.sequenceStart = type(uint64).max - 14;
        vm.assertEq(commitRun(r), 1);
        vm.assertEq(registry.getHeadSequence(TENANT, STORE), type(uint64).max - 5);
        vm.prank(owner);
        registry.setStrictMode(false);
        vm.assertEq(commitRun(r), 0);
    }

    function test_refusesTheWholeCallOnlyForWhatConcernsAll() public {
        Run[] memory runs = new Run[](1);
        runs[0] = run(1, 1);
        vm.expectRevert(NotAuthorizedSequencer.selector);
        registry.commitBatches(runs);
        vm.prank(sequencer);
        vm.expectRevert(EmptyArray.selector);
        registry.commitBatches(new Run[](0));
        vm.prank(owner);
        registry.pause();
        vm.prank(sequencer);
        vm.expectRevert(EnforcedPause.selector);
        registry.commitBatches(runs);
    }

    /// With any amount of gas a call does all or nothing.
    function testFuzz_lackOfGasChangesNothing(uint256 gasLimit) public {
        Run[] memory runs = new Run[](1);
        runs[0] = run(1, 20);
        gasLimit = bound(gasLimit, 30_000, 1_200_000);
        vm.prank(sequencer);
        try registry.commitBatches{gas: gasLimit}(runs) returns (uint256 committed) {
            vm.assertEq(committed, 20);
            for (uint256 number = 1; number <= 20; ++number) {
                assertStored(batch(number));
            }
        } catch {
            vm.assertEq(registry.totalCommitments(), 0);
            vm.assertFalse(registry.batchExists(batch(1).batchId));
            assertHead(0, 0, 0);
        }
    }

    /// More than one data contract holds: 361 entries of 68 bytes are past the code size limit.
    function test_splitsWhatOneContractCantHold() public {
        Run[] memory runs = new Run[](2);
        runs[0] = run(1, 700);
        runs[1] = run(701, 800);
        vm.assertEq(commitRuns(registry, runs), 800);
        for (uint256 number = 1; number <= 800; ++number) {
            assertStored(batch(number));
        }
        assertHead(batch(800));
        commit(batch(801));
        assertStored(batch(801));
    }

    /// The definition of commitBatches: one commitBatch after another, where those that revert are left out, and a run that is
    /// to open a stream stands for its head.
    function testFuzz_equalsOneCommitBatchAfterAnother(uint256 seed, bool strict, bool genesis) public {
        SetRegistry single = newRegistry();
        vm.startPrank(owner);
        for (uint256 i; i < 2; ++i) {
            SetRegistry target = i == 0 ? registry : single;
            target.setStrictMode(strict);
            target.setGenesisRequired(genesis);
        }
        vm.stopPrank();

        Run[] memory runs = new Run[](4);
        for (uint256 i; i < runs.length; ++i) {
            uint256 word = uint256(keccak256(abi.encode(seed, i)));
            uint256 first = 1 + word % 4;
            runs[i] = run(TENANT, word & 16 == 0 ? STORE : uuid("other store"), first, first + (word >> 8) % 4);
            _distort(runs[i], word >> 16);
        }

        vm.recordLogs();
        uint256 committed = commitRuns(registry, runs);
        bytes memory bulkLogs = abi.encode(_outcomes());
        uint256 expected;
        vm.recordLogs();
        for (uint256 i; i < runs.length; ++i) {
            expected += _commitEach(single, runs[i]);
        }
        vm.assertEq(committed, expected);
        vm.assertEq(registry.totalCommitments(), single.totalCommitments());
        vm.assertEq(bulkLogs, abi.encode(_outcomes()));

        for (uint256 i; i < runs.length; ++i) {
            for (uint256 j; j < runs[i].batches.length; ++j) {
                bytes32 id = runs[i].batches[j].batchId;
                vm.assertEq(abi.encode(registry.getBatchCommitment(id)), abi.encode(single.getBatchCommitment(id)));
                if (single.batchExists(id)) {
                    vm.assertEq(registry.getPrevStateRoot(id), single.getPrevStateRoot(id));
                }
            }
            (bytes32[] memory tenants, bytes32[] memory stores) = (new bytes32[](1), new bytes32[](1));
            (tenants[0], stores[0]) = (runs[i].tenantId, runs[i].storeId);
            vm.assertEq(
                abi.encode(registry.getStreamHeads(tenants, stores)), abi.encode(single.getStreamHeads(tenants, stores))
            );
        }
    }

    /// @dev Breaks one thing of a run, or nothing.
    function _distort(Run memory r, uint256 word) private pure {
        Batch memory b = r.batches[(word >> 8) % r.batches.length];
        uint256 kind = word % 12;
        if (kind == 0) b.batchId = 0;
        if (kind == 1) r.tenantId = 0;
        if (kind == 2) r.storeId = 0;
        if (kind == 3) b.eventCount = 0;
        if (kind == 4) b.eventsRoot = 0;
        if (kind == 5) r.prevStateRoot = "wrong";
        if (kind == 6) r.sequenceStart += 1;
        if (kind == 7) b.newStateRoot = 0;
        if (kind == 8) b.batchId = keccak256(abi.encode(word));
        if (kind == 9) r.sequenceStart = type(uint64).max - 14;
    }

    /// @dev A run's batches by commitBatch, with what each reverts reported as the bulk call reports it.
    function _commitEach(SetRegistry target, Run memory r) private returns (uint256 committed) {
        bytes32 prev = r.prevStateRoot;
        uint256 start = r.sequenceStart;
        bytes32 root = prev;
        uint256 next = start;
        for (uint256 i; i < r.batches.length; ++i) {
            Batch memory b = r.batches[i];
            uint256 end = start + b.eventCount;
            bytes4 reason;
            if (end > uint256(type(uint64).max) + 1 || b.eventCount == 0) {
                // commitBatch can't even be asked: the range has no 64-bit end.
                reason = _idError(r, b);
                if (reason == 0) reason = InvalidSequenceRange.selector;
            } else {
                reason = _tryCommit(target, r, b, prev, uint64(start), root, next);
            }
            if (reason == 0) {
                ++committed;
                (root, next) = (b.newStateRoot, end);
            } else {
                emit BatchSkipped(b.batchId, key(r.tenantId, r.storeId), reason);
            }
            prev = b.newStateRoot;
            start = end;
        }
    }

    /// @dev One batch by commitBatch; zero where it is committed, else the error's selector.
    /// @param root Where the run stands, which commitBatch doesn't know of a stream that is not open yet.
    /// @param next The same, as the next sequence number.
    function _tryCommit(
        SetRegistry target,
        Run memory r,
        Batch memory b,
        bytes32 prev,
        uint64 start,
        bytes32 root,
        uint256 next
    ) private returns (bytes4 reason) {
        bool opened = target.latestCommitment(key(r.tenantId, r.storeId)) != 0;
        bool contentHolds = _idError(r, b) == 0 && b.eventsRoot != 0 && !target.batchExists(b.batchId);
        bool genesisHolds = !target.genesisRequired() || (start == 1 && prev == 0);
        if (target.strictModeEnabled() && !opened && contentHolds && genesisHolds) {
            if (prev != root) return StateRootMismatch.selector;
            if (start != next) return SequenceGap.selector;
        }
        uint64 end = start + (b.eventCount - 1);
        vm.prank(sequencer);
        try target.commitBatch(
            b.batchId, r.tenantId, r.storeId, b.eventsRoot, prev, b.newStateRoot, start, end, b.eventCount
        ) {}
        catch (bytes memory revertData) {
            reason = bytes4(revertData);
        }
    }

    function _idError(Run memory r, Batch memory b) private pure returns (bytes4) {
        if (b.batchId == 0) return EmptyBatchId.selector;
        if (r.tenantId == 0) return EmptyTenantId.selector;
        if (r.storeId == 0) return EmptyStoreId.selector;
        return 0;
    }

    /// @dev The recorded logs' topics and data, whoever emitted them.
    function _outcomes() private returns (bytes[] memory outcomes) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        outcomes = new bytes[](logs.length);
        for (uint256 i; i < logs.length; ++i) {
            outcomes[i] = abi.encode(logs[i].topics, logs[i].data);
        }
    }
}
