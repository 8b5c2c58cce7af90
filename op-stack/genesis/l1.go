package main

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"
)

// l1Origin is the block of L1 after which the chain starts.
type l1Origin struct {
	Hash   common.Hash    `json:"hash"`
	Number hexutil.Uint64 `json:"number"`
	Time   hexutil.Uint64 `json:"timestamp"`
}

// readOrigin asks L1 for the block to start from, once it is sure that this is the L1 of the configuration, and that
// SystemConfig there says what the configuration says.
func readOrigin(ctx context.Context, url string, config *chainConfig, contracts *l1Contracts) (*l1Origin, error) {
	client, err := rpc.DialContext(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("cannot reach L1 (--l1-rpc): %w", err)
	}
	defer client.Close()
	l1 := ethclient.NewClient(client)
	id, err := l1.ChainID(ctx)
	if err != nil {
		return nil, fmt.Errorf("L1 (--l1-rpc) does not say its chain id: %w", err)
	}
	if !id.IsUint64() || id.Uint64() != config.L1.ChainID {
		return nil, fmt.Errorf("the node at --l1-rpc is of chain %s, and l1.chain_id says %d; give a node of the chain's own L1", id, config.L1.ChainID)
	}
	if err := compareSystemConfig(ctx, l1, config, contracts); err != nil {
		return nil, err
	}
	// A chain cannot outlive the block that it starts from, so a public L1 has to have finalized it. A devnet's has
	// what was deployed a moment ago in its latest block.
	tag := "latest"
	if isPublic(config.L1.ChainID) {
		tag = "finalized"
	}
	var origin *l1Origin
	if err := client.CallContext(ctx, &origin, "eth_getBlockByNumber", tag, false); err != nil {
		return nil, fmt.Errorf("L1 (--l1-rpc) does not give its %s block: %w", tag, err)
	}
	if origin == nil {
		return nil, fmt.Errorf("L1 (--l1-rpc) has no %s block", tag)
	}
	return origin, nil
}

// compareSystemConfig asks SystemConfig for each value that it has a getter for. Older contracts lack those of later
// forks, and then the configuration alone says what the chain starts with.
func compareSystemConfig(ctx context.Context, l1 *ethclient.Client, config *chainConfig, contracts *l1Contracts) error {
	code, err := l1.CodeAt(ctx, contracts.SystemConfig, nil)
	if err != nil {
		return fmt.Errorf("L1 (--l1-rpc) does not say what is at SystemConfig: %w", err)
	}
	if len(code) == 0 {
		return fmt.Errorf("there is no contract at %s on L1, which --l1-contracts calls SystemConfig", contracts.SystemConfig)
	}
	number := func(value uint64) common.Hash { return common.BigToHash(new(big.Int).SetUint64(value)) }
	address := func(value common.Address) common.Hash { return common.BytesToHash(value[:]) }
	system := config.systemConfig()
	var problems []error
	for _, expected := range []struct {
		getter   string
		value    common.Hash
		key      string
		required bool
	}{
		{"batcherHash()", address(contracts.Batcher), "batcher (--l1-contracts)", true},
		{"gasLimit()", number(system.GasLimit), "block.gas_limit", true},
		{"basefeeScalar()", number(uint64(system.BaseFeeScalar)), "rollup.base_fee_scalar", true},
		{"blobbasefeeScalar()", number(uint64(system.BlobBaseFeeScalar)), "rollup.blob_base_fee_scalar", true},
		{"optimismPortal()", address(contracts.OptimismPortal), "OptimismPortal (--l1-contracts)", false},
		{"batchInbox()", address(contracts.inbox(config)), "the batch inbox", false},
		{"operatorFeeScalar()", number(uint64(system.OperatorFeeScalar)), "rollup.operator_fee_scalar", false},
		{"operatorFeeConstant()", number(system.OperatorFeeConstant), "rollup.operator_fee_constant", false},
		{"minBaseFee()", number(system.MinBaseFee), "rollup.min_base_fee", false},
		{"daFootprintGasScalar()", number(uint64(system.DAFootprintGasScalar)), "rollup.da_footprint_gas_scalar", false},
		{"eip1559Denominator()", number(uint64(system.EIP1559Denominator)), "rollup.eip1559_denominator", false},
		{"eip1559Elasticity()", number(uint64(system.EIP1559Elasticity)), "rollup.eip1559_elasticity", false},
	} {
		found, err := callGetter(ctx, l1, contracts.SystemConfig, expected.getter)
		switch {
		case err != nil:
			return err
		case found == nil && expected.required:
			problems = append(problems, fmt.Errorf("  it has no %s: it is no SystemConfig", expected.getter))
		case found != nil && *found != expected.value:
			problems = append(problems, fmt.Errorf("  %s is %s, and %s is %s",
				expected.getter, found.Big(), expected.key, expected.value.Big()))
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("SystemConfig at %s on L1 does not say what the configuration says; nodes would leave the chain at its first update:\n%w",
			contracts.SystemConfig, errors.Join(problems...))
	}
	return nil
}

// callGetter gives the one word that a getter answers, or nil where the contract has no such getter.
func callGetter(ctx context.Context, l1 *ethclient.Client, contract common.Address, getter string) (*common.Hash, error) {
	selector := crypto.Keccak256([]byte(getter))[:4]
	answer, err := l1.CallContract(ctx, ethereum.CallMsg{To: &contract, Data: selector}, nil)
	var refused rpc.Error
	if errors.As(err, &refused) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("L1 (--l1-rpc) does not answer %s of %s: %w", getter, contract, err)
	}
	if len(answer) != common.HashLength {
		return nil, nil
	}
	word := common.BytesToHash(answer)
	return &word, nil
}
