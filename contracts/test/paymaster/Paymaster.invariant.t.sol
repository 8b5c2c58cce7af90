// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {SetPaymaster} from "../../src/SetPaymaster.sol";
import {Test} from "../Test.sol";
import {PaymasterHandler} from "./PaymasterHandler.sol";
import {SpendingModel} from "./SpendingModel.sol";

/// @notice What always holds, whatever owner, operators and merchants do. The limits themselves are checked at each payment.
contract PaymasterInvariants is Test {
    PaymasterHandler private handler;
    SetPaymaster private paymaster;

    function setUp() public {
        handler = new PaymasterHandler();
        paymaster = handler.paymaster();
        targetContract(address(handler));
    }

    /// @dev One invariant with three parts: forge runs the whole campaign anew for each.
    function invariant_TheBooksAreRight() public view {
        checkTotals();
        checkWindows();
        checkIds();
    }

    function checkTotals() private view {
        uint256 sum;
        for (uint256 i = 0; i < handler.merchantCount(); ++i) {
            address merchant = handler.merchants(i);
            (,,,, uint256 total) = paymaster.getMerchantDetails(merchant);
            vm.assertEq(total, handler.modelOf(merchant).total(), "a merchant's total");
            sum += total;
        }
        vm.assertEq(paymaster.totalGasSponsored(), sum, "the paymaster's total");
        vm.assertEq(sum, handler.paid() - handler.refunded());
        vm.assertEq(paymaster.balance(), handler.FUNDS() - sum, "the paymaster's ether");
    }

    function checkWindows() private view {
        uint256 time = handler.clock();
        for (uint256 i = 0; i < handler.merchantCount(); ++i) {
            address merchant = handler.merchants(i);
            SpendingModel model = handler.modelOf(merchant);
            (,, uint256 today, uint256 thisMonth,) = paymaster.getMerchantDetails(merchant);
            (uint256 least, uint256 most) = model.bounds(24 hours, 1 hours, time);
            vm.assertLe(least, today);
            vm.assertLe(today, most);
            (least, most) = model.bounds(30 days, 1 days, time);
            vm.assertLe(least, thisMonth);
            vm.assertLe(thisMonth, most);
        }
    }

    function checkIds() private view {
        for (uint256 i = 0; i < handler.paidIdCount(); ++i) {
            vm.assertTrue(paymaster.isSponsorshipPaid(handler.paidIds(i)));
        }
    }
}
