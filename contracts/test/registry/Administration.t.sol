// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";

import {SetRegistry} from "../../src/SetRegistry.sol";
import {NextRegistry} from "./NextRegistry.sol";
import {RegistryTest} from "./RegistryTest.sol";

/// Who may decide what.
contract AdministrationTest is RegistryTest {
    address private immutable guardian = makeAddress("guardian");

    function test_startsStrictWithOneSequencer() public {
        (uint256 batches, uint256 proofs, uint256 sequencers, bool isPaused, bool isStrict, uint256 coverage) =
            registry.getExtendedRegistryStatus();
        vm.assertEq(
            abi.encode(batches, proofs, sequencers, isPaused, isStrict, coverage),
            abi.encode(0, 0, 1, false, true, 10_000)
        );
        vm.assertEq(registry.owner(), owner);
        vm.assertTrue(registry.authorizedSequencers(sequencer));
        vm.assertFalse(registry.genesisRequired());
        vm.assertEq(registry.registryVersion(), 1);
        vm.assertEq(registry.layoutVersion(), 1);

        vm.expectRevert(Initializable.InvalidInitialization.selector);
        registry.initialize(stranger, stranger);
        SetRegistry implementation = new SetRegistry();
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        implementation.initialize(stranger, stranger);
    }

    function test_everyDecisionIsTheOwners() public {
        bytes[] memory calls = new bytes[](11);
        calls[0] = abi.encodeCall(registry.setSequencerAuthorization, (stranger, true));
        calls[1] = abi.encodeCall(registry.batchSetSequencerAuthorization, (new address[](1), true));
        calls[2] = abi.encodeCall(registry.setStrictMode, (false));
        calls[3] = abi.encodeCall(registry.setGenesisRequired, (true));
        calls[4] = abi.encodeCall(registry.setStreamSequencer, (TENANT, STORE, stranger));
        calls[5] = abi.encodeCall(registry.setStreamHead, (TENANT, STORE, "batch", 1, 0));
        calls[6] = abi.encodeCall(registry.setGuardian, (stranger));
        calls[7] = abi.encodeCall(registry.pause, ());
        calls[8] = abi.encodeCall(registry.unpause, ());
        calls[9] = abi.encodeCall(registry.transferOwnership, (stranger));
        calls[10] = abi.encodeCall(registry.upgradeToAndCall, (address(new SetRegistry()), ""));
        for (uint256 i; i < calls.length; ++i) {
            vm.prank(stranger);
            (bool ok, bytes memory revertData) = address(registry).call(calls[i]);
            vm.assertFalse(ok);
            vm.assertEq(
                revertData, abi.encodeWithSelector(OwnableUpgradeable.OwnableUnauthorizedAccount.selector, stranger)
            );
        }
    }

    function test_sequencersAreCountedOnce() public {
        address[] memory several = new address[](3);
        (several[0], several[1], several[2]) = (stranger, sequencer, stranger);
        vm.startPrank(owner);
        vm.expectEmit(address(registry));
        emit SequencerAuthorized(stranger, true);
        registry.batchSetSequencerAuthorization(several, true);
        vm.assertEq(registry.authorizedSequencerCount(), 2);
        bool[] memory authorized = registry.areSequencersAuthorized(several);
        vm.assertTrue(authorized[0] && authorized[1]);
        registry.setSequencerAuthorization(owner, false);
        vm.assertEq(registry.authorizedSequencerCount(), 2);
        registry.batchSetSequencerAuthorization(several, false);
        vm.assertEq(registry.authorizedSequencerCount(), 0);
        vm.expectRevert(InvalidAddress.selector);
        registry.setSequencerAuthorization(address(0), true);
        vm.expectRevert(EmptyArray.selector);
        registry.batchSetSequencerAuthorization(new address[](0), true);
    }

    /// The lead sequencer is a shortcut and must never outlive its authorisation.
    function test_whoeverIsNotAuthorisedCantCommit() public {
        vm.startPrank(owner);
        registry.setSequencerAuthorization(stranger, true);
        registry.setSequencerAuthorization(sequencer, false);
        vm.stopPrank();
        commitReverts(batch(1), abi.encodeWithSelector(NotAuthorizedSequencer.selector));

        vm.prank(owner);
        registry.setSequencerAuthorization(stranger, true);
        _commitAs(stranger, 1);
        vm.startPrank(owner);
        registry.setSequencerAuthorization(sequencer, true);
        registry.setSequencerAuthorization(stranger, false);
        vm.stopPrank();
        vm.prank(stranger);
        vm.expectRevert(NotAuthorizedSequencer.selector);
        registry.commitBatch(batch(2).batchId, TENANT, STORE, "events", 0, 0, 1, 1, 1);
        _commitAs(sequencer, 2);
        vm.assertEq(registry.totalCommitments(), 2);
    }

    function test_theGuardianPausesAndTheOwnerUnpauses() public {
        vm.prank(owner);
        registry.setGuardian(guardian);
        vm.assertEq(registry.guardian(), guardian);
        vm.startPrank(guardian);
        vm.expectEmit(address(registry));
        emit Paused(guardian);
        registry.pause();
        vm.assertTrue(registry.paused());
        vm.expectRevert(EnforcedPause.selector);
        registry.pause();
        vm.expectRevert(abi.encodeWithSelector(OwnableUpgradeable.OwnableUnauthorizedAccount.selector, guardian));
        registry.unpause();
        vm.stopPrank();

        vm.startPrank(owner);
        registry.unpause();
        vm.expectRevert(ExpectedPause.selector);
        registry.unpause();
        registry.pause();
        registry.unpause();
        registry.setGuardian(address(0));
        vm.stopPrank();
        vm.prank(guardian);
        vm.expectRevert(abi.encodeWithSelector(OwnableUpgradeable.OwnableUnauthorizedAccount.selector, guardian));
        registry.pause();
    }

    function test_ownershipMovesInTwoSteps() public {
        vm.prank(owner);
        registry.transferOwnership(stranger);
        vm.assertEq(registry.owner(), owner);
        vm.assertEq(registry.pendingOwner(), stranger);
        vm.prank(stranger);
        registry.acceptOwnership();
        vm.assertEq(registry.owner(), stranger);
        vm.prank(stranger);
        vm.expectRevert(OwnershipCannotBeRenounced.selector);
        registry.renounceOwnership();
    }

    function test_anUpgradeKeepsEverything() public {
        commit(batch(1));
        commitRun(run(2, 3));
        address implementation = address(new NextRegistry());
        vm.expectEmit(address(registry));
        emit ContractUpgraded(implementation, owner);
        vm.prank(owner);
        registry.upgradeToAndCall(implementation, "");
        for (uint256 number = 1; number <= 3; ++number) {
            assertStored(batch(number));
        }
        assertHead(batch(3));
        commit(batch(4));
        vm.assertEq(registry.totalCommitments(), 4);
    }

    function _commitAs(address sender, uint256 number) private {
        Commit memory c = batch(number);
        vm.prank(sender);
        registry.commitBatch(
            c.batchId,
            TENANT,
            STORE,
            c.eventsRoot,
            c.prevStateRoot,
            c.newStateRoot,
            c.sequenceStart,
            c.sequenceEnd,
            c.eventCount
        );
    }
}
