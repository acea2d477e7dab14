package console

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Meter counts what a node does, since it began. Its methods may be called from any
// goroutine. A job's name is the only label that grows with the schedule.
type Meter struct {
	ticks  *prometheus.CounterVec
	runs   *prometheus.CounterVec
	lag    prometheus.Histogram
	errors *prometheus.CounterVec
}

// What the labels of the counters can say.
var (
	outcomes = []string{"ran", "late", "skipped", "missed"}
	ends     = []string{"succeeded", "failed"} // of those there are, the two that alarms ask for
	calls    = []string{"adopt", "commit", "exchange", "heartbeat", "renew"}
)

// NewMeter returns a Meter at zero.
func NewMeter() *Meter {
	m := &Meter{
		ticks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "carillon_ticks_total",
			Help: "Ticks that this node decided as the leader, by outcome: ran, late, skipped, missed."}, []string{"outcome"}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "carillon_attempts_total",
			Help: "Attempts that this node executed, by job and by what they made of the run: succeeded, failed, retrying, canceled, rolled_back, rollback_failed."}, []string{"job", "status"}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "carillon_tick_lag_seconds",
			Help:    "From a tick to the first attempt of its run on this node.",
			Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600}}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "carillon_redis_errors_total",
			Help: "Calls to Redis that failed, by call: adopt, commit, exchange, heartbeat, renew."}, []string{"call"}),
	}
	for _, o := range outcomes {
		m.ticks.WithLabelValues(o)
	}
	for _, c := range calls {
		m.errors.WithLabelValues(c)
	}
	return m
}

// Describe and Collect make a Meter a prometheus.Collector.
func (m *Meter) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{m.ticks, m.runs, m.lag, m.errors} {
		c.Describe(ch)
	}
}

// Collect is the other half of it.
func (m *Meter) Collect(ch chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.ticks, m.runs, m.lag, m.errors} {
		c.Collect(ch)
	}
}

// Ticks counts ticks that were decided.
func (m *Meter) Ticks(outcome string, n int) { m.ticks.WithLabelValues(outcome).Add(float64(n)) }

// Started notes the first attempt of a tick's run, so much later than the tick.
func (m *Meter) Started(lag time.Duration) { m.lag.Observe(max(lag, 0).Seconds()) }

// Known makes the counters of a job begin at zero: a rate needs that to see the first one.
func (m *Meter) Known(job string) {
	for _, status := range ends {
		m.runs.WithLabelValues(job, status)
	}
}

// Ended counts an attempt.
func (m *Meter) Ended(job, status string) { m.runs.WithLabelValues(job, status).Inc() }

// Failed counts a call to Redis that failed.
func (m *Meter) Failed(call string) { m.errors.WithLabelValues(call).Inc() }

// State is what a node is at the moment of a scrape.
type State struct {
	Version, Zoneinfo, Node string
	Digest                  string // of the schedule
	Revision                int64
	Jobs                    int
	Leading                 bool
	Epoch                   int64     // of the term it leads; 0 when it does not
	Passed                  time.Time // as the leader: when ticks were last up to date; zero: not yet
	Slots, Running          int
	ClockOffset             time.Duration
	Reached                 time.Time // when Redis last answered; zero: never
	Silences                int       // how often this node has found the leader silent, since it began

	Fleet *Fleet // nil when Redis did not answer
}

// Fleet is what Redis says of all nodes.
type Fleet struct {
	Led     bool
	Nodes   map[Schedule]int // live nodes, by what they have
	Differs bool             // the schedule of this node is another than the leader's
	Foreign bool             // and has no job in common with it
	Silent  bool             // this node finds that the leader decides no ticks
	Waiting map[string]int   // runs, by route
}

// Schedule is one version of the file.
type Schedule struct {
	Digest   string
	Revision int64
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("carillon_"+name, help, labels, nil)
}

