package leader_test

import (
	"testing"

	"carillon/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }
