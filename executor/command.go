package executor

import (
	"context"
	"io"
)

func (a *Actions) runCommand(ctx context.Context, at Attempt, out io.Writer) Report { return Report{} }
func (a *Actions) runHTTP(ctx context.Context, at Attempt, out io.Writer) Report    { return Report{} }
