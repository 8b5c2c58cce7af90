// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Account, MerchantAccount} from "./MerchantAccount.sol";
import {Bases, Head} from "./MerchantWords.sol";
import {PaymasterStorage} from "./PaymasterStorage.sol";

/// @title MerchantViews
/// @notice What can be asked about merchants and the paymaster. Amounts are in wei, as of the block that answers.
abstract contract MerchantViews is PaymasterStorage {
    using MerchantAccount for Account;

    /// @notice A merchant's record.
    /// @return active Whether the merchant may be paid.
    /// @return tierId The merchant's tier.
    /// @return lastDayReset Payments before then (unix seconds) are not in `spentToday`; zero if never paid.
    /// @return lastMonthReset Payments before then (unix seconds) are not in `spentThisMonth`; zero if never paid.
    /// @return spentToday What counts against the daily limit.
    /// @return spentThisMonth What counts against the monthly limit.
    /// @return totalSponsored All that the merchant received less all that was refunded.
    function merchantSponsorship(address merchant)
        external
        view
        returns (
            bool active,
            uint8 tierId,
            uint64 lastDayReset,
            uint64 lastMonthReset,
            uint128 spentToday,
            uint128 spentThisMonth,
            uint128 totalSponsored
        )
    {
        (Head head, Bases bases) = _accounts[merchant].asOf(block.timestamp);
        active = head.active();
        tierId = head.tierId();
        lastDayReset = uint64(MerchantAccount.dayStart(head.lastPaidAt(), block.timestamp));
        lastMonthReset = uint64(MerchantAccount.monthStart(head.lastPaidAt(), block.timestamp));
        spentToday = uint128(head.total() - bases.day());
        spentThisMonth = uint128(head.total() - bases.month());
        totalSponsored = uint128(head.sponsored());
    }

    /// @notice A merchant's state, tier and spending; the amounts as in `merchantSponsorship`.
    function getMerchantDetails(address merchant)
        external
        view
        returns (bool active, uint256 tierId, uint256 spentToday, uint256 spentThisMonth, uint256 totalSponsored)
    {
        return _details(merchant);
    }

    /// @notice `getMerchantDetails` for many.
    function batchGetMerchantDetails(address[] calldata merchants)
        external
        view
        returns (
            bool[] memory active,
            uint256[] memory tierIds,
            uint256[] memory spentToday,
            uint256[] memory spentThisMonth,
            uint256[] memory totalSponsored
        )
    {
        active = new bool[](merchants.length);
        tierIds = new uint256[](merchants.length);
        spentToday = new uint256[](merchants.length);
        spentThisMonth = new uint256[](merchants.length);
        totalSponsored = new uint256[](merchants.length);
        for (uint256 i = 0; i < merchants.length; ++i) {
            (active[i], tierIds[i], spentToday[i], spentThisMonth[i], totalSponsored[i]) = _details(merchants[i]);
        }
    }

    /// @notice Whether each merchant may be paid, and its tier.
    function batchGetMerchantStatus(address[] calldata merchants)
        external
        view
        returns (bool[] memory statuses, uint256[] memory tierIds)
    {
        statuses = new bool[](merchants.length);
        tierIds = new uint256[](merchants.length);
        for (uint256 i = 0; i < merchants.length; ++i) {
            Head head = _accounts[merchants[i]].head;
            (statuses[i], tierIds[i]) = (head.active(), head.tierId());
        }
    }

    /// @notice What is left of a merchant's daily limit; zero for one that is not sponsored. The other limits, a pause and the
    /// paymaster's balance may allow less: `canSponsor` asks them all.
    function getRemainingDailyAllowance(address merchant) external view returns (uint256) {
        return _remainingToday(merchant);
    }

    /// @notice `getRemainingDailyAllowance` for many.
    function batchGetRemainingDailyAllowance(address[] calldata merchants)
        external
        view
        returns (uint256[] memory allowances)
    {
        allowances = new uint256[](merchants.length);
        for (uint256 i = 0; i < merchants.length; ++i) {
            allowances[i] = _remainingToday(merchants[i]);
        }
    }

    /// @notice All that merchants received less all that was refunded: the sum of their `totalSponsored`.
    function totalGasSponsored() external view returns (uint256) {
        return _totalGasSponsored;
    }

    /// @notice The paymaster at a glance.
    /// @return paymasterBalance What it holds.
    /// @return totalSponsored As `totalGasSponsored`.
    /// @return tierCount How many tiers there are, active or not.
    /// @return treasuryAddr Where withdrawals go.
    function getPaymasterStatus()
        external
        view
        returns (uint256 paymasterBalance, uint256 totalSponsored, uint256 tierCount, address treasuryAddr)
    {
        return (address(this).balance, _totalGasSponsored, nextTierId, treasury);
    }

    function _details(address merchant) private view returns (bool, uint256, uint256, uint256, uint256) {
        (Head head, Bases bases) = _accounts[merchant].asOf(block.timestamp);
        uint256 total = head.total();
        return (head.active(), head.tierId(), total - bases.day(), total - bases.month(), head.sponsored());
    }

    function _remainingToday(address merchant) private view returns (uint256) {
        (Head head, Bases bases) = _accounts[merchant].asOf(block.timestamp);
        if (!head.active()) return 0;
        return Math.saturatingSub(tiers[head.tierId()].maxPerDay, head.total() - bases.day());
    }
}
