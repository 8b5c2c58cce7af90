// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title SpendingModel
/// @notice What `MerchantAccount` computes, said plainly: it keeps every payment with its time, and adds up.
contract SpendingModel {
    struct Payment {
        uint256 time;
        uint256 left;
    }

    Payment[] private _payments;

    function pay(uint256 amount, uint256 time) external {
        _payments.push(Payment(time, amount));
    }

    /// @notice Takes `amount` off the latest payments.
    function refund(uint256 amount) external {
        for (uint256 i = _payments.length; amount != 0; --i) {
            uint256 taken = amount < _payments[i - 1].left ? amount : _payments[i - 1].left;
            _payments[i - 1].left -= taken;
            amount -= taken;
        }
    }

    /// @notice What was paid, and not refunded, less than `age` seconds before `time`.
    function youngerThan(uint256 age, uint256 time) public view returns (uint256 sum) {
        for (uint256 i = _payments.length; i != 0 && time - _payments[i - 1].time < age; --i) {
            sum += _payments[i - 1].left;
        }
    }

    function total() external view returns (uint256 sum) {
        for (uint256 i = 0; i < _payments.length; ++i) {
            sum += _payments[i].left;
        }
    }

    /// @notice The least and the most that may count against a limit of `window` seconds, kept in buckets of `bucket`.
    function bounds(uint256 window, uint256 bucket, uint256 time) external view returns (uint256 least, uint256 most) {
        if (_payments.length == 0 || time - _payments[_payments.length - 1].time >= window) return (0, 0);
        return (youngerThan(window, time), youngerThan(window + bucket, time));
    }
}
