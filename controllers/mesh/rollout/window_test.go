// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout_test

import (
	"testing"
	"time"

	_ "time/tzdata"

	"github.com/fairlead/fairlead/controllers/mesh/rollout"
)

func TestWindows(t *testing.T) {
	for name, tc := range map[string]struct {
		days     []string
		start    string
		duration time.Duration
		zone     string
		now      string
		open     bool
		next     string
	}{
		"within":              {nil, "22:00", 4 * time.Hour, "", "2026-11-04T23:00:00Z", true, ""},
		"at its start":        {nil, "22:00", 4 * time.Hour, "", "2026-11-04T22:00:00Z", true, ""},
		"at its end":          {nil, "22:00", 4 * time.Hour, "", "2026-11-04T02:00:00Z", false, "2026-11-04T22:00:00Z"},
		"over midnight":       {[]string{"Wed"}, "22:00", 4 * time.Hour, "", "2026-11-05T01:00:00Z", true, ""},
		"not on this day":     {[]string{"Thu"}, "22:00", 4 * time.Hour, "", "2026-11-05T01:00:00Z", false, "2026-11-05T22:00:00Z"},
		"a week away":         {[]string{"Wed"}, "22:00", time.Hour, "", "2026-11-04T23:00:00Z", false, "2026-11-11T22:00:00Z"},
		"days long":           {[]string{"Sat"}, "00:00", 48 * time.Hour, "", "2026-11-08T23:59:00Z", true, ""},
		"another zone":        {[]string{"Thu"}, "01:00", time.Hour, "Asia/Tokyo", "2026-11-04T16:30:00Z", true, ""},
		"the clock jumps":     {nil, "02:30", time.Hour, "Europe/Zurich", "2026-03-29T00:00:00Z", false, "2026-03-29T01:00:00Z"},
		"the clock goes back": {nil, "02:30", time.Hour, "Europe/Zurich", "2026-10-25T00:00:00Z", false, "2026-10-25T00:30:00Z"},
		"and not twice":       {nil, "02:30", 30 * time.Minute, "Europe/Zurich", "2026-10-25T01:30:00Z", false, "2026-10-26T01:30:00Z"},
		"a jump at midnight":  {nil, "00:00", time.Hour, "America/Santiago", "2026-09-06T03:30:00Z", false, "2026-09-06T04:00:00Z"},
		"a day left out":      {[]string{"Fri"}, "12:00", time.Hour, "Pacific/Apia", "2011-12-30T09:00:00Z", false, "2011-12-30T10:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := rollout.ParseWindow(tc.days, tc.start, tc.duration, tc.zone)
			if err != nil {
				t.Fatal(err)
			}
			now, _ := time.Parse(time.RFC3339, tc.now)
			open, next := rollout.Open([]rollout.Window{w}, now)
			text := ""
			if !next.IsZero() {
				text = next.UTC().Format(time.RFC3339)
			}
			if open != tc.open || text != tc.next {
				t.Errorf("open %v, next %s; want %v, %s", open, text, tc.open, tc.next)
			}
		})
	}
}

func TestBadWindows(t *testing.T) {
	for name, parse := range map[string]func() (rollout.Window, error){
		"day":      func() (rollout.Window, error) { return rollout.ParseWindow([]string{"Monday"}, "22:00", time.Hour, "") },
		"start":    func() (rollout.Window, error) { return rollout.ParseWindow(nil, "24:00", time.Hour, "") },
		"short":    func() (rollout.Window, error) { return rollout.ParseWindow(nil, "2:00", time.Hour, "") },
		"duration": func() (rollout.Window, error) { return rollout.ParseWindow(nil, "22:00", 0, "") },
		"long":     func() (rollout.Window, error) { return rollout.ParseWindow(nil, "22:00", 8*24*time.Hour, "") },
		"zone":     func() (rollout.Window, error) { return rollout.ParseWindow(nil, "22:00", time.Hour, "Nowhere/Land") },
		"local":    func() (rollout.Window, error) { return rollout.ParseWindow(nil, "22:00", time.Hour, "Local") },
	} {
		if w, err := parse(); err == nil {
			t.Errorf("%s: %+v", name, w)
		}
	}
}

// FuzzWindow holds windows to what people expect of them: one that is closed opens when it says, not before, and
// within nine days; it opens at the time of day that was asked for, or where the clock jumps over it; and it lasts.
func FuzzWindow(f *testing.F) {
	f.Add(int64(1_774_742_400), uint8(0), uint16(150), uint16(60), "Europe/Zurich")
	f.Add(int64(1_792_886_400), uint8(4), uint16(150), uint16(600), "Europe/Zurich")
	f.Add(int64(1_325_239_200), uint8(0x20), uint16(720), uint16(60), "Pacific/Apia")
	f.Add(int64(1_788_660_000), uint8(0x7f), uint16(0), uint16(9_999), "America/Santiago")
	f.Add(int64(1_790_000_000), uint8(1), uint16(90), uint16(30), "Australia/Lord_Howe")
	f.Fuzz(func(t *testing.T, unix int64, days uint8, start, minutes uint16, zone string) {
		names := []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
		var on []string
		for i, name := range names {
			if days&(1<<i) != 0 {
				on = append(on, name)
			}
		}
		at := time.Duration(start%1440) * time.Minute
		text := time.Time{}.Add(at).Format("15:04")
		w, err := rollout.ParseWindow(on, text, time.Duration(minutes)*time.Minute, zone)
		if err != nil {
			return
		}
		now := time.Unix(unix%(1<<33), 0)
		open, next := rollout.Open([]rollout.Window{w}, now)
		if open {
			return
		}
		if !next.After(now) || next.Sub(now) > 9*24*time.Hour {
			t.Fatalf("%+v: closed at %s, opens at %s", w, now, next)
		}
		if before, same := rollout.Open([]rollout.Window{w}, next.Add(-time.Second)); before || !same.Equal(next) {
			t.Fatalf("%+v: opens at %s, and is open a second before (%v), or opens at %s", w, next, before, same)
		}
		for _, inside := range []time.Time{next, next.Add(w.Duration - time.Second)} {
			if open, _ := rollout.Open([]rollout.Window{w}, inside); !open {
				t.Fatalf("%+v: opens at %s, and is closed at %s", w, next, inside)
			}
		}
		if local := next.In(w.Zone); local.Format("15:04") != text {
			if change, _ := local.ZoneBounds(); !change.Equal(next) {
				t.Fatalf("%+v: opens at %s", w, local)
			}
		}
	})
}
