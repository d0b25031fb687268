package synth

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// Limits of what is learned.
const (
	MaxColumns = 200
	MaxRows    = 1_000_000
	MaxCell    = 1024 // bytes
)

// ErrTable is wrapped by every error that is the table's fault.
var ErrTable = errors.New("table cannot be read")

// Model is what was learned of a table.
type Model struct {
	Rows    int      `json:"rows"` // of the real table
	Columns []Column `json:"columns"`
}

// Learn reads a CSV table whose first record names the columns. It holds the
// whole table in memory: bound r. Errors wrap ErrTable.
func Learn(r io.Reader) (Model, error) {
	header, cells, rows, err := readColumns(r)
	if err != nil {
		return Model{}, err
	}
	m := Model{Rows: rows, Columns: make([]Column, len(header))}
	for i, name := range header {
		m.Columns[i] = learnColumn(name, cells[i])
	}
	return m, nil
}

// Header gives the names of the columns.
func (m Model) Header() []string {
	names := make([]string, len(m.Columns))
	for i, c := range m.Columns {
		names[i] = c.Name
	}
	return names
}

// Compare counts another table of the same columns into the bars of this one:
// numbers into its histogram, categories into its values. What this table did
// not have is left out. Errors wrap ErrTable.
func (m Model) Compare(r io.Reader) ([][]int, error) {
	header, cells, _, err := readColumns(r)
	if err != nil {
		return nil, err
	}
	if len(header) != len(m.Columns) {
		return nil, fmt.Errorf("%w: %d columns, not %d", ErrTable, len(header), len(m.Columns))
	}
	counts := make([][]int, len(m.Columns))
	for i, c := range m.Columns {
		counts[i] = c.compare(cells[i])
	}
	return counts, nil
}

func (c Column) compare(cells []string) []int {
	if c.Kind != Number {
		seen := map[string]int{}
		for _, s := range cells {
			seen[s]++
		}
		counts := make([]int, len(c.Values))
		for i, v := range c.Values {
			counts[i] = seen[v.Text]
		}
		return counts
	}
	filled := make([]string, 0, len(cells))
	for _, s := range cells {
		if s != "" {
			filled = append(filled, s)
		}
	}
	numbers, _ := parseNumbers(filled)
	return c.Count(numbers)
}

func readColumns(r io.Reader) (header []string, cells [][]string, rows int, err error) {
	in := csv.NewReader(r)
	if header, err = in.Read(); err != nil {
		return nil, nil, 0, fmt.Errorf("%w: header: %w", ErrTable, err)
	}
	if len(header) > MaxColumns {
		return nil, nil, 0, fmt.Errorf("%w: more than %d columns", ErrTable, MaxColumns)
	}
	in.ReuseRecord = true
	cells = make([][]string, len(header))
	header = append([]string(nil), header...)
	for ; ; rows++ {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, 0, fmt.Errorf("%w: %w", ErrTable, err)
		}
		if rows == MaxRows {
			return nil, nil, 0, fmt.Errorf("%w: more than %d rows", ErrTable, MaxRows)
		}
		for i, s := range record {
			if len(s) > MaxCell {
				return nil, nil, 0, fmt.Errorf("%w: a cell of %q is longer than %d bytes", ErrTable, header[i], MaxCell)
			}
			cells[i] = append(cells[i], s)
		}
	}
	if rows == 0 {
		return nil, nil, 0, fmt.Errorf("%w: it has no rows", ErrTable)
	}
	return header, cells, rows, nil
}
