package main

import (
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// parseAddress reads an address in hexadecimal, with 0x.
func parseAddress(text string) (common.Address, error) {
	var address common.Address
	if err := address.UnmarshalText([]byte(text)); err != nil {
		return address, fmt.Errorf("`%s` is no address: give 0x and 40 hexadecimal digits", text)
	}
	return address, nil
}
