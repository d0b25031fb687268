package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"reflect"
)

// row is one row of an answer.
type row interface{ Scan(into ...any) error }

// list reads all rows that query gives. No rows is an empty list, not nil: it is
// answered as JSON.
func list[T any](ctx context.Context, s *Store, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := []T{}
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// encode gives v as JSON, NULL for a nil pointer.
func encode(v any) (sql.NullString, error) {
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && p.IsNil() {
		return sql.NullString{}, nil
	}
	b, err := json.Marshal(v)
	return sql.NullString{String: string(b), Valid: err == nil}, err
}

// decode reads what encode wrote into v, which stays as it is for NULL.
func decode(from sql.NullString, v any) error {
	if !from.Valid {
		return nil
	}
	return json.Unmarshal([]byte(from.String), v)
}
