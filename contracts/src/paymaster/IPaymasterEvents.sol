// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title IPaymasterEvents
/// @notice The events and errors of SetPaymaster. Those of ownership, upgrade and re-entrancy come from OpenZeppelin.
/// @dev Every amount is in wei.
interface IPaymasterEvents {
    // ------------------------------------------------------------------ events: payments

    /// @notice A merchant was paid `amount`; it counts against the merchant's limits.
    event GasSponsored(address indexed merchant, uint256 amount, uint8 operationType);

    /// @notice The payment named by `sponsorshipId` was made; the id can't be paid again.
    event SponsorshipPaid(bytes32 indexed sponsorshipId, address indexed merchant, uint256 amount);

    /// @notice An entry of a batch was left out; its neighbours were not affected.
    /// @param reason What `canSponsor` answers for it, or "Transfer failed", "Invalid operation type", "Foreign sponsorship
    /// id", "Sponsorship already paid", "Sponsorship expired".
    event BatchSponsorshipFailed(address indexed merchant, string reason);

    /// @notice The sponsorship of a batch that was left out, beside its `BatchSponsorshipFailed`; the id stays unpaid,
    /// unless it was paid before.
    event SponsorshipSkipped(bytes32 indexed sponsorshipId, address indexed merchant, string reason);

    /// @notice A batch of payments is done: `processed` entries, of which `succeeded` were paid and `failed` left out.
    event BatchSponsorshipCompleted(uint256 processed, uint256 succeeded, uint256 failed);

    /// @notice An operator paid back `amount` of what a merchant had received.
    event GasRefunded(address indexed merchant, uint256 amount);

    // ------------------------------------------------------------------ events: tiers, merchants, roles

    /// @notice A tier was created, active. Its monthly limit is in `tiers`.
    event TierCreated(uint256 indexed tierId, string name, uint256 maxPerTx, uint256 maxPerDay);

    /// @notice A tier's limits changed, for all its merchants and at once.
    event TierUpdated(uint256 indexed tierId, uint256 maxPerTx, uint256 maxPerDay);

    /// @notice A tier was switched on or off; while off, its merchants are not paid.
    event TierStatusUpdated(uint256 indexed tierId, bool active);

    /// @notice A merchant may be paid within the limits of a tier.
    event MerchantSponsored(address indexed merchant, uint256 tierId);

    /// @notice A merchant may no longer be paid.
    event MerchantRevoked(address indexed merchant);

    /// @notice An account may execute and refund sponsorships from now on, or may no longer.
    event OperatorUpdated(address indexed operator, bool authorized);

    /// @notice Who may pause besides the owner; zero for nobody.
    event GuardianUpdated(address indexed guardian);

    /// @notice Payments were stopped (as in OpenZeppelin's Pausable).
    event Paused(address account);

    /// @notice Payments were allowed again (as in OpenZeppelin's Pausable).
    event Unpaused(address account);

    // ------------------------------------------------------------------ events: funds and code

    /// @notice Ether came in, by `deposit` or by a plain transfer.
    event Deposited(address indexed from, uint256 amount);

    /// @notice Ether went to the treasury.
    event Withdrawn(address indexed to, uint256 amount);

    /// @notice The least that `deposit` takes.
    event MinDepositUpdated(uint256 minDeposit);

    /// @notice Where withdrawals go from now on.
    event TreasuryUpdated(address indexed treasury);

    /// @notice The implementation behind the proxy changed.
    event ContractUpgraded(address indexed newImplementation, address indexed authorizer);

    // ------------------------------------------------------------------ errors: who and how

    /// @notice The caller is neither an operator nor the owner.
    error NotOperator();

    /// @notice The paymaster is paused (as in OpenZeppelin's Pausable).
    error EnforcedPause();

    /// @notice The paymaster is not paused (as in OpenZeppelin's Pausable).
    error ExpectedPause();

    /// @notice The owner can't renounce: nobody could then unpause, withdraw or upgrade.
    error OwnershipCannotBeRenounced();

    /// @notice An address argument is zero, or is the paymaster itself.
    error InvalidAddress();

    /// @notice Arrays that belong together have different lengths.
    error ArrayLengthMismatch();

    /// @notice An array that must name something is empty.
    error EmptyArray();

    /// @notice A batch has more than `MAX_BATCH_SIZE` entries.
    error BatchTooLarge();

    // ------------------------------------------------------------------ errors: a payment, in the order of the checks

    /// @notice An operation type is 0 to 6.
    error InvalidOperationType(uint8 operationType);

    /// @notice The first 20 bytes of a sponsorship id must be the merchant's address.
    error ForeignSponsorshipId(bytes32 sponsorshipId, address merchant);

    /// @notice The sponsorship was paid before.
    error SponsorshipAlreadyPaid(bytes32 sponsorshipId);

    /// @notice The block's timestamp is after the deadline (unix seconds).
    error SponsorshipExpired(uint64 deadline);

    /// @notice The merchant is unknown or revoked.
    error NotSponsored();

    /// @notice The merchant's tier is switched off.
    error TierNotActive();

    /// @notice The merchant would receive more than its tier allows in one Ethereum transaction.
    /// @param max What is left of the limit in this transaction.
    error ExceedsTransactionLimit(uint256 requested, uint256 max);

    /// @notice The merchant would receive more than its tier allows in 24 hours.
    /// @param remaining What is left of the limit; zero where it was lowered below what counts already.
    error ExceedsDailyLimit(uint256 requested, uint256 remaining);

    /// @notice The merchant would receive more than its tier allows in 30 days.
    /// @param remaining What is left of the limit; zero where it was lowered below what counts already.
    error ExceedsMonthlyLimit(uint256 requested, uint256 remaining);

    /// @notice The paymaster holds less than the payment or withdrawal.
    error InsufficientBalance();

    /// @notice The call has too little gas left to give the next payee its full share; nothing was paid. Raise the gas limit.
    error InsufficientGas(uint256 available, uint256 required);

    /// @notice The merchant refused the ether, or needed more gas than a payee gets.
    error TransferFailed();

    // ------------------------------------------------------------------ errors: refunds, funds, tiers

    /// @notice A refund is of at least 1 wei.
    error InvalidRefundAmount();

    /// @notice The ether sent is not the sum of the refunds.
    error RefundValueMismatch(uint256 expected, uint256 actual);

    /// @notice A refund is larger than all the merchant received and did not refund yet.
    error RefundExceedsSponsored(uint256 requested, uint256 available);

    /// @notice A deposit is below `minDeposit`.
    error BelowMinimumDeposit(uint256 sent, uint256 minimum);

    /// @notice The treasury refused the ether.
    error WithdrawFailed();

    /// @notice No such tier, or (where a merchant is put into one) a tier that is switched off.
    error InvalidTier();

    /// @notice Limits must not fall from transaction to day to month, and must fit 128 bits.
    error InvalidTierLimits();

    /// @notice All 256 tier ids are taken.
    error TooManyTiers();
}
