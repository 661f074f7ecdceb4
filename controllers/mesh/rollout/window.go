// Copyright The Fairlead Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"slices"
	"time"
)

// Window is a time of the week in which automatic upgrades may begin.
type Window struct {
	// Days it begins on; none is every day.
	Days []time.Weekday
	// Start is the time of day by the clocks of Zone, in minutes after midnight.
	Start int
	// Duration is how long it lasts, over midnight and changes of the clock.
	Duration time.Duration
	Zone     *time.Location
}

// MaxWindow is the longest duration of a window.
const MaxWindow = 7 * 24 * time.Hour

var days = map[string]time.Weekday{
	"Sun": time.Sunday, "Mon": time.Monday, "Tue": time.Tuesday, "Wed": time.Wednesday,
	"Thu": time.Thursday, "Fri": time.Friday, "Sat": time.Saturday,
}

// ParseWindow reads a window: days are "Mon" to "Sun", start is "22:00", the zone a name like "Europe/Zurich" and UTC if empty.
func ParseWindow(on []string, start string, duration time.Duration, zone string) (Window, error) {
	w := Window{Duration: duration}
	for _, name := range on {
		day, ok := days[name]
		if !ok {
			return Window{}, fmt.Errorf("%q is no day: Mon, Tue, Wed, Thu, Fri, Sat and Sun are", name)
		}
		w.Days = append(w.Days, day)
	}
	clock, err := time.Parse("15:04", start)
	if err != nil || len(start) != len("15:04") {
		return Window{}, fmt.Errorf("%q is no time of day like 22:00", start)
	}
	w.Start = clock.Hour()*60 + clock.Minute()
	if duration <= 0 || duration > MaxWindow {
		return Window{}, fmt.Errorf("a window lasts more than nothing and at most %s, not %s", MaxWindow, duration)
	}
	// Local would be whatever the operator's machine has.
	if zone == "Local" {
		return Window{}, fmt.Errorf("time zone %q is not the same everywhere", zone)
	}
	if w.Zone, err = time.LoadLocation(zone); err != nil {
		return Window{}, fmt.Errorf("time zone %q is not known", zone)
	}
	return w, nil
}

// Open is whether a window is open, and if not, when the next one opens. No windows are always open.
func Open(windows []Window, now time.Time) (bool, time.Time) {
	if len(windows) == 0 {
		return true, time.Time{}
	}
	var next time.Time
	for _, w := range windows {
		back := int(w.Duration/(24*time.Hour)) + 2
		// Each day of the week comes within eight days, and one more for a day that a zone left out.
		for day := -back; day <= 9; day++ {
			start, ok := w.start(now, day)
			switch {
			case !ok:
			case start.After(now):
				if next.IsZero() || start.Before(next) {
					next = start
				}
			case now.Before(start.Add(w.Duration)):
				return true, time.Time{}
			}
		}
	}
	return false, next
}

// start is when the window opens some days after today, if it does on that day.
func (w *Window) start(now time.Time, after int) (time.Time, bool) {
	year, month, today := now.In(w.Zone).Date()
	day := time.Date(year, month, today+after, 0, 0, 0, 0, time.UTC)
	if len(w.Days) > 0 && !slices.Contains(w.Days, day.Weekday()) {
		return time.Time{}, false
	}
	return first(day.Add(time.Duration(w.Start)*time.Minute), w.Zone), true
}

// first is when the clocks of a zone first show what a time shows in UTC, or when they jump over it. time.Date does
// not say which of two it takes around a change.
func first(wall time.Time, zone *time.Location) time.Time {
	at := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, zone)
	from, to := at.ZoneBounds()
	switch shown := clocks(at); {
	case shown.Before(wall):
		return to
	case shown.After(wall):
		return from
	case from.IsZero():
		return at
	}
	_, offset := at.Zone()
	_, before := from.Add(-time.Second).Zone()
	if earlier := at.Add(time.Duration(offset-before) * time.Second); earlier.Before(from) && clocks(earlier).Equal(wall) {
		return earlier
	}
	return at
}

// clocks is the time in UTC that shows what a time shows in its own zone.
func clocks(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.Add(time.Duration(offset) * time.Second).UTC()
}
