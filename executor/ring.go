package executor

// ring holds the newest TailBytes of a stream. It grows with what it holds, so
// that a quiet job costs little.
type ring struct {
	at    int64 // offset in the stream of the oldest byte it holds
	buf   []byte
	first int // index of the oldest byte
	n     int
}

func (r *ring) len() int { return r.n }

// write appends p and lets go of the oldest bytes when there are too many.
func (r *ring) write(p []byte) {
	if over := len(p) - TailBytes; over > 0 {
		r.at += int64(r.n + over)
		r.first, r.n = 0, 0
		p = p[over:]
	}
	if over := r.n + len(p) - TailBytes; over > 0 {
		r.drop(over)
	}
	r.grow(r.n + len(p))
	if len(p) == 0 {
		return
	}
	end := (r.first + r.n) % len(r.buf)
	copied := copy(r.buf[end:], p)
	copy(r.buf, p[copied:])
	r.n += len(p)
}

func (r *ring) grow(need int) {
	if need <= len(r.buf) {
		return
	}
	buf := make([]byte, min(max(need, 2*len(r.buf), 4<<10), TailBytes))
	n := r.read(buf)
	r.buf, r.first, r.n = buf, 0, n
}

// read copies the oldest bytes to p and returns how many.
func (r *ring) read(p []byte) int {
	p = p[:min(len(p), r.n)]
	if len(p) == 0 {
		return 0
	}
	copied := copy(p, r.buf[r.first:])
	copy(p[copied:], r.buf)
	return len(p)
}

// copyOut returns a copy of the n oldest bytes.
func (r *ring) copyOut(n int) []byte {
	p := make([]byte, n)
	return p[:r.read(p)]
}

// dropTo lets go of everything before the offset.
func (r *ring) dropTo(offset int64) {
	if n := offset - r.at; n > 0 {
		r.drop(int(min(n, int64(r.n))))
	}
}

func (r *ring) drop(n int) {
	r.at += int64(n)
	r.n -= n
	if r.n == 0 {
		r.first = 0
		return
	}
	r.first = (r.first + n) % len(r.buf)
}
