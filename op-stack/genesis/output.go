package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// The files that are written.
const (
	genesisFile = "genesis.json"
	rollupFile  = "rollup.json"
	l1File      = "l1.json"
)

// write puts the files into a directory, which is made where it is missing.
func (start *start) write(directory string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	for file, content := range map[string]any{genesisFile: start.genesis, rollupFile: start.rollup, l1File: start.l1} {
		if err := writeFile(filepath.Join(directory, file), content); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, content any) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := writeJSON(file, content); err != nil {
		return fmt.Errorf("cannot write `%s`: %w", path, err)
	}
	return file.Close()
}

func writeJSON(to io.Writer, content any) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(content)
}
