package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/ethereum-optimism/optimism/op-chain-ops/addresses"
	"github.com/ethereum-optimism/optimism/op-deployer/pkg/deployer/state"
	"github.com/ethereum-optimism/optimism/op-service/eth"
	"github.com/ethereum/go-ethereum/common"
)

// Stands for every address that is not known before the deployment: op-deployer refuses zero.
var unknown = common.HexToAddress("0x00000000000000000000000000000000756e6b6e")

// readIntent reads an intent as op-deployer does, but refuses what op-deployer would ignore.
func readIntent(text []byte) (*state.Intent, error) {
	intent := &state.Intent{}
	read, err := toml.NewDecoder(bytes.NewReader(text)).Decode(intent)
	if err != nil {
		return nil, err
	}
	for _, key := range read.Undecoded() {
		if !strings.Contains(key.String(), "deployOverrides") {
			return nil, fmt.Errorf("op-deployer knows no %s", key)
		}
	}
	return intent, nil
}

// expectedRollup is the rollup configuration that op-deployer makes of an intent, with zero for what only the
// deployment decides.
func expectedRollup(text []byte) ([]byte, error) {
	intent, err := readIntent(text)
	if err != nil {
		return nil, err
	}
	chain := intent.Chains[0]
	for _, address := range []*common.Address{
		&chain.BaseFeeVaultRecipient, &chain.L1FeeVaultRecipient,
		&chain.SequencerFeeVaultRecipient, &chain.OperatorFeeVaultRecipient,
		&chain.Roles.L1ProxyAdminOwner, &chain.Roles.L2ProxyAdminOwner, &chain.Roles.SystemConfigOwner,
		&chain.Roles.UnsafeBlockSigner, &chain.Roles.Batcher, &chain.Roles.Proposer, &chain.Roles.Challenger,
	} {
		if *address == (common.Address{}) {
			*address = unknown
		}
	}
	if err := intent.Check(); err != nil {
		return nil, err
	}
	deployed := &state.ChainState{ID: chain.ID}
	deployed.OptimismPortalProxy = unknown
	deployed.SystemConfigProxy = unknown
	deployed.L1StandardBridgeProxy = unknown
	deployed.L1CrossDomainMessengerProxy = unknown
	deployed.L1Erc721BridgeProxy = unknown
	superchain := &addresses.SuperchainContracts{ProtocolVersionsProxy: unknown}
	config, err := state.CombineDeployConfig(intent, chain, &state.State{SuperchainDeployment: superchain}, deployed)
	if err != nil {
		return nil, err
	}
	rollup, err := config.RollupConfig(&eth.BlockRef{}, common.Hash{}, 0)
	if err != nil {
		return nil, err
	}
	written, err := json.MarshalIndent(rollup, "", "  ")
	if err != nil {
		return nil, err
	}
	zero := strings.ToLower(common.Address{}.Hex())
	return bytes.ReplaceAll(written, []byte(strings.ToLower(unknown.Hex())), []byte(zero)), nil
}
