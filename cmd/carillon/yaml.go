package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// yamlFromJSON rewrites one JSON document as block YAML. The YAML library
// lives in package jobs, where files are read; to write what is JSON already,
// with its keys in their order, takes these lines and no second set of tags.
func yamlFromJSON(doc []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	var b bytes.Buffer
	if err := yamlValue(&b, dec, 0, false); err != nil {
		return nil, fmt.Errorf("yaml: %w", err)
	}
	return b.Bytes(), nil
}

// yamlValue writes the next value of dec, up to and with its newline. Inline
// says that the line has begun: after "key:" or after "-".
func yamlValue(b *bytes.Buffer, dec *json.Decoder, depth int, inline bool) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		lead(b, inline)
		b.WriteString(yamlScalar(tok))
		b.WriteByte('\n')
		return nil
	}
	if !dec.More() {
		lead(b, inline)
		b.WriteString(map[json.Delim]string{'{': "{}\n", '[': "[]\n"}[delim])
		_, err := dec.Token()
		return err
	}
	if inline {
		b.WriteByte('\n')
	}
	for dec.More() {
		b.WriteString(strings.Repeat("  ", depth))
		if delim == '[' {
			if err := yamlItem(b, dec, depth); err != nil {
				return err
			}
			continue
		}
		key, err := dec.Token()
		if err != nil {
			return err
		}
		b.WriteString(yamlScalar(key) + ":")
		if err := yamlValue(b, dec, depth+1, true); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

// yamlItem writes one item of a list; a mapping begins on the line of its dash.
func yamlItem(b *bytes.Buffer, dec *json.Decoder, depth int) error {
	var item bytes.Buffer
	if err := yamlValue(&item, dec, depth+1, false); err != nil {
		return err
	}
	b.WriteString("- ")
	b.Write(bytes.TrimLeft(item.Bytes(), " "))
	return nil
}

func lead(b *bytes.Buffer, inline bool) {
	if inline {
		b.WriteByte(' ')
	}
}

// yamlPlain are the strings that mean themselves without quotes. What a YAML
// reader could take for a number, a time, a boolean or null is quoted.
var (
	yamlPlain    = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./@+-]*( [A-Za-z0-9_./@+(),=-]+)*$`)
	yamlReserved = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null)$`)
)

func yamlScalar(tok json.Token) string {
	switch v := tok.(type) {
	case nil:
		return "null"
	case string:
		if yamlPlain.MatchString(v) && !yamlReserved.MatchString(v) {
			return v
		}
		return string(compactJSON(v)) // a JSON string is a double-quoted YAML scalar
	default:
		return fmt.Sprint(v)
	}
}
