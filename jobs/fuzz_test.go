package jobs

import "testing"

func FuzzParseSpec(f *testing.F) {
	for _, seed := range []string{
		"* * * * *", "*/5 9-17 * * MON-FRI", "0 30 2 1,15 JAN-mar ?", "0 0 29 2 *", "0 0 30 2 *", "0 0 */28 2 1", "59/15 * * * *", "*/99 * * * *",
		"@daily", "@every 90s", "@every -1s", "@every 1.5s", "@every 2562047h", "@reboot", "@", "",
		"TZ=", "TZ=UTC", "CRON_TZ=Asia/Tokyo * * * * *", "*-5 * * * *", ",", ", * * * *", "1,,2 * * * *", "+5 * * * *", "00005 * * * *", "0 0 * * 5-7", "0 0 * * 0-7/2",
		"0 22-2 * * *", "* * * * 1-2-3", "* * * * */0", "* * * * */9223372036854775807", "0 0 L * *", "\x00", "٣ * * * *", "* * * * *\xff", "0 2 * * *",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { requireSane(t, text) })
}
