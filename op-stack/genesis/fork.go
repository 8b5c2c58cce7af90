package main

import "fmt"

// fork is the last fork that the chain activates. Everything up to Jovian is active from the first block.
type fork string

const (
	jovian fork = "jovian"
	karst  fork = "karst"
)

// Blocks from genesis to Karst: late enough that the chain lives through the upgrade as a network does, and soon enough
// that nobody waits for it.
const blocksToKarst = 3

// UnmarshalText reads a fork's name.
func (f *fork) UnmarshalText(text []byte) error {
	switch name := fork(text); name {
	case jovian, karst:
		*f = name
		return nil
	default:
		return fmt.Errorf("`%s` is no fork that can be activated here; give `%s` or `%s`", text, jovian, karst)
	}
}

// MarshalText writes it.
func (f fork) MarshalText() ([]byte, error) {
	return []byte(f), nil
}

// karstTime is the timestamp at which Karst activates; nil for never.
func (f fork) karstTime(genesisTime, blockTime uint64) *uint64 {
	if f != karst {
		return nil
	}
	time := genesisTime + blocksToKarst*blockTime
	return &time
}
