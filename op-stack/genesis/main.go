// Command genesis makes what an OP Stack chain starts from, out of the configuration that set-sidecar runs with and the
// addresses of the contracts on L1: genesis.json for `op-geth init`, rollup.json for op-node's --rollup.config and
// l1.json for its --rollup.l1-chain-config.
//
// The predeploys are those of a chain in op-geth's own registry, tied to this chain's L1 contracts, owner and fee
// recipient. A network with other people's money on it takes its genesis from op-deployer instead.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// How long L1 may take for all that is asked of it.
const l1Timeout = 30 * time.Second

// errFlags is for flags that were wrong, which the flag package has said already.
var errFlags = errors.New("wrong flags")

type options struct {
	config            string
	overlays          []string
	l1RPC             string
	l1Contracts       string
	out               string
	fork              fork
	fund              []common.Address
	printSystemConfig bool
}

func main() {
	err := run(os.Args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errFlags):
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "genesis: %v\n", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	options, err := parseOptions(arguments)
	if err != nil {
		return err
	}
	config, err := readConfig(append([]string{options.config}, options.overlays...))
	if err != nil {
		return err
	}
	if options.printSystemConfig {
		return writeJSON(os.Stdout, config.systemConfig())
	}
	contracts, err := readContracts(options.l1Contracts)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), l1Timeout)
	defer cancel()
	origin, err := readOrigin(ctx, options.l1RPC, config, contracts)
	if err != nil {
		return err
	}
	start, err := newStart(config, contracts, origin, options.fork, options.fund)
	if err != nil {
		return err
	}
	if err := start.write(options.out); err != nil {
		return err
	}
	fmt.Printf("chain %d starts at block %s, after block %d of L1 %d; its files are in %s\n",
		config.Chain.ID, start.rollup.Genesis.L2.Hash, origin.Number, config.L1.ChainID, options.out)
	return nil
}

func parseOptions(arguments []string) (options, error) {
	options := options{fork: jovian}
	flags := flag.NewFlagSet("genesis", flag.ContinueOnError)
	flags.StringVar(&options.config, "config", "config/chain-config.toml", "the chain's configuration `file`")
	flags.Func("overlay", "a `file` whose keys go over it; may be repeated, the last one wins", func(file string) error {
		options.overlays = append(options.overlays, file)
		return nil
	})
	flags.StringVar(&options.l1RPC, "l1-rpc", "", "`URL` of a node of the L1 that l1.chain_id names")
	flags.StringVar(&options.l1Contracts, "l1-contracts", "", "JSON `file` with the addresses of the contracts on L1")
	flags.StringVar(&options.out, "out", "", "the `directory` to write to; made where it is missing")
	flags.TextVar(&options.fork, "fork", jovian, "the last `fork` to activate: jovian or karst")
	flags.Func("fund", "an `address` that starts with 10,000 ether; may be repeated, never on a public L1", func(text string) error {
		address, err := parseAddress(text)
		options.fund = append(options.fund, address)
		return err
	})
	flags.BoolVar(&options.printSystemConfig, "print-system-config", false,
		"print what SystemConfig on L1 has to hold, as JSON, and end")
	if err := flags.Parse(arguments); err != nil {
		return options, errors.Join(errFlags, err)
	}
	if flags.NArg() > 0 {
		return options, fmt.Errorf("unknown argument `%s`", flags.Arg(0))
	}
	if options.printSystemConfig {
		return options, nil
	}
	for _, required := range []struct{ name, value string }{
		{"--l1-rpc", options.l1RPC}, {"--l1-contracts", options.l1Contracts}, {"--out", options.out},
	} {
		if required.value == "" {
			return options, fmt.Errorf("%s is missing; --help explains it", required.name)
		}
	}
	if filepath.Clean(options.l1Contracts) == filepath.Join(options.out, l1File) {
		return options, fmt.Errorf("--l1-contracts is `%s`, which would be overwritten; give it another name", options.l1Contracts)
	}
	return options, nil
}
