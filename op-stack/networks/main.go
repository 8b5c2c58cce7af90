// The program networks writes what a chain on a public L1 begins with, from config/chain-config.toml: the intent that
// op-deployer carries out, and the rollup configuration that has to come out of it. What either says is checked by
// op-deployer's own code.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

const usage = `Usage: networks --config FILE --out DIR

Writes two files into DIR:
  intent.toml   for op-deployer apply; the addresses in it that are zero are for you to fill in
  rollup.json   what op-deployer inspect rollup will print; what is zero or 0 in it, the deployment fills in

  --config FILE   the chain's configuration (chain-config.toml)
  --out DIR       an existing folder, such as op-stack/networks/sepolia
`

func main() {
	config := flag.String("config", "", "")
	out := flag.String("out", "", "")
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage) }
	flag.Parse()
	if *config == "" || *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := write(*config, *out); err != nil {
		fmt.Fprintln(os.Stderr, "networks:", err)
		os.Exit(1)
	}
}

func write(config, out string) error {
	files, err := render(config)
	if err != nil {
		return err
	}
	var problems []error
	for name, content := range files {
		problems = append(problems, os.WriteFile(filepath.Join(out, name), content, 0o644))
	}
	return errors.Join(problems...)
}

// render makes both files, by name.
func render(configFile string) (map[string][]byte, error) {
	facts, err := readFacts(configFile)
	if err != nil {
		return nil, err
	}
	text, err := facts.intent()
	if err != nil {
		return nil, err
	}
	rollup, err := expectedRollup(text)
	if err != nil {
		return nil, fmt.Errorf("op-deployer makes no chain of `%s`: %w", configFile, err)
	}
	return map[string][]byte{"intent.toml": text, "rollup.json": append(bytes.TrimSpace(rollup), '\n')}, nil
}
