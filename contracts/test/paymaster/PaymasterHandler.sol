// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

import {SetPaymaster} from "../../src/SetPaymaster.sol";
import {Test} from "../Test.sol";
import {LoopingPayee, LoudPayee, MoodyPayee, ReentrantPayee} from "./Payees.sol";
import {SpendingModel} from "./SpendingModel.sol";

/// @title PaymasterHandler
/// @notice Does what owner and operators may do, in any order, with merchants of all kinds, and keeps count beside it.
/// @dev It owns the paymaster. Each of its calls is an Ethereum transaction of its own in an invariant run.
contract PaymasterHandler is Test {
    uint256 public constant FUNDS = 50 ether;
    uint8 private constant OTHER = 6;

    SetPaymaster public immutable paymaster;
    address[] public merchants;
    mapping(address => SpendingModel) public modelOf;
    mapping(bytes32 => bool) public paidOnce;
    bytes32[] public paidIds;
    uint256 public clock = 20_834 days;
    uint256 public paid;
    uint256 public refunded;
    MoodyPayee private immutable _moody;

    constructor() {
        bytes memory call = abi.encodeCall(SetPaymaster.initialize, (address(this), address(1)));
        paymaster = SetPaymaster(payable(address(new ERC1967Proxy(address(new SetPaymaster()), call))));
        _moody = new MoodyPayee();
        merchants = [
            address(0xA11CE),
            address(_moody),
            address(new LoopingPayee()),
            address(new LoudPayee()),
            address(new ReentrantPayee(paymaster, ReentrantPayee.Way.Execute))
        ];
        paymaster.setOperator(merchants[4], true);
        for (uint256 i = 0; i < merchants.length; ++i) {
            modelOf[merchants[i]] = new SpendingModel();
            paymaster.sponsorMerchant(merchants[i], i % 3);
        }
        vm.deal(address(paymaster), FUNDS);
        vm.warp(clock);
    }

    function merchantCount() external view returns (uint256) {
        return merchants.length;
    }

    function paidIdCount() external view returns (uint256) {
        return paidIds.length;
    }

    // ------------------------------------------------------------------ payments

    function pay(uint256 seed, uint256 wait, uint256 amount) external {
        pass(wait);
        address merchant = pick(seed);
        amount = sensible(merchant, amount);
        (bool sponsorable,) = paymaster.canSponsor(merchant, amount);
        uint256 before = merchant.balance;
        (bool ok,) = address(paymaster)
            .call(abi.encodeWithSignature("executeSponsorship(address,uint256,uint8)", merchant, amount, OTHER));
        vm.assertEq(ok, sponsorable && takes(merchant));
        book(merchant, before);
    }

    function payOnce(uint256 seed, uint256 wait, uint256 amount, uint8 nonce, bool expired) external {
        pass(wait);
        address merchant = pick(seed);
        amount = sensible(merchant, amount);
        bytes32 id = bytes32(abi.encodePacked(merchant, uint96(nonce % 8)));
        (bool sponsorable,) = paymaster.canSponsor(merchant, amount);
        uint256 before = merchant.balance;
        (bool ok,) = address(paymaster)
            .call(
                abi.encodeWithSignature(
                    "executeSponsorship(address,uint256,uint8,bytes32,uint64)",
                    merchant,
                    amount,
                    OTHER,
                    id,
                    uint64(expired ? clock - 1 : clock)
                )
            );
        vm.assertEq(ok, sponsorable && takes(merchant) && !expired && !paidOnce[id]);
        if (ok) {
            paidOnce[id] = true;
            paidIds.push(id);
        }
        book(merchant, before);
    }

    function payAll(uint256 seed, uint256 wait, uint256 amount) external {
        pass(wait);
        uint256 count = merchants.length;
        address[] memory payees = new address[](count);
        uint256[] memory amounts = new uint256[](count);
        uint256[] memory before = new uint256[](count);
        uint256 expected;
        for (uint256 i = 0; i < count; ++i) {
            payees[i] = merchants[(seed % count + i) % count];
            amounts[i] = sensible(payees[i], amount);
            before[i] = payees[i].balance;
            (bool sponsorable,) = paymaster.canSponsor(payees[i], amounts[i]);
            if (sponsorable && takes(payees[i])) ++expected;
        }
        (uint256 succeeded, uint256 failed) = paymaster.batchExecuteSponsorship(payees, amounts, new uint8[](count));
        vm.assertEq(succeeded, expected);
        vm.assertEq(failed, count - expected);
        for (uint256 i = 0; i < count; ++i) {
            book(payees[i], before[i]);
        }
    }

    function refund(uint256 seed, uint256 wait, uint256 amount) external {
        pass(wait);
        address merchant = pick(seed);
        uint256 available = modelOf[merchant].total();
        if (available == 0) return;
        amount = bound(amount, 1, available);
        vm.deal(address(this), amount);
        paymaster.refundUnusedGas{value: amount}(merchant, amount);
        modelOf[merchant].refund(amount);
        refunded += amount;
    }

    // ------------------------------------------------------------------ the owner's decisions

    function toggleMood() external {
        _moody.setRefuses(!_moody.refuses());
    }

    function register(uint256 seed, bool active, uint256 tierId) external {
        if (active) paymaster.sponsorMerchant(pick(seed), tierId % 3);
        else paymaster.revokeMerchant(pick(seed));
    }

    function limit(uint256 tierId, uint256 perTx, uint256 perDay, uint256 perMonth) external {
        perTx = bound(perTx, 0.0001 ether, 0.01 ether);
        perDay = bound(perDay, perTx, perTx * 12);
        perMonth = bound(perMonth, perDay, perDay * 12);
        paymaster.updateTier(tierId % 3, perTx, perDay, perMonth);
    }

    // ------------------------------------------------------------------ private

    /// @dev Books what the merchant got, and checks it against the limits with nothing but the list of all payments.
    function book(address merchant, uint256 before) private {
        uint256 amount = merchant.balance - before;
        if (amount == 0) return;
        SpendingModel model = modelOf[merchant];
        model.pay(amount, clock);
        paid += amount;
        (, uint256 tierId,,,) = paymaster.getMerchantDetails(merchant);
        (, uint256 maxPerTx, uint256 maxPerDay, uint256 maxPerMonth,) = paymaster.tiers(tierId);
        vm.assertLe(amount, maxPerTx, "more than the limit in a transaction");
        vm.assertLe(model.youngerThan(24 hours, clock), maxPerDay, "more than the limit in 24 hours");
        vm.assertLe(model.youngerThan(30 days, clock), maxPerMonth, "more than the limit in 30 days");
    }

    /// @dev Lets time pass: seconds, hours, or past a window's edge.
    function pass(uint256 wait) private {
        uint256 kind = wait % 8;
        wait >>= 8;
        if (kind < 4) clock += wait % 1 hours;
        else if (kind < 6) clock += wait % 12 hours;
        else if (kind == 6) clock += 24 hours - 1 + wait % 3;
        else clock += wait % 33 days;
        vm.warp(clock);
    }

    function pick(uint256 seed) private view returns (address) {
        return merchants[seed % merchants.length];
    }

    /// @dev An amount that the limit per transaction mostly allows.
    function sensible(address merchant, uint256 amount) private view returns (uint256) {
        (, uint256 tierId,,,) = paymaster.getMerchantDetails(merchant);
        (, uint256 maxPerTx,,,) = paymaster.tiers(tierId);
        return bound(amount, 1, maxPerTx + maxPerTx / 16);
    }

    function takes(address merchant) private view returns (bool) {
        return merchant != merchants[2] && (merchant != address(_moody) || !_moody.refuses());
    }
}
