package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/ethereum/go-ethereum/common"
)

// l1Contracts are the chain's contracts on L1 (proxies) and accounts there. Other entries in the file are no concern
// of the genesis.
type l1Contracts struct {
	OptimismPortal common.Address `json:"OptimismPortal"`
	SystemConfig   common.Address `json:"SystemConfig"`
	// The other ends of the predeployed bridges; zero where L1 has none, and then nobody can speak for them.
	L1CrossDomainMessenger common.Address `json:"L1CrossDomainMessenger"`
	L1StandardBridge       common.Address `json:"L1StandardBridge"`
	L1ERC721Bridge         common.Address `json:"L1ERC721Bridge"`
	// The account that op-batcher sends from.
	Batcher common.Address `json:"batcher"`
	// Where it sends to; derived from the chain id where it is left out.
	BatchInbox common.Address `json:"batchInbox"`
}

func readContracts(file string) (*l1Contracts, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the contracts on L1: %w", err)
	}
	contracts := &l1Contracts{}
	if err := json.Unmarshal(content, contracts); err != nil {
		return nil, fmt.Errorf("`%s` holds no contracts on L1: %w", file, err)
	}
	var missing []error
	for _, required := range []struct {
		name    string
		address common.Address
	}{
		{"OptimismPortal", contracts.OptimismPortal},
		{"SystemConfig", contracts.SystemConfig},
		{"batcher", contracts.Batcher},
	} {
		if required.address == (common.Address{}) {
			missing = append(missing, fmt.Errorf("`%s` does not name `%s`", file, required.name))
		}
	}
	return contracts, errors.Join(missing...)
}

// inbox is where batches go.
func (contracts *l1Contracts) inbox(config *chainConfig) common.Address {
	if contracts.BatchInbox != (common.Address{}) {
		return contracts.BatchInbox
	}
	return config.batchInbox()
}
