// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {Account, MerchantAccount} from "./MerchantAccount.sol";
import {Bases, Head} from "./MerchantWords.sol";
import {PaymasterAccess} from "./PaymasterAccess.sol";
import {Tier} from "./PaymasterStorage.sol";
import {TransactionSpend} from "./TransactionSpend.sol";

/// @notice Why a merchant was not paid an amount, in the order of the checks.
enum Refusal {
    None,
    OperationType,
    NotSponsored,
    TierNotActive,
    TransactionLimit,
    DailyLimit,
    MonthlyLimit,
    Balance,
    Transfer
}

/// @title SpendingRules
/// @notice The one place that decides whether a merchant can be paid. `canSponsor` and every payment ask it, so they agree.
abstract contract SpendingRules is PaymasterAccess {
    using MerchantAccount for Account;

    /// @notice Whether a payment of `amount` wei to `merchant` would go through now.
    /// @dev Whether the merchant takes it can't be known before. Within a transaction that has paid the merchant already,
    /// what is left of the limit per transaction counts.
    /// @return sponsorable Whether it would.
    /// @return reason If not: "Paused", "Payment in progress", "Not sponsored", "Tier not active", "Exceeds transaction
    /// limit", "Exceeds daily limit", "Exceeds monthly limit" or "Insufficient paymaster balance". Else empty.
    function canSponsor(address merchant, uint256 amount)
        external
        view
        returns (bool sponsorable, string memory reason)
    {
        return _canSponsor(merchant, amount);
    }

    /// @notice `canSponsor` for many, each as if it were the only one.
    /// @dev Reverts with `ArrayLengthMismatch`.
    function batchCanSponsor(address[] calldata merchants, uint256[] calldata amounts)
        external
        view
        returns (bool[] memory sponsorable, string[] memory reasons)
    {
        if (merchants.length != amounts.length) revert ArrayLengthMismatch();
        sponsorable = new bool[](merchants.length);
        reasons = new string[](merchants.length);
        for (uint256 i = 0; i < merchants.length; ++i) {
            (sponsorable[i], reasons[i]) = _canSponsor(merchants[i], amounts[i]);
        }
    }

    /// @dev Whether `merchant` can be paid `amount` wei, apart from a pause.
    /// @return refusal `None` if it can.
    /// @return remaining Wei left of the limit that refuses.
    /// @return head The merchant's record as of now.
    /// @return bases The merchant's record as of now.
    /// @return spent Wei that the merchant has received in this transaction.
    function _assess(address merchant, uint256 amount)
        internal
        view
        returns (Refusal refusal, uint256 remaining, Head head, Bases bases, uint256 spent)
    {
        (head, bases) = _accounts[merchant].asOf(block.timestamp);
        spent = TransactionSpend.spentBy(merchant);
        (refusal, remaining) = _check(amount, head, bases, spent);
    }

    function _check(uint256 amount, Head head, Bases bases, uint256 spent) private view returns (Refusal, uint256) {
        if (!head.active()) return (Refusal.NotSponsored, 0);
        Tier storage tier = tiers[head.tierId()];
        (uint256 maxPerMonth, bool active) = (tier.maxPerMonth, tier.active);
        if (!active) return (Refusal.TierNotActive, 0);

        (uint256 maxPerTransaction, uint256 maxPerDay) = (tier.maxPerTransaction, tier.maxPerDay);
        uint256 remaining = Math.saturatingSub(maxPerTransaction, spent);
        if (amount > remaining) return (Refusal.TransactionLimit, remaining);

        uint256 total = head.total();
        remaining = Math.saturatingSub(maxPerDay, total - bases.day());
        if (amount > remaining) return (Refusal.DailyLimit, remaining);

        // A record counts to 2^128 wei: more than any chain's ether, but a limit may be as large.
        remaining = Math.min(Math.saturatingSub(maxPerMonth, total - bases.month()), type(uint128).max - total);
        if (amount > remaining) return (Refusal.MonthlyLimit, remaining);

        return (amount > address(this).balance ? Refusal.Balance : Refusal.None, 0);
    }

    /// @dev Reverts with the error that says why `amount` wei were not paid.
    function _revertWith(Refusal refusal, uint256 amount, uint8 operationType, uint256 remaining) internal pure {
        if (refusal == Refusal.OperationType) revert InvalidOperationType(operationType);
        if (refusal == Refusal.NotSponsored) revert NotSponsored();
        if (refusal == Refusal.TierNotActive) revert TierNotActive();
        if (refusal == Refusal.TransactionLimit) revert ExceedsTransactionLimit(amount, remaining);
        if (refusal == Refusal.DailyLimit) revert ExceedsDailyLimit(amount, remaining);
        if (refusal == Refusal.MonthlyLimit) revert ExceedsMonthlyLimit(amount, remaining);
        if (refusal == Refusal.Balance) revert InsufficientBalance();
        if (refusal == Refusal.Transfer) revert TransferFailed();
    }

    /// @dev The text for `refusal`, empty for none.
    function _reason(Refusal refusal) internal pure returns (string memory) {
        if (refusal == Refusal.OperationType) return "Invalid operation type";
        if (refusal == Refusal.NotSponsored) return "Not sponsored";
        if (refusal == Refusal.TierNotActive) return "Tier not active";
        if (refusal == Refusal.TransactionLimit) return "Exceeds transaction limit";
        if (refusal == Refusal.DailyLimit) return "Exceeds daily limit";
        if (refusal == Refusal.MonthlyLimit) return "Exceeds monthly limit";
        if (refusal == Refusal.Balance) return "Insufficient paymaster balance";
        if (refusal == Refusal.Transfer) return "Transfer failed";
        return "";
    }

    function _canSponsor(address merchant, uint256 amount) private view returns (bool, string memory) {
        if (_paused) return (false, "Paused");
        // Asked by a merchant's own code while it is being paid: re-entering is refused.
        if (_reentrancyGuardEntered()) return (false, "Payment in progress");
        (Refusal refusal,,,,) = _assess(merchant, amount);
        return (refusal == Refusal.None, _reason(refusal));
    }
}
