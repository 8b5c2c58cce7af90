// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {Initializable} from "@openzeppelin/contracts-upgradeable/proxy/utils/Initializable.sol";
import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

import {SetPaymaster} from "../../src/SetPaymaster.sol";
import {IPaymasterEvents} from "../../src/paymaster/IPaymasterEvents.sol";
import {MoodyPayee} from "./Payees.sol";
import {PaymasterFixture} from "./PaymasterFixture.sol";

/// @notice A later implementation, with state of its own after the paymaster's.
contract LaterPaymaster is SetPaymaster {
    uint256 public answer;

    function setAnswer(uint256 value) external reinitializer(2) {
        answer = value;
    }
}

/// @notice What the owner decides: tiers, merchants, roles, funds, code.
contract PaymasterOwnerTest is PaymasterFixture {
    // ------------------------------------------------------------------ deployment and tiers

    function test_InitialState() public view {
        vm.assertEq(paymaster.owner(), owner);
        vm.assertEq(paymaster.treasury(), treasury);
        vm.assertEq(paymaster.minDeposit(), 0.01 ether);
        vm.assertEq(paymaster.nextTierId(), 3);
        vm.assertEq(paymaster.MAX_BATCH_SIZE(), 100);
        expectTier(STARTER, "Starter", 0.001 ether, 0.01 ether, 0.1 ether);
        expectTier(GROWTH, "Growth", 0.005 ether, 0.05 ether, 0.5 ether);
        expectTier(ENTERPRISE, "Enterprise", 0.01 ether, 0.1 ether, 1 ether);
    }

    function test_InitializesOnceAndOnlyBehindAProxy() public {
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        paymaster.initialize(alice, alice);
        SetPaymaster implementation = new SetPaymaster();
        vm.expectRevert(Initializable.InvalidInitialization.selector);
        implementation.initialize(alice, alice);
        vm.expectRevert(IPaymasterEvents.InvalidAddress.selector);
        new ERC1967Proxy(address(implementation), abi.encodeCall(SetPaymaster.initialize, (address(0), alice)));
        vm.expectRevert(IPaymasterEvents.InvalidAddress.selector);
        new ERC1967Proxy(address(implementation), abi.encodeCall(SetPaymaster.initialize, (alice, address(0))));
    }

    function test_CreatesAndUpdatesTiers() public {
        vm.startPrank(owner);
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.TierCreated(3, "Whole sale, a name that is longer than one storage slot", 1, 2);
        uint256 tierId = paymaster.createTier("Whole sale, a name that is longer than one storage slot", 1, 2, 3);
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.TierUpdated(tierId, 4, 5);
        paymaster.updateTier(tierId, 4, 5, 6);
        vm.stopPrank();
        expectTier(tierId, "Whole sale, a name that is longer than one storage slot", 4, 5, 6);
    }

    function testFuzz_LimitsRiseFromTransactionToMonthAndFit(uint256 perTx, uint256 perDay, uint256 perMonth) public {
        bool valid = perTx <= perDay && perDay <= perMonth && perMonth <= type(uint128).max;
        vm.startPrank(owner);
        if (!valid) vm.expectRevert(IPaymasterEvents.InvalidTierLimits.selector);
        paymaster.updateTier(STARTER, perTx, perDay, perMonth);
        if (!valid) vm.expectRevert(IPaymasterEvents.InvalidTierLimits.selector);
        paymaster.createTier("", perTx, perDay, perMonth);
        vm.stopPrank();
        if (valid) expectTier(STARTER, "Starter", perTx, perDay, perMonth);
    }

    function testFuzz_ValidLimitsAreKept(uint128 a, uint128 b, uint128 c) public {
        if (a > b) (a, b) = (b, a);
        if (b > c) (b, c) = (c, b);
        if (a > b) (a, b) = (b, a);
        testFuzz_LimitsRiseFromTransactionToMonthAndFit(a, b, c);
    }

    function test_ThereAre256Tiers() public {
        vm.startPrank(owner);
        for (uint256 id = 3; id < 256; ++id) {
            vm.assertEq(paymaster.createTier("", 1, 1, 1), id);
        }
        vm.expectRevert(IPaymasterEvents.TooManyTiers.selector);
        paymaster.createTier("", 1, 1, 1);
        paymaster.sponsorMerchant(alice, 255);
        // 256 cut to 8 bits would be the first tier.
        vm.expectRevert(IPaymasterEvents.InvalidTier.selector);
        paymaster.sponsorMerchant(alice, 256);
        vm.expectRevert(IPaymasterEvents.InvalidTier.selector);
        paymaster.batchUpdateMerchantTier(addresses(alice, bob), 256);
        vm.stopPrank();
        (, uint8 tierId,,,,,) = paymaster.merchantSponsorship(alice);
        vm.assertEq(tierId, 255);
    }

    function test_TiersThatDoNotExistOrAreOff() public {
        vm.startPrank(owner);
        bytes4 reason = IPaymasterEvents.InvalidTier.selector;
        vm.expectRevert(reason);
        paymaster.updateTier(3, 1, 1, 1);
        vm.expectRevert(reason);
        paymaster.setTierActive(3, true);
        vm.expectRevert(reason);
        paymaster.sponsorMerchant(alice, 3);
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.TierStatusUpdated(GROWTH, false);
        paymaster.setTierActive(GROWTH, false);
        vm.expectRevert(reason);
        paymaster.sponsorMerchant(alice, GROWTH);
        vm.expectRevert(reason);
        paymaster.batchUpdateMerchantTier(addresses(alice, bob), GROWTH);
        vm.stopPrank();
        (uint256[] memory ids, string[] memory names, uint256[] memory perTx,, uint256[] memory perMonth) =
            paymaster.getAllTiers();
        vm.assertEq(ids.length, 2);
        vm.assertEq(ids[1], ENTERPRISE);
        vm.assertEq(names[1], "Enterprise");
        vm.assertEq(perTx[0], 0.001 ether);
        vm.assertEq(perMonth[1], 1 ether);
    }

    // ------------------------------------------------------------------ merchants

    function test_MerchantsThatCannotBe() public {
        vm.startPrank(owner);
        bytes4 reason = IPaymasterEvents.InvalidAddress.selector;
        vm.expectRevert(reason);
        paymaster.sponsorMerchant(address(0), STARTER);
        vm.expectRevert(reason);
        paymaster.sponsorMerchant(address(paymaster), STARTER);
        vm.expectRevert(reason);
        paymaster.revokeMerchant(address(0));
        vm.expectRevert(reason);
        paymaster.batchRevokeMerchants(addresses(alice, address(0)));
        vm.expectRevert(reason);
        paymaster.batchSponsorMerchants(addresses(alice, address(0)), repeat(STARTER, 2));
        vm.expectRevert(reason);
        paymaster.batchUpdateMerchantTier(addresses(alice, address(0)), STARTER);
        vm.expectRevert(reason);
        paymaster.setOperator(address(0), true);
        vm.expectRevert(reason);
        paymaster.setTreasury(address(0));
        vm.stopPrank();
    }

    function test_BatchesOfMerchants() public {
        address carol = makeAddress("carol");
        uint256[] memory tierIds = repeat(GROWTH, 2);
        tierIds[1] = ENTERPRISE;
        vm.startPrank(owner);
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.MerchantSponsored(alice, GROWTH);
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.MerchantSponsored(carol, ENTERPRISE);
        paymaster.batchSponsorMerchants(addresses(alice, carol), tierIds);
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.MerchantRevoked(alice);
        paymaster.batchRevokeMerchants(addresses(alice, bob));
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.BatchSponsorshipFailed(alice, "Not sponsored");
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.MerchantSponsored(carol, STARTER);
        paymaster.batchUpdateMerchantTier(addresses(alice, carol), STARTER);
        vm.stopPrank();
        (bool[] memory active, uint256[] memory tiers) = paymaster.batchGetMerchantStatus(addresses(alice, carol));
        vm.assertFalse(active[0]);
        vm.assertEq(tiers[0], GROWTH);
        vm.assertTrue(active[1]);
        vm.assertEq(tiers[1], STARTER);
        vm.assertEq(paymaster.getRemainingDailyAllowance(alice), 0);
    }

    function test_BatchesOfMerchantsOfWrongShape() public {
        vm.startPrank(owner);
        vm.expectRevert(IPaymasterEvents.EmptyArray.selector);
        paymaster.batchSponsorMerchants(new address[](0), new uint256[](0));
        vm.expectRevert(IPaymasterEvents.ArrayLengthMismatch.selector);
        paymaster.batchSponsorMerchants(new address[](2), new uint256[](1));
        vm.expectRevert(IPaymasterEvents.BatchTooLarge.selector);
        paymaster.batchSponsorMerchants(new address[](101), new uint256[](101));
        vm.expectRevert(IPaymasterEvents.EmptyArray.selector);
        paymaster.batchRevokeMerchants(new address[](0));
        vm.expectRevert(IPaymasterEvents.BatchTooLarge.selector);
        paymaster.batchRevokeMerchants(new address[](101));
        vm.expectRevert(IPaymasterEvents.EmptyArray.selector);
        paymaster.batchUpdateMerchantTier(new address[](0), STARTER);
        vm.expectRevert(IPaymasterEvents.BatchTooLarge.selector);
        paymaster.batchUpdateMerchantTier(new address[](101), STARTER);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------ roles

    function test_OnlyTheOwner() public {
        bytes[] memory calls = new bytes[](15);
        calls[0] = abi.encodeCall(paymaster.createTier, ("", 1, 1, 1));
        calls[1] = abi.encodeCall(paymaster.updateTier, (0, 1, 1, 1));
        calls[2] = abi.encodeCall(paymaster.setTierActive, (0, false));
        calls[3] = abi.encodeCall(paymaster.sponsorMerchant, (operator, 0));
        calls[4] = abi.encodeCall(paymaster.revokeMerchant, (alice));
        calls[5] = abi.encodeCall(paymaster.batchSponsorMerchants, (addresses(alice, bob), repeat(0, 2)));
        calls[6] = abi.encodeCall(paymaster.batchRevokeMerchants, (addresses(alice, bob)));
        calls[7] = abi.encodeCall(paymaster.batchUpdateMerchantTier, (addresses(alice, bob), 0));
        calls[8] = abi.encodeCall(paymaster.setOperator, (operator, true));
        calls[9] = abi.encodeCall(paymaster.setGuardian, (operator));
        calls[10] = abi.encodeCall(paymaster.unpause, ());
        calls[11] = abi.encodeCall(paymaster.withdraw, (1));
        calls[12] = abi.encodeCall(paymaster.setTreasury, (operator));
        calls[13] = abi.encodeCall(paymaster.setMinDeposit, (0));
        calls[14] = abi.encodeCall(paymaster.upgradeToAndCall, (address(new SetPaymaster()), ""));
        bytes memory refusal = abi.encodeWithSelector(OwnableUpgradeable.OwnableUnauthorizedAccount.selector, operator);
        for (uint256 i = 0; i < calls.length; ++i) {
            vm.prank(operator);
            (bool ok, bytes memory answer) = address(paymaster).call(calls[i]);
            vm.assertFalse(ok);
            vm.assertEq(answer, refusal);
        }
    }

    function test_OwnershipPassesInTwoSteps() public {
        vm.prank(owner);
        paymaster.transferOwnership(alice);
        vm.assertEq(paymaster.owner(), owner);
        vm.assertEq(paymaster.pendingOwner(), alice);
        vm.prank(alice);
        paymaster.acceptOwnership();
        vm.assertEq(paymaster.owner(), alice);
        vm.expectRevert(IPaymasterEvents.OwnershipCannotBeRenounced.selector);
        vm.prank(alice);
        paymaster.renounceOwnership();
    }

    function test_TheGuardianPausesAndDoesNotUnpause() public {
        address guardian = makeAddress("guardian");
        bytes memory refusal = abi.encodeWithSelector(OwnableUpgradeable.OwnableUnauthorizedAccount.selector, guardian);
        vm.expectRevert(refusal);
        vm.prank(guardian);
        paymaster.pause();
        vm.prank(owner);
        paymaster.setGuardian(guardian);
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.Paused(guardian);
        vm.prank(guardian);
        paymaster.pause();
        vm.assertTrue(paymaster.paused());
        vm.expectRevert(IPaymasterEvents.EnforcedPause.selector);
        vm.prank(owner);
        paymaster.pause();
        vm.expectRevert(refusal);
        vm.prank(guardian);
        paymaster.unpause();
        vm.prank(owner);
        paymaster.unpause();
        vm.expectRevert(IPaymasterEvents.ExpectedPause.selector);
        vm.prank(owner);
        paymaster.unpause();
    }

    function test_APauseStopsPaymentsAndNothingElse() public {
        pay(alice, 100);
        vm.prank(owner);
        paymaster.pause();
        vm.startPrank(operator);
        vm.expectRevert(IPaymasterEvents.EnforcedPause.selector);
        paymaster.executeSponsorship(alice, 1, 0, sponsorshipId(alice, 0), type(uint64).max);
        vm.expectRevert(IPaymasterEvents.EnforcedPause.selector);
        paymaster.batchExecuteSponsorship(addresses(alice, bob), repeat(1, 2), operations(0, 2));
        vm.expectRevert(IPaymasterEvents.EnforcedPause.selector);
        paymaster.batchExecuteSponsorship(
            addresses(alice, bob), repeat(1, 2), operations(0, 2), new bytes32[](2), new uint64[](2)
        );
        vm.stopPrank();
        vm.assertEq(paymaster.totalGasSponsored(), 100);
        refund(alice, 60);
        vm.assertEq(paymaster.totalGasSponsored(), 40);
        vm.prank(owner);
        paymaster.withdraw(1 ether);
        vm.assertTrue(paymaster.paused());
    }

    // ------------------------------------------------------------------ funds

    function test_Deposits() public {
        vm.deal(alice, 1 ether);
        vm.startPrank(alice);
        vm.expectRevert(
            abi.encodeWithSelector(IPaymasterEvents.BelowMinimumDeposit.selector, 0.01 ether - 1, 0.01 ether)
        );
        paymaster.deposit{value: 0.01 ether - 1}();
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.Deposited(alice, 0.01 ether);
        paymaster.deposit{value: 0.01 ether}();
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.Deposited(alice, 5);
        (bool ok,) = address(paymaster).call{value: 5}("");
        vm.assertTrue(ok);
        vm.stopPrank();
        vm.assertEq(paymaster.balance(), 1000.01 ether + 5);
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.MinDepositUpdated(2 ether);
        vm.prank(owner);
        paymaster.setMinDeposit(2 ether);
        vm.assertEq(paymaster.minDeposit(), 2 ether);
    }

    function test_WithdrawalsGoToTheTreasury() public {
        vm.startPrank(owner);
        vm.expectRevert(IPaymasterEvents.InsufficientBalance.selector);
        paymaster.withdraw(1000 ether + 1);
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.Withdrawn(treasury, 400 ether);
        paymaster.withdraw(400 ether);
        vm.assertEq(treasury.balance, 400 ether);
        MoodyPayee refuser = new MoodyPayee();
        refuser.setRefuses(true);
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.TreasuryUpdated(address(refuser));
        paymaster.setTreasury(address(refuser));
        vm.expectRevert(IPaymasterEvents.WithdrawFailed.selector);
        paymaster.withdraw(1);
        refuser.setRefuses(false);
        paymaster.withdraw(600 ether);
        vm.stopPrank();
        vm.assertEq(paymaster.balance(), 0);
    }

    // ------------------------------------------------------------------ code

    function test_AnUpgradeKeepsEverything() public {
        pay(alice, 0.0007 ether);
        vm.prank(operator);
        paymaster.executeSponsorship(bob, 0.001 ether, 1, sponsorshipId(bob, 1), type(uint64).max);
        address implementation = address(new LaterPaymaster());
        vm.expectEmit(address(paymaster));
        emit IPaymasterEvents.ContractUpgraded(implementation, owner);
        vm.prank(owner);
        paymaster.upgradeToAndCall(implementation, abi.encodeCall(LaterPaymaster.setAnswer, (42)));
        vm.assertEq(LaterPaymaster(payable(address(paymaster))).answer(), 42);
        vm.assertEq(paymaster.owner(), owner);
        vm.assertEq(paymaster.treasury(), treasury);
        vm.assertTrue(paymaster.operators(operator));
        vm.assertTrue(paymaster.isSponsorshipPaid(sponsorshipId(bob, 1)));
        vm.assertEq(paymaster.totalGasSponsored(), 0.0017 ether);
        (uint256 today,) = spent(alice);
        vm.assertEq(today, 0.0007 ether);
        skip(1 hours);
        refund(alice, 0.0001 ether);
        vm.assertEq(total(alice), 0.0006 ether);
        expectTier(ENTERPRISE, "Enterprise", 0.01 ether, 0.1 ether, 1 ether);
    }

    function expectTier(uint256 tierId, string memory name, uint256 perTx, uint256 perDay, uint256 perMonth)
        private
        view
    {
        (string memory actual, uint128 maxPerTx, uint128 maxPerDay, uint128 maxPerMonth, bool active) =
            paymaster.tiers(tierId);
        vm.assertEq(actual, name);
        vm.assertEq(maxPerTx, perTx);
        vm.assertEq(maxPerDay, perDay);
        vm.assertEq(maxPerMonth, perMonth);
        vm.assertTrue(active);
    }
}
