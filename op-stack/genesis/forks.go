package main

import "fmt"

// fork is the last fork that the chain activates. Everything up to Isthmus is active from the first block.
type fork string

const (
	jovian fork = "jovian"
	karst  fork = "karst"
)

// Blocks from genesis to Jovian, and from there to Karst: late enough that a chain lives through its upgrade
// transactions as a network does, and soon enough that nobody waits for them.
const forkDistance = 3

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

// forkTimes are the timestamps at which the later forks activate; nil for never.
type forkTimes struct {
	jovian *uint64
	karst  *uint64
}

func (f fork) times(genesisTime, blockTime uint64) forkTimes {
	after := func(blocks uint64) *uint64 {
		time := genesisTime + blocks*blockTime
		return &time
	}
	times := forkTimes{jovian: after(forkDistance)}
	if f == karst {
		times.karst = after(2 * forkDistance)
	}
	return times
}
