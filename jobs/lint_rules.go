package jobs

// lintRules is every rule, in the order of their ids. An id is for ever: files
// name it under "silence:".
var lintRules = []lintRule{
	{id: "after-disabled", meaning: "a job follows one that is disabled, so that nothing starts it", job: lintAfterDisabled},
	{id: "catch-up-max", meaning: "catch_up: all, but its window holds more ticks than its max lets run", job: lintCatchUpMax},
	{id: "crowded-minute", meaning: "40 jobs or more fire in one and the same minute of the coming week", file: lintCrowdedMinute},
	{id: "daily-without-zone", meaning: "@daily, @weekly and the like in a file without a timezone: their midnight is that of UTC", file: lintDailyWithoutZone},
	{id: "dom-and-dow", meaning: "a day of month and a day of week: it fires when either matches", job: lintDomAndDow},
	{id: "dst-touches", meaning: "a time of day that the clock changes of the coming two years take away or show twice", job: lintDSTTouches},
	{id: "every-drifts", meaning: "@every that does not divide a day fires at other times on each day", job: lintEveryDrifts},
	{id: "every-epoch", meaning: "@every of days counts from 1970-01-01 00:00 UTC, whatever the zone", job: lintEveryEpoch},
	{id: "every-minute-of-hour", meaning: "\"* 2 * * *\" fires 60 times, from 02:00 to 02:59", job: lintEveryMinuteOfHour},
	{id: "every-n-all-week", meaning: "every_n of weeks without a weekday: it fires on all seven days of such a week", job: lintEveryNAllWeek},
	{id: "every-second", meaning: "six fields that begin with * fire at every second of their minutes", job: lintEverySecond},
	{id: "fixed-zone", meaning: "a zone such as EST has no daylight saving, Etc/GMT-2 is east of Greenwich", file: lintFixedZone},
	{id: "never-soon", meaning: "the next tick is more than two years away", job: lintNeverSoon},
	{id: "over", meaning: "every tick of the job is past: it never fires again", job: lintOver},
	{id: "retry-outlasts-interval", meaning: "the waits between retries are longer than the interval, so that ticks are skipped", job: lintRetryOutlastsInterval},
	{id: "shift-merges", meaning: "a shift of ticks that there are on every day: the moved one meets another", job: lintShiftMerges},
	{id: "short-months", meaning: "days of the month that some months do not have", job: lintShortMonths},
	{id: "timeout-exceeds-interval", meaning: "overlap: allow without a bound, and runs may last longer than the interval", job: lintTimeoutExceedsInterval},
	{id: "uneven-step", meaning: "a step such as */7 that does not divide its range leaves an odd gap where the range begins anew", job: lintUnevenStep},
	{id: "unused-calendar", meaning: "no job names the calendar", file: lintUnusedCalendar},
}
