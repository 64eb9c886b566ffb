//! When jobs are due.

use proptest::prelude::*;
use serde_json::json;

use super::{Bench, HOUR, MINUTE, NOON};
use crate::schedule::{Missed, Plan, Schedule, moment, plan, written};

fn cron(expr: &str, tz: &str) -> Schedule {
    Schedule::Cron { expr: expr.to_string(), tz: Some(tz.to_string()) }
}

/// The next times after a moment, as UTC has them.
fn times(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    let first = schedule.next(moment(after).unwrap(), None);
    let times = std::iter::successors(first, |time| schedule.next(*time, None));
    times.take(count).map(|time| written(time).replace(":00.000Z", "")).collect()
}

#[test]
fn clocks_that_are_put_forward_and_back() {
    let daily = cron("30 2 * * *", "Europe/Berlin");
    // 02:30 is not there on 29 March: the first moment after the gap stands for it.
    let spring = times(&daily, "2026-03-27T12:00:00Z", 3);
    assert_eq!((spring[0].as_str(), spring[2].as_str()), ("2026-03-28T01:30", "2026-03-30T00:30"));
    assert!(spring[1].starts_with("2026-03-29T01:"), "{spring:?}");
    // It is there twice on 25 October, and the job runs once.
    assert_eq!(times(&daily, "2026-10-24T12:00:00Z", 2), ["2026-10-25T00:30", "2026-10-26T01:30"],);
    let nine = times(&cron("0 9 * * *", "America/New_York"), "2026-03-07T00:00:00Z", 2);
    assert_eq!(nine, ["2026-03-07T14:00", "2026-03-08T13:00"], "nine stays nine");
}

#[test]
fn months_end_when_they_end() {
    assert_eq!(
        times(&cron("0 0 31 * *", "UTC"), "2026-01-31T12:00:00Z", 3),
        ["2026-03-31T00:00", "2026-05-31T00:00", "2026-07-31T00:00"],
    );
    assert_eq!(times(&cron("0 0 L * *", "UTC"), "2028-02-01T00:00:00Z", 2), ["2028-02-29T00:00", "2028-03-31T00:00"],);
    assert_eq!(times(&cron("0 0 29 2 *", "UTC"), "2026-01-01T00:00:00Z", 1), ["2028-02-29T00:00"]);
}

#[test]
fn every_so_often_from_an_anchor() {
    let every = Schedule::Every { every_ms: 10, anchor_ms: Some(103) };
    let next = |after| every.next(after, None);
    assert_eq!([next(0), next(103), next(104), next(112), next(113)].map(Option::unwrap), [103, 113, 113, 113, 123]);
    assert_eq!([every.last(102, None), every.last(103, None), every.last(122, None)], [None, Some(103), Some(113)]);
}

#[test]
fn moments_as_people_write_them() {
    for (text, expected) in [
        ("2026-01-15T12:00:00Z", Some(NOON)),
        ("2026-01-15T13:00:00+01:00", Some(NOON)),
        ("2026-01-15T12:00:00", Some(NOON)),
        ("2026-01-15 12:00", Some(NOON)),
        ("2026-01-15", Some(NOON - 12 * HOUR)),
        (" 1768478400000 ", Some(NOON)),
        ("tomorrow", None),
        ("2026-13-01", None),
        ("", None),
    ] {
        assert_eq!(moment(text), expected, "{text:?}");
    }
    assert_eq!(written(NOON + 7), "2026-01-15T12:00:00.007Z");
}

#[test]
fn what_was_missed_is_planned_by_policy() {
    let hourly = Schedule::Every { every_ms: HOUR, anchor_ms: Some(NOON) };
    let now = NOON + 5 * HOUR + 30 * MINUTE;
    let planned = |policy, cap| plan(&hourly, NOON + HOUR, now, None, (policy, MINUTE, cap));
    let next = Some(NOON + 6 * HOUR);
    assert_eq!(planned(Missed::Skip, 3), Plan { run: None, next });
    assert_eq!(planned(Missed::Once, 3), Plan { run: Some(NOON + 5 * HOUR), next });
    assert_eq!(planned(Missed::All, 3), Plan { run: Some(NOON + 3 * HOUR), next: Some(NOON + 4 * HOUR) });
    assert_eq!(planned(Missed::All, 99), Plan { run: Some(NOON + HOUR), next: Some(NOON + 2 * HOUR) });
    let on_time = plan(&hourly, NOON + 5 * HOUR, NOON + 5 * HOUR + 7, None, (Missed::Skip, MINUTE, 1));
    assert_eq!(on_time, Plan { run: Some(NOON + 5 * HOUR), next });
    let once = Schedule::At { at_ms: NOON };
    assert_eq!(plan(&once, NOON, now, None, (Missed::Skip, MINUTE, 1)), Plan { run: None, next: None });
    assert_eq!(plan(&once, NOON, now, None, (Missed::Once, MINUTE, 1)), Plan { run: Some(NOON), next: None });
}

proptest! {
    #[test]
    fn the_next_time_is_always_later(
        start in 0u64..4_000_000_000_000,
        minute in prop::sample::select(vec!["*", "*/7", "0", "30", "59"]),
        hour in prop::sample::select(vec!["*", "2", "1-3", "23"]),
        day in prop::sample::select(vec!["*", "31", "L", "1,15"]),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
        every in 1u64..10_000_000_000,
    ) {
        let by_clock = cron(&format!("{minute} {hour} {day} * *"), zone);
        let by_span = Schedule::Every { every_ms: every, anchor_ms: Some(start / 2) };
        for schedule in [by_clock, by_span] {
            let mut time = start;
            for _ in 0..5 {
                let next = schedule.next(time, None).expect("there is always another one");
                prop_assert!(next > time, "{schedule:?} after {time}");
                let last = schedule.last(next, None).expect("one is known");
                prop_assert!(last <= next, "{schedule:?} until {next}");
                time = next;
            }
        }
    }
}

#[test]
fn a_job_runs_at_each_of_its_times() {
    let bench = Bench::new();
    let id = bench.add_text(json!({ "kind": "every", "everyMs": 5 * MINUTE }), json!({}));
    bench.pass(16 * MINUTE);
    let key = |n: u64| format!("cron:{id}:{}", NOON + n * 5 * MINUTE);
    assert_eq!(bench.texts(), [key(1), key(2), key(3)]);
    assert_eq!(bench.job(&id)["state"]["nextRunAtMs"], NOON + 20 * MINUTE);
    assert_eq!(bench.job(&id)["state"]["lastStatus"], "ok");
}

#[test]
fn a_clock_that_jumps_is_noticed() {
    let bench = Bench::new();
    let id = bench.add_text(json!({ "kind": "cron", "expr": "0 * * * *" }), json!({}));
    bench.jump(NOON + 3 * HOUR + 5);
    assert_eq!(bench.texts(), [format!("cron:{id}:{}", NOON + 3 * HOUR)], "once for what was slept through");
    bench.jump(NOON + 5);
    assert_eq!(bench.job(&id)["state"]["nextRunAtMs"], NOON + HOUR, "a clock that went back is followed");
    bench.jump(NOON + 3 * HOUR + MINUTE);
    assert_eq!(bench.texts().len(), 1, "and no time is run for twice");
    assert_eq!(bench.job(&id)["state"]["nextRunAtMs"], NOON + 4 * HOUR);
}
