package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"
)

// Manifests come as YAML or as JSON, and complaints name lines. Both become nodes
// of the YAML library. JSON is not left to it, although it reads most of it: it
// fails at "\ud83d\ude00" and at what stands behind a tab.

// tree is a place in a document, nil where there is nothing.
type tree struct{ node *yaml.Node }

// readYAML reads all documents of a text.
func readYAML(data []byte) (docs []tree, err error) {
	defer func() {
		if r := recover(); r != nil { // the library is not ours
			docs, err = nil, fmt.Errorf("not valid YAML: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		switch err := dec.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return nil, fmt.Errorf("not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		case len(doc.Content) > 0:
			docs = append(docs, tree{doc.Content[0]})
		}
	}
}

// readJSON reads all values of a text, one behind the other.
func readJSON(data []byte) (docs []tree, err error) {
	r := jsonReader{dec: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1}
	r.dec.UseNumber()
	for {
		node, err := r.value(0)
		switch {
		case errors.Is(err, io.EOF) && node == nil:
			return docs, nil
		case err != nil:
			return nil, fmt.Errorf("line %d: not valid JSON: %w", r.at(), err)
		}
		docs = append(docs, tree{node})
	}
}

// A jsonReader makes nodes of tokens, each with its line.
type jsonReader struct {
	dec  *json.Decoder
	data []byte
	seen int // the line is known up to here
	line int
}

// at is the line of the token that was just read.
func (r *jsonReader) at() int {
	to := min(int(r.dec.InputOffset()), len(r.data))
	r.line += bytes.Count(r.data[r.seen:to], []byte("\n"))
	r.seen = to
	return r.line
}

// deepest is more than any manifest nests.
const deepest = 200

func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	if depth > deepest {
		return nil, fmt.Errorf("nested deeper than %d", deepest)
	}
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	node := &yaml.Node{Kind: yaml.ScalarNode, Line: r.at()}
	switch v := token.(type) {
	case string:
		node.Tag, node.Value, node.Style = "!!str", v, yaml.DoubleQuotedStyle
	case json.Number:
		node.Tag, node.Value = "!!int", v.String()
	case bool:
		node.Tag, node.Value = "!!bool", fmt.Sprint(v)
	case nil:
		node.Tag = "!!null"
	case json.Delim:
		if node.Kind = yaml.MappingNode; v == '[' {
			node.Kind = yaml.SequenceNode
		}
		for r.dec.More() {
			item, err := r.value(depth + 1)
			if err != nil {
				return nil, noEnd(err)
			}
			node.Content = append(node.Content, item)
		}
		if _, err := r.dec.Token(); err != nil {
			return nil, noEnd(err)
		}
	}
	return node, nil
}

// noEnd is the error for a text that ends in the middle.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// resolved follows aliases.
func (t tree) resolved() *yaml.Node {
	n := t.node
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// given reports whether there is something, and it is not null.
func (t tree) given() bool {
	n := t.resolved()
	return n != nil && n.Tag != "!!null"
}

// get is the value under a path of keys.
func (t tree) get(path ...string) tree {
	for _, key := range path {
		t = tree{child(t.resolved(), key, 0)}
	}
	return t
}

// child finds a key of a mapping, or of one that it merges.
func child(n *yaml.Node, key string, depth int) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode || depth > 8 {
		return nil
	}
	var merged *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch k := n.Content[i]; {
		case k.Value == key:
			return n.Content[i+1]
		case k.Tag == "!!merge" && merged == nil:
			merged = child(tree{n.Content[i+1]}.resolved(), key, depth+1)
		}
	}
	return merged
}

// text is a scalar as it was written; "" for anything else.
func (t tree) text() string {
	if n := t.resolved(); t.given() && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

// isTrue reports the boolean true, or its text.
func (t tree) isTrue() bool { return strings.EqualFold(t.text(), "true") }

// line is where the value begins; 0 when there is none.
func (t tree) line() int {
	if t.node == nil {
		return 0
	}
	return t.node.Line
}

// items are the items of a list; of anything else there are none.
func (t tree) items() []tree {
	n := t.resolved()
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	list := make([]tree, len(n.Content))
	for i, item := range n.Content {
		list[i] = tree{item}
	}
	return list
}

// A member is one key of a mapping.
type member struct {
	key   string
	value tree
}

// members are the keys of a mapping, in the order of the document.
func (t tree) members() []member {
	n := t.resolved()
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var list []member
	for i := 0; i+1 < len(n.Content); i += 2 {
		list = append(list, member{n.Content[i].Value, tree{n.Content[i+1]}})
	}
	return list
}

// isList and isObject tell the two forms of a document apart.
func (t tree) isList() bool {
	n := t.resolved()
	return n != nil && n.Kind == yaml.SequenceNode
}

func (t tree) isObject() bool {
	n := t.resolved()
	return n != nil && n.Kind == yaml.MappingNode
}

// looksLikeJSON reports whether a text begins as JSON does. YAML may begin so too,
// and is then read as YAML when it is no JSON.
func looksLikeJSON(data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n\ufeff")
	return len(data) > 0 && (data[0] == '{' || data[0] == '[')
}