var (
	buildInfo    = desc("build_info", "1, with the version of this node and of its time zones.", "version", "zoneinfo", "node")
	scheduleInfo = desc("schedule_info", "1, with the schedule that this node has.", "digest", "revision")
	jobsGauge    = desc("jobs", "Jobs in the schedule of this node.")
	leaderGauge  = desc("leader", "1 while this node leads, else 0.")
	epochGauge   = desc("term_epoch", "Epoch of the term that this node leads, 0 when it does not.")
	passGauge    = desc("leader_pass_age_seconds", "As the leader: since when ticks were last up to date. Absent on other nodes.")
	slotsGauge   = desc("slots", "Runs that this node executes at a time.")
	runningGauge = desc("running", "Runs that this node executes now.")
	offsetGauge  = desc("clock_offset_seconds", "The clock of this host minus that of Redis.")
	redisGauge   = desc("redis_up", "1 when Redis answered this scrape, else 0. What the fleet is, is absent then.")
	ledGauge     = desc("fleet_led", "1 while any node leads, else 0.")
	silentGauge  = desc("leader_silent", "1 while this node, which does not lead, finds that the leader decides no ticks, else 0.")
	silentCount  = desc("silent_leaders_total", "How often this node has found the leader silent.")
	nodesGauge   = desc("nodes", "Live nodes of the fleet, by the schedule they have.", "digest", "revision")
	differsGauge = desc("schedule_differs", "1 when this node has another schedule than the leader, else 0.")
	foreignGauge = desc("foreign_fleet", "1 when this node has no job in common with the leader, else 0.")
	queueGauge   = desc("queued", "Runs of the fleet that wait, by route. An element may be void: that of a run that was canceled.", "route")

	descs = []*prometheus.Desc{buildInfo, scheduleInfo, jobsGauge, leaderGauge, epochGauge, passGauge, slotsGauge, runningGauge,
		offsetGauge, redisGauge, ledGauge, silentGauge, silentCount, nodesGauge, differsGauge, foreignGauge, queueGauge}
)

// collector makes metrics of a State.
type collector struct {
	state func(ctx context.Context) State
}

// scrapeFor is how long a scrape waits for Redis.
const scrapeFor = 2 * time.Second

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descs {
		ch <- d
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeFor)
	defer cancel()
	s := c.state(ctx)
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(buildInfo, 1, valid(s.Version), valid(s.Zoneinfo), valid(s.Node))
	gauge(scheduleInfo, 1, valid(s.Digest), strconv.FormatInt(s.Revision, 10))
	gauge(jobsGauge, float64(s.Jobs))
	gauge(leaderGauge, truth(s.Leading))
	gauge(epochGauge, float64(s.Epoch))
	if s.Leading && !s.Passed.IsZero() {
		gauge(passGauge, max(time.Since(s.Passed), 0).Seconds())
	}
	gauge(slotsGauge, float64(s.Slots))
	gauge(runningGauge, float64(s.Running))
	gauge(offsetGauge, s.ClockOffset.Seconds())
	ch <- prometheus.MustNewConstMetric(silentCount, prometheus.CounterValue, float64(s.Silences))
	gauge(redisGauge, truth(s.Fleet != nil))
	if s.Fleet == nil {
		return
	}
	gauge(ledGauge, truth(s.Fleet.Led))
	gauge(silentGauge, truth(s.Fleet.Silent))
	// What two texts become alike when they are made valid must not be given twice.
	nodes := map[[2]string]int{}
	for v, n := range s.Fleet.Nodes {
		nodes[[2]string{valid(v.Digest), strconv.FormatInt(v.Revision, 10)}] += n
	}
	for labels, n := range nodes {
		gauge(nodesGauge, float64(n), labels[0], labels[1])
	}
	gauge(differsGauge, truth(s.Fleet.Differs))
	gauge(foreignGauge, truth(s.Fleet.Foreign))
	waiting := map[string]int{}
	for route, n := range s.Fleet.Waiting {
		waiting[valid(route)] += n
	}
	for route, n := range waiting {
		gauge(queueGauge, float64(n), route)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// valid is a text that may be the value of a label: what comes from Redis may be
// anything.
func valid(text string) string {
	const most = 200
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "?")
}
