package carillon

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHolderOfAToken(t *testing.T) {
	for token, want := range map[string][2]string{
		"web-1:5ccb32b2653cfcda:3": {"web-1", "5ccb32b2653cfcda"},
		"a:b:5ccb32b2653cfcda:12":  {"a:b", "5ccb32b2653cfcda"},
		"":                         {},
		"x":                        {},
		"x:1":                      {},
	} {
		name, boot := holderOf(token)
		assert.Equal(t, want, [2]string{name, boot}, token)
	}
}
