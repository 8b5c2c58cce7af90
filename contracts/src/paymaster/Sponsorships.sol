// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Account, MerchantAccount} from "./MerchantAccount.sol";
import {MerchantTiers} from "./MerchantTiers.sol";
import {Bases, Head} from "./MerchantWords.sol";
import {Payout} from "./Payout.sol";
import {Refusal, SpendingRules} from "./SpendingRules.sol";
import {PaidIds, SponsorshipIds} from "./SponsorshipIds.sol";
import {TransactionSpend} from "./TransactionSpend.sol";

/// @title Sponsorships
/// @notice The operators' side of sponsorship: payments to merchants and refunds. Amounts are in wei.
/// @dev Checks come in this order: authorisation, pause, re-entrancy, arrays, id (foreign, paid, expired), operation
/// type, then those of `SpendingRules`. State is written before the merchant is called, and put back if it does not take the ether.
abstract contract Sponsorships is MerchantTiers, SpendingRules {
    using MerchantAccount for Account;
    using SponsorshipIds for PaidIds;
    using SponsorshipIds for bytes32;

    /// @dev ORDER_CREATE, ORDER_UPDATE, PAYMENT_PROCESS, INVENTORY_UPDATE, RETURN_PROCESS, COMMITMENT_ANCHOR, OTHER.
    uint8 private constant LAST_OPERATION_TYPE = 6;

    // ------------------------------------------------------------------ payments

    /// @notice Pays a merchant, within its tier's limits.
    /// @dev Only operators and the owner, not while paused. The merchant's code gets 30,000 gas. Reverts with
    /// `InvalidOperationType`, `NotSponsored`, `TierNotActive`, `ExceedsTransactionLimit`, `ExceedsDailyLimit`,
    /// `ExceedsMonthlyLimit`, `InsufficientBalance`, `InsufficientGas` and `TransferFailed`. Emits `GasSponsored`.
    /// @param amount Wei.
    /// @param operationType 0 ORDER_CREATE, 1 ORDER_UPDATE, 2 PAYMENT_PROCESS, 3 INVENTORY_UPDATE, 4 RETURN_PROCESS,
    /// 5 COMMITMENT_ANCHOR, 6 OTHER.
    function executeSponsorship(address merchant, uint256 amount, uint8 operationType)
        external
        onlyOperator
        whenNotPaused
        nonReentrant
    {
        _payOrRevert(merchant, amount, operationType);
    }

    /// @notice Pays a merchant as above, at most once for an id and not after a deadline: safe to send again when it is not
    /// known what became of the first.
    /// @dev As above, and reverts with `ForeignSponsorshipId`, `SponsorshipAlreadyPaid` and `SponsorshipExpired`. Emits
    /// `SponsorshipPaid` as well.
    /// @param sponsorshipId The merchant's address (20 bytes), then a nonce of the merchant's own (12 bytes, any order).
    /// @param deadline Unix seconds; the last at which the payment may be made.
    function executeSponsorship(
        address merchant,
        uint256 amount,
        uint8 operationType,
        bytes32 sponsorshipId,
        uint64 deadline
    ) external onlyOperator whenNotPaused nonReentrant {
        if (sponsorshipId.merchantOf() != merchant) {
            revert ForeignSponsorshipId(sponsorshipId, merchant);
        }
        if (_paidIds.isPaid(sponsorshipId)) revert SponsorshipAlreadyPaid(sponsorshipId);
        if (block.timestamp > deadline) revert SponsorshipExpired(deadline);
        _paidIds.markPaid(sponsorshipId);
        _payOrRevert(merchant, amount, operationType);
        emit SponsorshipPaid(sponsorshipId, merchant, amount);
    }

    /// @notice Pays up to 100 merchants. One that can't be paid is left out, with `BatchSponsorshipFailed`, and does not stop
    /// the others.
    /// @dev Only operators and the owner, not while paused. Reverts, with nothing paid, with `EmptyArray`,
    /// `ArrayLengthMismatch`, `BatchTooLarge` and `InsufficientGas`. Emits `GasSponsored` or `BatchSponsorshipFailed` for
    /// each, then `BatchSponsorshipCompleted`.
    /// @return succeeded How many were paid.
    /// @return failed How many were left out.
    function batchExecuteSponsorship(
        address[] calldata merchants,
        uint256[] calldata amounts,
        uint8[] calldata operationTypes
    ) external onlyOperator whenNotPaused nonReentrant returns (uint256 succeeded, uint256 failed) {
        _checkPayments(merchants, amounts, operationTypes);
        for (uint256 i = 0; i < merchants.length; ++i) {
            (Refusal refusal,) = _pay(merchants[i], amounts[i], operationTypes[i]);
            if (refusal == Refusal.None) ++succeeded;
            else emit BatchSponsorshipFailed(merchants[i], _reason(refusal));
        }
        return _complete(merchants.length, succeeded);
    }

    /// @notice Pays up to 100 merchants as above, each at most once for its id and not after its deadline.
    /// @dev As above; emits `SponsorshipPaid` beside `GasSponsored`, `SponsorshipSkipped` beside `BatchSponsorshipFailed`.
    function batchExecuteSponsorship(
        address[] calldata merchants,
        uint256[] calldata amounts,
        uint8[] calldata operationTypes,
        bytes32[] calldata sponsorshipIds,
        uint64[] calldata deadlines
    ) external onlyOperator whenNotPaused nonReentrant returns (uint256 succeeded, uint256 failed) {
        _checkPayments(merchants, amounts, operationTypes);
        if (merchants.length != sponsorshipIds.length || merchants.length != deadlines.length) {
            revert ArrayLengthMismatch();
        }
        for (uint256 i = 0; i < merchants.length; ++i) {
            bytes32 id = sponsorshipIds[i];
            string memory reason = _payOnce(merchants[i], amounts[i], operationTypes[i], id, deadlines[i]);
            if (bytes(reason).length == 0) {
                ++succeeded;
                emit SponsorshipPaid(id, merchants[i], amounts[i]);
            } else {
                emit BatchSponsorshipFailed(merchants[i], reason);
                emit SponsorshipSkipped(id, merchants[i], reason);
            }
        }
        return _complete(merchants.length, succeeded);
    }

    /// @notice Whether the payment that `sponsorshipId` names was made.
    function isSponsorshipPaid(bytes32 sponsorshipId) external view returns (bool) {
        return _paidIds.isPaid(sponsorshipId);
    }

    // ------------------------------------------------------------------ refunds

    /// @notice Takes back ether that a merchant did not need. It is set off against the merchant's latest payments, and
    /// restores allowance for those that still count.
    /// @dev Only operators and the owner; the ether comes with the call. Reverts with `InvalidAddress`,
    /// `RefundValueMismatch`, `InvalidRefundAmount` and `RefundExceedsSponsored`. Emits `GasRefunded`.
    function refundUnusedGas(address merchant, uint256 refundAmount) external payable onlyOperator nonReentrant {
        if (merchant == address(0)) revert InvalidAddress();
        if (msg.value != refundAmount) revert RefundValueMismatch(refundAmount, msg.value);
        _refund(merchant, refundAmount);
    }

    /// @notice `refundUnusedGas` for up to 100, all or nothing: the ether sent is exactly the sum.
    /// @dev Reverts with `EmptyArray`, `ArrayLengthMismatch`, `BatchTooLarge`, and as `refundUnusedGas` does.
    function batchRefundUnusedGas(address[] calldata merchants, uint256[] calldata refundAmounts)
        external
        payable
        onlyOperator
        nonReentrant
    {
        _checkBatch(merchants.length);
        if (merchants.length != refundAmounts.length) revert ArrayLengthMismatch();
        uint256 sum;
        for (uint256 i = 0; i < merchants.length; ++i) {
            if (merchants[i] == address(0)) revert InvalidAddress();
            sum += refundAmounts[i];
        }
        if (msg.value != sum) revert RefundValueMismatch(sum, msg.value);
        for (uint256 i = 0; i < merchants.length; ++i) {
            _refund(merchants[i], refundAmounts[i]);
        }
    }

    // ------------------------------------------------------------------ private

    /// @dev Pays, or reverts with the reason.
    function _payOrRevert(address merchant, uint256 amount, uint8 operationType) private {
        (Refusal refusal, uint256 remaining) = _pay(merchant, amount, operationType);
        _revertWith(refusal, amount, operationType, remaining);
    }

    /// @dev Pays, or returns the reason and leaves everything as it was.
    /// @return refusal `None` if paid.
    /// @return remaining Wei left of the limit that refuses.
    function _pay(address merchant, uint256 amount, uint8 operationType)
        private
        returns (Refusal refusal, uint256 remaining)
    {
        if (operationType > LAST_OPERATION_TYPE) return (Refusal.OperationType, 0);
        Head head;
        Bases bases;
        uint256 spent;
        (refusal, remaining, head, bases, spent) = _assess(merchant, amount);
        if (refusal != Refusal.None) return (refusal, remaining);

        Account storage account = _accounts[merchant];
        (Head headBefore, Bases basesBefore) = (account.head, account.bases);
        account.pay(head, bases, amount, block.timestamp);
        TransactionSpend.set(merchant, spent + amount);
        _totalGasSponsored += uint240(amount);
        if (!Payout.send(merchant, amount)) {
            account.restore(headBefore, basesBefore);
            TransactionSpend.set(merchant, spent);
            _totalGasSponsored -= uint240(amount);
            return (Refusal.Transfer, 0);
        }
        emit GasSponsored(merchant, amount, operationType);
    }

    /// @dev Pays once for an id, or returns the reason and leaves everything as it was.
    /// @return reason Empty if paid.
    function _payOnce(address merchant, uint256 amount, uint8 operationType, bytes32 id, uint64 deadline)
        private
        returns (string memory reason)
    {
        if (id.merchantOf() != merchant) return "Foreign sponsorship id";
        if (_paidIds.isPaid(id)) return "Sponsorship already paid";
        if (block.timestamp > deadline) return "Sponsorship expired";
        _paidIds.markPaid(id);
        (Refusal refusal,) = _pay(merchant, amount, operationType);
        if (refusal == Refusal.None) return "";
        _paidIds.unmarkPaid(id);
        return _reason(refusal);
    }

    function _refund(address merchant, uint256 amount) private {
        if (amount == 0) revert InvalidRefundAmount();
        Account storage account = _accounts[merchant];
        uint256 available = account.head.sponsored();
        if (amount > available) revert RefundExceedsSponsored(amount, available);
        account.refund(amount);
        _totalGasSponsored -= uint240(amount);
        emit GasRefunded(merchant, amount);
    }

    function _checkPayments(address[] calldata merchants, uint256[] calldata amounts, uint8[] calldata operationTypes)
        private
        pure
    {
        _checkBatch(merchants.length);
        if (merchants.length != amounts.length || merchants.length != operationTypes.length) {
            revert ArrayLengthMismatch();
        }
    }

    function _complete(uint256 processed, uint256 succeeded) private returns (uint256, uint256) {
        uint256 failed = processed - succeeded;
        emit BatchSponsorshipCompleted(processed, succeeded, failed);
        return (succeeded, failed);
    }
}
