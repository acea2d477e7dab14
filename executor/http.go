package executor

import (
	"context"
	"io"
)

func (a *Actions) runHTTP(ctx context.Context, at Attempt, out io.Writer) Report { return Report{} }
